"""Cosines between all pairs of documents: their histogram, and each document's nearest neighbour; in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_BINS = 200
EDGES = tuple(round(index / 100 - 1, 2) for index in range(NUM_BINS + 1))
_ROWS_AT_ONCE = 512
_ROUNDING = 1e-6  # cosines this close are equal


@dataclass(frozen=True)
class Neighbours:
    """Of N documents.

    Attributes:
        histogram_B: pairs of different documents, each once, by their cosine between `EDGES`.
        nearest_N: the place of the nearest other document.
        cosine_N: its cosine.
        same_N: 1 where the nearest has the same label, 0 where it has not; of several equally near ones the share.
    """

    histogram_B: np.ndarray
    nearest_N: np.ndarray
    cosine_N: np.ndarray
    same_N: np.ndarray


def neighbours(directions_ND: np.ndarray, labels: Sequence[str]) -> Neighbours:
    """Compare each document with every other; two at least.

    Args:
        directions_ND: vectors of length 1 (or 0).
        labels: of the N documents.
    """
    directions_ND = directions_ND.astype(np.float32)
    _, codes_N = np.unique(np.array(labels), return_inverse=True)
    num_documents = len(codes_N)
    histogram_B = np.zeros(NUM_BINS, dtype=np.int64)
    nearest_N = np.empty(num_documents, dtype=np.int64)
    cosine_N, same_N = np.empty(num_documents), np.empty(num_documents)
    for start in range(0, num_documents, _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, num_documents))
        cosines_BN = directions_ND[rows] @ directions_ND.T
        histogram_B += _histogram(cosines_BN[rows[:, None] < np.arange(num_documents)])
        cosines_BN[rows - start, rows] = -np.inf
        nearest_N[rows] = cosines_BN.argmax(-1)
        cosine_N[rows] = cosines_BN.max(-1)
        tied_BN = cosines_BN >= cosines_BN.max(-1, keepdims=True) - _ROUNDING
        same_N[rows] = (tied_BN & (codes_N[rows, None] == codes_N)).sum(-1) / tied_BN.sum(-1)
    return Neighbours(histogram_B, nearest_N, cosine_N, same_N)


def nearest_pairs(found: Neighbours, num_pairs: int) -> list[tuple[int, int, float]]:
    """The pairs of documents with the largest cosines, each once: both places, the smaller first, and the cosine."""
    pairs = {
        (min(index, nearest), max(index, nearest)): float(found.cosine_N[index])
        for index, nearest in enumerate(found.nearest_N.tolist())
    }
    first = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:num_pairs]
    return [(left, right, cosine) for (left, right), cosine in first]


def _histogram(cosines: np.ndarray) -> np.ndarray:
    bins = np.clip(np.floor((cosines + 1) * (NUM_BINS / 2)), 0, NUM_BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=NUM_BINS)
