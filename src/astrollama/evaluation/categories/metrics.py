"""How well categories were told apart: F1 as its mean over categories, with intervals over documents.

F1 of a category is 2 tp / (2 tp + fp + fn), from documents rightly put there (tp), wrongly put there (fp) and missed (fn).
Macro-F1 is its mean over the categories that occur among the true ones, so that a rare category counts as much as a
frequent one. Single- and multi-label predictions are both matrices of yes and no, of N documents and C categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astrollama.evaluation.intervals import Estimate, estimate


@dataclass(frozen=True)
class CategoryScore:
    """Of one category; None where nothing was put there (precision) or nothing belongs there (recall)."""

    precision: float | None
    recall: float | None
    f1: float | None
    num_documents: int


def macro_f1(truth_NC: np.ndarray, predicted_NC: np.ndarray) -> float:
    """Macro-F1, of one document at least."""
    return float(_macro_f1(_counts(*_that_occur(truth_NC, predicted_NC)).sum(-1)))


def estimate_macro_f1(truth_NC: np.ndarray, predicted_NC: np.ndarray, num_resamples: int, seed: int) -> Estimate:
    """Macro-F1 with its values over resamples of the documents."""
    return estimate(_macro_f1, _counts(*_that_occur(truth_NC, predicted_NC)), num_resamples, seed)


def category_scores(truth_NC: np.ndarray, predicted_NC: np.ndarray) -> list[CategoryScore]:
    """Precision, recall and F1 of each category."""
    scores = []
    for tp, fp, fn in _counts(truth_NC, predicted_NC).sum(-1).reshape(3, -1).T.tolist():
        scores.append(
            CategoryScore(
                precision=tp / (tp + fp) if tp + fp else None,
                recall=tp / (tp + fn) if tp + fn else None,
                f1=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
                num_documents=int(tp + fn),
            )
        )
    return scores


def confusion_matrix(targets_N: np.ndarray, predicted_N: np.ndarray, num_labels: int) -> np.ndarray:
    """How many documents of each true category (rows) were put into each category (columns)."""
    matrix_CC = np.zeros((num_labels, num_labels), dtype=int)
    np.add.at(matrix_CC, (targets_N, predicted_N), 1)
    return matrix_CC


def _that_occur(truth_NC: np.ndarray, predicted_NC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both for the categories that any document has."""
    occurs_C = truth_NC.any(axis=0)
    return truth_NC[:, occurs_C], predicted_NC[:, occurs_C]


def _counts(truth_NC: np.ndarray, predicted_NC: np.ndarray) -> np.ndarray:
    """What each document adds to tp, fp and fn of each category, of shape (3 C, N)."""
    truth_CN, predicted_CN = truth_NC.T, predicted_NC.T
    return np.concatenate([truth_CN & predicted_CN, ~truth_CN & predicted_CN, truth_CN & ~predicted_CN]).astype(float)


def _macro_f1(sums_K: np.ndarray) -> np.ndarray:
    """From sums of shape (3 C,) or (3 C, R).

    A category that no true document of a resample has does not count in it, as in the whole: an F1 of 0 for a document
    wrongly put there would make resamples lower than the whole.
    """
    tp_C, fp_C, fn_C = sums_K.reshape(3, -1, *sums_K.shape[1:])
    occurs_C = tp_C + fn_C > 0
    f1_C = np.divide(2 * tp_C, 2 * tp_C + fp_C + fn_C, out=np.zeros_like(tp_C), where=occurs_C)
    mean: np.ndarray = f1_C.sum(axis=0) / occurs_C.sum(axis=0)
    return mean
