"""Similarity of meaning: cosines between the vectors that all-MiniLM-L6-v2 gives texts (Reimers and Gurevych 2019, arXiv:1908.10084)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astrollama.backends.base import Encoder

_DIMENSIONS = 384


class Meaning:
    """The vectors of texts, each computed once; the encoder is loaded when it is first asked for."""

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray] = {}

    def load(self) -> None:
        """Load the encoder now.

        Raises:
            NetworkError: it has to be fetched and cannot.
        """
        _ = self._encoder

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """One vector a text, of length 1, of shape (N, D); a text without a letter or digit has none, but zeros.

        Raises:
            NetworkError: the encoder has to be fetched and cannot.
        """
        missing = sorted({text for text in texts if _says_something(text)} - self._known.keys())
        if missing:
            self._known |= dict(zip(missing, self._encoder.embed(missing), strict=True))
        nothing_D = np.zeros(_DIMENSIONS, dtype=np.float32)
        return np.stack([self._known.get(text, nothing_D) for text in texts]) if texts else np.empty((0, _DIMENSIONS))

    def similarities(self, texts: Sequence[str], other: str) -> np.ndarray:
        """The cosine of each text with another one, of shape (N,)."""
        vectors_ND = self.vectors([*texts, other])
        similarities_N: np.ndarray = vectors_ND[:-1] @ vectors_ND[-1]
        return similarities_N

    def mutual_similarity(self, texts: Sequence[str]) -> float:
        """The mean cosine over the pairs of two texts at least; equal texts are alike even where they say nothing."""
        pairs = combinations(zip(texts, self.vectors(texts), strict=True), 2)
        return float(np.mean([1.0 if one == other else one_D @ other_D for (one, one_D), (other, other_D) in pairs]))

    @cached_property
    def _encoder(self) -> Encoder:
        from astrollama.backends.minilm import load_minilm

        return load_minilm()


def _says_something(text: str) -> bool:
    return any(character.isalnum() for character in text)
