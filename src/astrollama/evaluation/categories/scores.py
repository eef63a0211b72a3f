"""A measurement of categorisation as arrays, and its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from astrollama.evaluation.categories.labels import one_hot
from astrollama.evaluation.categories.metrics import estimate_macro_f1
from astrollama.evaluation.categories.outcome import FINE_TUNED, FULL, PROBED, RULES, WORDS, ZERO_SHOT
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.resamples import fewer_resamples
from astrollama.evaluation.task import Measurement
from astrollama.sections import EvaluateSection

METHODS = (RULES, WORDS, FULL, PROBED, FINE_TUNED, ZERO_SHOT)
# those whose metrics bear their names; rules and words are the main method wherever they are
_NAMED = (PROBED, FINE_TUNED, FULL, ZERO_SHOT)


@dataclass(frozen=True)
class Scored:
    """What one system did to N documents and C categories.

    Attributes:
        targets_N: the number of each document's primary category.
        categories_NC: bool, all that it has.
        predicted: by method the predicted number of each document, of the first M of them for some methods.
        all_predicted_NC: bool, all categories that it is given, or None.
    """

    labels: tuple[str, ...]
    main: str | None
    targets_N: np.ndarray
    categories_NC: np.ndarray
    predicted: dict[str, np.ndarray]
    all_predicted_NC: np.ndarray | None

    @classmethod
    def of(cls, measurement: Measurement) -> Scored:
        """Read a measurement's samples."""
        samples, details = measurement.samples, measurement.details
        labels = tuple(details["labels"])
        predicted = {
            method: np.array(
                [labels.index(sample[method]["label"]) for sample in samples if method in sample], dtype=int
            )
            for method in METHODS
            if samples and method in samples[0]
        }
        multi = next((method for method in METHODS if samples and "labels" in samples[0].get(method, {})), None)
        return cls(
            labels,
            details["main"],
            np.array([labels.index(sample["label"]) for sample in samples], dtype=int),
            _membership([sample["labels"] for sample in samples], labels),
            predicted,
            _membership([sample[multi]["labels"] for sample in samples], labels) if multi else None,
        )

    def estimates(self, settings: EvaluateSection) -> dict[str, Estimate]:
        """Every metric that the system has, by name; a resample of macro-F1 counts three numbers a category."""
        found: dict[str, Estimate] = {}
        if self.main is not None:
            found |= self._estimates_of("", self.main, settings)
        for method in _NAMED:
            if method in self.predicted:
                found |= self._estimates_of(f"{method}_", method, settings)
        if self.all_predicted_NC is not None:
            exact_N = (self.categories_NC == self.all_predicted_NC).all(axis=1)
            found["multi_macro_f1"] = estimate_macro_f1(
                self.categories_NC, self.all_predicted_NC, fewer_resamples(settings), settings.seed
            )
            found["multi_subset_accuracy"] = estimate_mean(exact_N, settings.num_resamples, settings.seed)
        return found

    def _estimates_of(self, prefix: str, method: str, settings: EvaluateSection) -> dict[str, Estimate]:
        predicted_M = self.predicted[method]
        targets_M = self.targets_N[: len(predicted_M)]
        truth_MC, predicted_MC = (one_hot(numbers_M, len(self.labels)) for numbers_M in (targets_M, predicted_M))
        return {
            f"{prefix}macro_f1": estimate_macro_f1(truth_MC, predicted_MC, fewer_resamples(settings), settings.seed),
            f"{prefix}accuracy": estimate_mean(predicted_M == targets_M, settings.num_resamples, settings.seed),
        }


def _membership(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    return np.array([[label in row for label in labels] for row in rows], dtype=bool).reshape(len(rows), len(labels))
