"""How much a text repeats: n-grams of words, without case and punctuation at their edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

_EDGES = ".,;:!?()[]{}\"'“”"

Gram = tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    return [word for part in text.lower().split() if (word := part.strip(_EDGES))]


def grams(text: str, n: int) -> list[Gram]:
    """The runs of n words of a text, in their order."""
    found = words(text)
    return [tuple(found[start : start + n]) for start in range(len(found) - n + 1)]


def num_repeated(found: Sequence[Gram]) -> int:
    """How many of a text's n-grams stand in it before."""
    return len(found) - len(set(found))


def distinct_credits(groups: Iterable[Sequence[Gram]]) -> np.ndarray:
    """What each of N groups of n-grams adds to the number of distinct n-grams of all, of shape (N,).

    Of an n-gram that occurs k times each occurrence counts 1/k. The sum over all groups is then the number of distinct
    n-grams (distinct-n; Li et al. 2016, arXiv:1510.03055), and groups can be resampled without making any look repeated
    because it was drawn twice.
    """
    gathered = [list(group) for group in groups]
    counts = Counter(gram for group in gathered for gram in group)
    return np.array([sum(1 / counts[gram] for gram in group) for group in gathered])
