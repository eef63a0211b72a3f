"""Systems that continue texts: tiny models, and ones whose continuations are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astrollama.backends.base import Ability, ContinuationLikelihood
from astrollama.backends.hf import HFLanguageModel
from astrollama.evaluation.systems import System
from astrollama.models.load import load_model


def tiny_system(key: str, model: Path) -> System:
    return _system(key, frozenset({"score", "generate"}), HFLanguageModel(load_model(str(model))))


def saying(key: str, *texts: str) -> System:
    """A chat model that says the same to everything, each time the next of `texts`."""
    return _system(key, frozenset({"generate"}), _Saying(texts))


def knowing(key: str, texts: Sequence[str]) -> System:
    """A model that finds nothing likely but the beginnings of `texts`."""
    return _system(key, frozenset({"score"}), _Knowing(texts))


class _Saying:
    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._asked = 0

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        text = self._texts[self._asked % len(self._texts)]
        self._asked += 1
        return [f" {text} "] * len(prompts)


class _Knowing:
    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[ContinuationLikelihood]:
        known = [
            bool(context) and any(text.startswith(context + more) for text in self._texts) for context, more in pairs
        ]
        return [
            ContinuationLikelihood((0.01 if has else 2.0) * len(more), len(more.split()), has)
            for has, (_, more) in zip(known, pairs, strict=True)
        ]


def _system(key: str, abilities: frozenset[Ability], model: Any) -> System:
    return System(key, key, key, "other", abilities, key, Path(), opener=lambda: model)
