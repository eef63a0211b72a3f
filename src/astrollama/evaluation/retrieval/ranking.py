"""Metrics of a ranked list in which some candidates are the right ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

_ROUNDING = 1e-6  # scores closer than this, relative to the largest, are equal


def gold_ranks(scores_P: np.ndarray, gold: Collection[int], excluded: Collection[int] = ()) -> list[int]:
    """The ranks, from 1, of the right candidates in the order of falling scores, best first.

    Ties are broken against them: a candidate of equal score that is none of them comes before. A scorer that gives all
    the same score ranks them last.

    Args:
        excluded: candidates that are no candidates of this query.
    """
    scores_P = scores_P.astype(np.float64)
    is_other_P = np.ones(len(scores_P), dtype=bool)
    is_other_P[[*gold, *excluded]] = False
    others = np.sort(scores_P[is_other_P])
    best_first = np.sort(scores_P[list(gold)])[::-1]
    least = best_first - _ROUNDING * np.abs(scores_P).max()
    num_before = len(others) - np.searchsorted(others, least, side="left")
    return [int(before) + place for place, before in enumerate(num_before, start=1)]


def fused(first_P: np.ndarray, second_P: np.ndarray, share: float = 0.5) -> np.ndarray:
    """The mean of two scorings of P candidates, each stretched to 0 to 1 (Bruch et al. 2022, arXiv:2210.11934).

    Args:
        share: the weight of the first, 0 to 1.

    A scoring that tells no two candidates apart adds nothing. Ranks instead of scores (reciprocal rank fusion) lose how far a
    scorer sets the first above the second: docs/experiments.md compares the two.
    """
    total_P = np.zeros(len(first_P))
    for weight, scores_P in ((share, first_P), (1 - share, second_P)):
        least, most = float(scores_P.min()), float(scores_P.max())
        if most - least > _ROUNDING * max(abs(least), abs(most)):
            total_P += weight * (scores_P.astype(np.float64) - least) / (most - least)
    return total_P


def ndcg_at(ranks: Sequence[int], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k` (Järvelin and Kekäläinen 2002), all right ones alike."""
    gain = sum(1 / math.log2(1 + rank) for rank in ranks if rank <= k)
    return gain / sum(1 / math.log2(1 + rank) for rank in range(1, min(len(ranks), k) + 1))


def reciprocal_rank(ranks: Sequence[int]) -> float:
    """One over the rank of the first right one; its mean over queries is the MRR."""
    return 1 / min(ranks)


def recall_at(ranks: Sequence[int], k: int) -> float:
    """The share of the right ones that is among the first `k`."""
    return sum(rank <= k for rank in ranks) / len(ranks)
