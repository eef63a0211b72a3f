"""A linear probe: logistic regression on vectors that a model gives, which stays as it is (Alain and Bengio 2016, arXiv:1610.01644)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from astrollama.evaluation.categories.logistic import Linear, choose_c, fit_multi, fit_single

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Probe:
    """C linear functions of D standardised features.

    Attributes:
        mean_D, scale_D: of each feature over the training texts.
    """

    mean_D: np.ndarray
    scale_D: np.ndarray
    linear: Linear

    def logits(self, vectors_ND: np.ndarray) -> np.ndarray:
        """Of shape (N, C)."""
        return self.linear.logits(self.standardised(vectors_ND))

    def standardised(self, vectors_ND: np.ndarray) -> np.ndarray:
        """Each feature with mean 0 and standard deviation 1 over the training texts, float64."""
        features_ND: np.ndarray = (vectors_ND.astype(np.float64) - self.mean_D) / self.scale_D
        return features_ND


def fit_probe(
    vectors_ND: np.ndarray, targets_N: np.ndarray, num_labels: int, strengths: Sequence[float] = STRENGTHS
) -> tuple[Probe, float]:
    """Fit one category a text, with the strength of the penalty that cross-validation chooses, and which that is."""
    mean_D = vectors_ND.mean(axis=0, dtype=np.float64)
    scale_D = vectors_ND.std(axis=0, dtype=np.float64)
    scale_D[scale_D == 0] = 1.0
    blank = Probe(mean_D, scale_D, Linear(np.empty((0, len(mean_D))), np.empty(0)))
    features_ND = blank.standardised(vectors_ND)
    c = choose_c(features_ND, targets_N, num_labels, strengths)
    return Probe(mean_D, scale_D, fit_single(features_ND, targets_N, num_labels, c)), c


def predict_all(
    probe: Probe, c: float, vectors_ND: np.ndarray, categories_NC: np.ndarray, others_ND: np.ndarray
) -> np.ndarray:
    """All categories of further vectors, learnt from the same features with the same strength: bool, of shape (N, C)."""
    multi = fit_multi(probe.standardised(vectors_ND), categories_NC, c)
    all_NC: np.ndarray = multi.logits(probe.standardised(others_ND)) > 0
    return all_NC
