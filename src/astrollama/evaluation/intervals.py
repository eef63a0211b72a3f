"""Bootstrap intervals over samples (Efron and Tibshirani 1993): expanded percentiles, all columns resampled together.

Plain percentiles are too narrow for few samples: of eight they cover in 88 % of cases instead of 95. Here the quantiles are
moved outwards as Student's distribution asks (Hesterberg 2015, arXiv:1411.5279, section 4.1).

The same seed and number of samples draw the same samples, whatever is computed from them, so that the differences between
two systems that were measured on the same samples are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

CONFIDENCE = 0.95
MIN_SAMPLES_FOR_INTERVAL = 6
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A statistic with what it was in each resample.

    Attributes:
        values_R: over resamples; None where there are too few samples for an interval.
        num_samples: how many samples it is computed from.
    """

    value: float
    values_R: np.ndarray | None
    num_samples: int

    @property
    def ci95(self) -> list[float] | None:
        """[low, high], or None where there are too few samples."""
        return None if self.values_R is None else interval_95(self.values_R, self.num_samples)


def estimate(
    statistic: Callable[[np.ndarray], np.ndarray], columns_KN: np.ndarray, num_resamples: int, seed: int
) -> Estimate:
    """A statistic of sums over samples, such as a ratio of two sums.

    Args:
        statistic: from sums of shape (K,) or (K, R) to values of shape () or (R,).
        columns_KN: K values of each of N samples, one sample at least.
    """
    num_samples = columns_KN.shape[1]
    value = float(statistic(columns_KN.sum(-1)))
    if num_samples < MIN_SAMPLES_FOR_INTERVAL:
        return Estimate(value, None, num_samples)
    return Estimate(value, statistic(bootstrap_sums(columns_KN, num_resamples, seed)), num_samples)


def estimate_mean(values_N: np.ndarray, num_resamples: int, seed: int) -> Estimate:
    """The mean of a value a sample."""
    columns_2N = np.stack([np.asarray(values_N, dtype=float), np.ones(len(values_N))])
    return estimate(lambda sums_2: sums_2[0] / sums_2[1], columns_2N, num_resamples, seed)


def estimate_by_index(
    statistic: Callable[[np.ndarray], float], num_samples: int, num_resamples: int, seed: int
) -> Estimate:
    """A statistic that is no function of sums, such as a macro-F1.

    Args:
        statistic: from the indices of the drawn samples, of shape (N,), to its value.
    """
    value = float(statistic(np.arange(num_samples)))
    if num_samples < MIN_SAMPLES_FOR_INTERVAL:
        return Estimate(value, None, num_samples)
    values = [statistic(drawn_N) for drawn_N in resampled_indices(num_samples, num_resamples, seed)]
    return Estimate(value, np.array(values, dtype=float), num_samples)


def bootstrap_sums(columns_KN: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """The sums of each column over samples drawn with replacement, of shape (K, num_resamples).

    A resample draws the same samples for every column, so that differences between columns are paired.

    Args:
        columns_KN: K values of each of N samples.
    """
    num_columns, num_samples = columns_KN.shape
    assert num_samples > 0
    generator = np.random.default_rng(seed)
    sums_KR = np.empty((num_columns, num_resamples))
    size = max(1, _DRAWS_AT_ONCE // num_samples)
    for start in range(0, num_resamples, size):
        drawn_RN = generator.integers(0, num_samples, (min(size, num_resamples - start), num_samples))
        for column, values_N in enumerate(columns_KN):
            sums_KR[column, start : start + size] = values_N[drawn_RN].sum(-1)
    return sums_KR


def resampled_indices(num_samples: int, num_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """The indices of the samples of each resample, of shape (N,)."""
    generator = np.random.default_rng(seed)
    for _ in range(num_resamples):
        yield generator.integers(0, num_samples, num_samples)


def interval_95(values_R: np.ndarray, num_samples: int) -> list[float]:
    """The 95 % interval of a statistic of `num_samples` samples from its values over resamples: [low, high]."""
    from scipy.special import ndtr, stdtrit

    deviations = sqrt(num_samples / (num_samples - 1)) * stdtrit(num_samples - 1, (1 + CONFIDENCE) / 2)
    low, high = np.quantile(values_R, [ndtr(-deviations), ndtr(deviations)])
    return [float(low), float(high)]
