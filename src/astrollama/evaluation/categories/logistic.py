"""Logistic regression on the features of texts, dense or sparse; how strongly it is held back is chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.evaluation.categories.labels import one_hot
from astrollama.evaluation.categories.metrics import macro_f1

NUM_FOLDS = 5
# The texts that the strength is chosen on, at most: what is best for thousands is so for more, and each fit takes longer.
MOST_TO_CHOOSE_ON = 4000
MAX_ITERATIONS = 1000
SHARES = [round(0.1 * tenth, 1) for tenth in range(11)]
# The logit of a category that no training document has: a probability of zero.
NEVER = -1e3


@dataclass(frozen=True)
class Linear:
    """C linear functions of D features."""

    weights_CD: np.ndarray
    bias_C: np.ndarray

    def logits(self, features_ND: Any) -> np.ndarray:
        """Of shape (N, C); the features may be a sparse matrix."""
        logits_NC: np.ndarray = np.asarray(features_ND @ self.weights_CD.T) + self.bias_C
        return logits_NC


def fit_single(features_ND: Any, targets_N: np.ndarray, num_labels: int, c: float) -> Linear:
    """One category a text: softmax over the categories.

    Args:
        c: the inverse of the strength of the squared penalty, as scikit-learn counts it.
    """
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(targets_N)
    weights_CD = np.zeros((num_labels, features_ND.shape[1]))
    bias_C = np.full(num_labels, NEVER)
    if len(seen) == 1:
        bias_C[seen] = 0.0
        return Linear(weights_CD, bias_C)
    fitted = LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(features_ND, targets_N)
    # of two categories scikit-learn gives one function, the second against the first
    rows = seen[1:] if len(seen) == 2 else seen
    bias_C[seen] = 0.0
    weights_CD[rows], bias_C[rows] = fitted.coef_, fitted.intercept_
    return Linear(weights_CD, bias_C)


def fit_multi(features_ND: Any, categories_NC: np.ndarray, c: float) -> Linear:
    """Any number of categories a text: each against the rest."""
    from sklearn.linear_model import LogisticRegression

    num_labels = categories_NC.shape[1]
    weights_CD = np.zeros((num_labels, features_ND.shape[1]))
    bias_C = np.zeros(num_labels)
    for label, has_N in enumerate(categories_NC.T):
        if has_N.all() or not has_N.any():
            bias_C[label] = -NEVER if has_N.all() else NEVER
            continue
        fitted = LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(features_ND, has_N)
        weights_CD[label], bias_C[label] = fitted.coef_[0], fitted.intercept_[0]
    return Linear(weights_CD, bias_C)


def choose_c(features_ND: Any, targets_N: np.ndarray, num_labels: int, grid: Sequence[float]) -> float:
    """The value of `grid` whose macro-F1 over the training texts is highest in cross-validation, the least of equals.

    Each text is predicted by what was fitted without its fold. Folds go by the texts' order, which must be random; of many
    texts the first `MOST_TO_CHOOSE_ON` count.
    """
    features_ND, targets_N = features_ND[:MOST_TO_CHOOSE_ON], targets_N[:MOST_TO_CHOOSE_ON]
    folds_N = np.arange(len(targets_N)) % NUM_FOLDS
    if len(targets_N) < NUM_FOLDS or len(grid) == 1:
        return grid[0]

    def score(c: float) -> float:
        predicted_N = np.empty_like(targets_N)
        for fold in range(NUM_FOLDS):
            own_N = folds_N == fold
            linear = fit_single(features_ND[~own_N], targets_N[~own_N], num_labels, c)
            predicted_N[own_N] = linear.logits(features_ND[own_N]).argmax(-1)
        return macro_f1(one_hot(targets_N, num_labels), one_hot(predicted_N, num_labels))

    return max(grid, key=score)


def softmax(logits_NC: np.ndarray) -> np.ndarray:
    """Probabilities of categories that exclude each other."""
    probabilities_NC: np.ndarray = np.exp(_log_softmax(logits_NC))
    return probabilities_NC


def fused(first_NC: np.ndarray, second_NC: np.ndarray, share: float) -> np.ndarray:
    """Logits whose probabilities are the geometric mean of two classifiers' (logarithmic pooling; Genest and Zidek 1986).

    Args:
        share: the weight of the first, 0 to 1.
    """
    mean_NC: np.ndarray = share * _log_softmax(first_NC) + (1 - share) * _log_softmax(second_NC)
    return mean_NC


def choose_share(first_NC: np.ndarray, second_NC: np.ndarray, targets_N: np.ndarray) -> float:
    """The share, of tenths, with which two classifiers together have the highest macro-F1; of equals the one nearest to a half.

    Args:
        first_NC, second_NC: logits of documents that neither was taught by; without any a half is taken.
    """
    if not len(targets_N):
        return 0.5
    truth_NC = one_hot(targets_N, first_NC.shape[1])

    def score(share: float) -> tuple[float, float]:
        predicted_NC = one_hot(fused(first_NC, second_NC, share).argmax(-1), first_NC.shape[1])
        return macro_f1(truth_NC, predicted_NC), -abs(share - 0.5)

    return max(SHARES, key=score)


def _log_softmax(logits_NC: np.ndarray) -> np.ndarray:
    shifted_NC = logits_NC - logits_NC.max(axis=-1, keepdims=True)
    normalised_NC: np.ndarray = shifted_NC - np.log(np.exp(shifted_NC).sum(axis=-1, keepdims=True))
    return normalised_NC
