"""Bootstrap intervals over documents (Efron and Tibshirani 1993): percentile method, resampled in pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES_AT_ONCE = 500

Statistic = Callable[..., np.ndarray]


def bootstrap_ci95(
    statistic: Statistic, columns: list[np.ndarray], num_resamples: int, seed: int
) -> tuple[float, float]:
    """The 95 % interval of a statistic of documents.

    Args:
        statistic: takes the columns, each of shape (..., N), and reduces the last axis.
        columns: arrays of shape (N,), one value a document; a resample draws the same documents from each.
        num_resamples: how many resamples are drawn with replacement.

    Returns:
        The lower and the upper bound.
    """
    num_documents = len(columns[0])
    assert num_documents > 0
    assert all(len(column) == num_documents for column in columns)
    generator = np.random.default_rng(seed)
    values = []
    for start in range(0, num_resamples, _RESAMPLES_AT_ONCE):
        size = (min(_RESAMPLES_AT_ONCE, num_resamples - start), num_documents)
        drawn_RN = generator.integers(0, num_documents, size)
        values.append(statistic(*(column[drawn_RN] for column in columns)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)
