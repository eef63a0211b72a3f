"""Metrics of a ranked list in which some candidates are the right ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

_FUSION = 60  # the constant of reciprocal rank fusion, as published
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


def fused(*scores: np.ndarray) -> np.ndarray:
    """Reciprocal rank fusion (Cormack et al. 2009): the sum of 1 / (60 + rank) over several scorings of P candidates.

    Candidates of equal score share the worst rank that they have among them, so that no order is made up.
    """
    total_P = np.zeros(len(scores[0]))
    for scores_P in scores:
        rising = np.sort(scores_P)
        total_P += 1 / (_FUSION + len(scores_P) - np.searchsorted(rising, scores_P, side="left"))
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
