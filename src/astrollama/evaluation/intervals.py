"""Bootstrap intervals over documents (Efron and Tibshirani 1993): percentile method, all columns resampled together."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 4_000_000


def bootstrap_sums(columns_KN: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """The sums of each column over documents drawn with replacement, of shape (K, num_resamples).

    A resample draws the same documents for every column, so that differences between columns are paired.

    Args:
        columns_KN: K values of each of N documents.
    """
    num_columns, num_documents = columns_KN.shape
    assert num_documents > 0
    generator = np.random.default_rng(seed)
    sums_KR = np.empty((num_columns, num_resamples))
    size = max(1, _DRAWS_AT_ONCE // num_documents)
    for start in range(0, num_resamples, size):
        drawn_RN = generator.integers(0, num_documents, (min(size, num_resamples - start), num_documents))
        for column, values_N in enumerate(columns_KN):
            sums_KR[column, start : start + size] = values_N[drawn_RN].sum(-1)
    return sums_KR


def interval_95(values_R: np.ndarray) -> list[float]:
    """The 95 % interval of a statistic from its values over resamples: [low, high]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values_R, [tail, 1 - tail])
    return [float(low), float(high)]
