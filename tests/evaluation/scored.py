"""Systems that score text: tiny models, and one whose losses are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from astrollama.backends.base import TextLikelihood
from astrollama.backends.hf import HFLanguageModel
from astrollama.evaluation.systems import System
from astrollama.models.load import load_model


def tiny_system(key: str, model: Path) -> System:
    return _system(key, lambda: HFLanguageModel(load_model(str(model))))


def known_system(key: str, nats: float) -> System:
    return _system(key, lambda: KnownLosses(nats))


class KnownLosses:
    """A token a word: `nats` each, and a little more for each document after the other."""

    def __init__(self, nats: float) -> None:
        self._nats = nats

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[TextLikelihood]:
        return [
            TextLikelihood(len(text.split()) * (self._nats + index % 3 / 10), len(text.split()), len(text.encode()))
            for index, text in enumerate(texts)
        ]

    def loglikelihood_packed(self, texts: Sequence[str], sequence_length: int) -> list[TextLikelihood]:
        num_pieces = max(1, sum(len(text.split()) for text in texts) // sequence_length)
        return [TextLikelihood(self._nats * (sequence_length - 1), sequence_length - 1, 0)] * num_pieces


def _system(key: str, opener: Callable[[], Any]) -> System:
    return System(key, key, key, "other", frozenset({"score"}), key, Path(), opener=opener)
