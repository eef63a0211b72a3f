"""Bins of confidence: how often predictions of each confidence are right, and the expected calibration error.

The error is the sum over bins of (share of all predictions that lie in the bin) x |share that is right - mean confidence|
(Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"). Its resamples are of clusters, such
as the documents that tokens come from: a sample holds the sums over its own predictions, bin by bin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.evaluation.intervals import Estimate, bootstrap_sums, estimate, interval_95
from astrollama.sections import EvaluateSection

NUM_BINS = 15  # Guo et al. 2017, arXiv:1706.04599
MIN_CLUSTERS_A_POINT = 5

BinSums = Mapping[str, Sequence[float]]


def equal_width_edges() -> np.ndarray:
    """The edges of `NUM_BINS` bins of equal width, as in Guo et al. 2017."""
    return np.linspace(0.0, 1.0, NUM_BINS + 1)


def equal_mass_edges(confidence_T: np.ndarray) -> np.ndarray:
    """The edges of `NUM_BINS` bins that hold equally many predictions; fewer bins where many have the same confidence."""
    inner = np.quantile(confidence_T, np.linspace(0.0, 1.0, NUM_BINS + 1)[1:-1])
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def bin_sums(confidence_T: np.ndarray, correct_T: np.ndarray, edges: np.ndarray) -> dict[str, list[float]]:
    """How many predictions lie in each bin, the sum of their confidence, and how many of them are right.

    A bin has its upper edge, and not its lower one.
    """
    bins_T = np.searchsorted(edges[1:-1], confidence_T)
    num_bins = len(edges) - 1
    return {
        "count": np.bincount(bins_T, minlength=num_bins).tolist(),
        "confidence": np.bincount(bins_T, confidence_T, num_bins).tolist(),
        "correct": np.bincount(bins_T[correct_T], minlength=num_bins).tolist(),
    }


def calibration_error(sums_N: Sequence[BinSums], settings: EvaluateSection) -> Estimate:
    """The expected calibration error over all clusters.

    An absolute value of something noisy is too large on average, and that of a resample too large once more. This second
    excess is taken off the resamples, so that the interval lies around the value. The first is told by `error_if_calibrated`.
    """
    gaps_BN = _column(sums_N, "correct") - _column(sums_N, "confidence")
    columns = np.concatenate([gaps_BN, _column(sums_N, "count").sum(0, keepdims=True)])
    plain = estimate(_error, columns, settings.num_resamples, settings.seed)
    if plain.values_R is None:
        return plain
    excess = plain.values_R.mean() - plain.value
    return Estimate(plain.value, np.maximum(plain.values_R - excess, 0.0), plain.num_samples)


def error_if_calibrated(variance_B: Sequence[float], count: float) -> float:
    """The expected calibration error that chance alone gives perfectly calibrated and independent predictions.

    Each bin's gap is then nearly normal, with the variance of its predictions' sum, and its mean absolute value is
    sqrt(2 / pi) standard deviations.

    Args:
        variance_B: the sum of p (1 - p) over the predictions of each bin.
        count: of all predictions.
    """
    return math.sqrt(2 / math.pi) * sum(map(math.sqrt, variance_B)) / count


def reliability(sums_N: Sequence[BinSums], settings: EvaluateSection) -> list[dict[str, Any]]:
    """Each bin that is not empty: its `count`, mean `confidence`, `accuracy`, and the `ci95` of that, clusters resampled.

    The interval is None where fewer than `MIN_CLUSTERS_A_POINT` clusters have predictions in the bin.
    """
    count_BN, confidence_BN, correct_BN = (_column(sums_N, name) for name in ("count", "confidence", "correct"))
    points = []
    for index, count_N in enumerate(count_BN):
        count = count_N.sum()
        if count == 0:
            continue
        ci95 = None
        num_clusters = np.count_nonzero(count_N)
        if num_clusters >= MIN_CLUSTERS_A_POINT:
            counts_R, correct_R = bootstrap_sums(
                np.stack([count_N, correct_BN[index]]), settings.num_resamples, settings.seed
            )
            drawn_R = counts_R > 0  # some resamples may have no prediction in the bin
            ci95 = interval_95(correct_R[drawn_R] / counts_R[drawn_R], int(num_clusters))
        points.append(
            {
                "bin": index,
                "count": int(count),
                "confidence": float(confidence_BN[index].sum() / count),
                "accuracy": float(correct_BN[index].sum() / count),
                "ci95": ci95,
            }
        )
    return points


def _column(sums_N: Sequence[BinSums], name: str) -> np.ndarray:
    """One of the sums, of shape (bins, clusters)."""
    return np.array([sums[name] for sums in sums_N], dtype=float).T


def _error(sums_K: np.ndarray) -> np.ndarray:
    """From the gaps of the bins and, last, the number of predictions; the sums may have an axis behind the first."""
    error: np.ndarray = np.abs(sums_K[:-1]).sum(0) / sums_K[-1]
    return error
