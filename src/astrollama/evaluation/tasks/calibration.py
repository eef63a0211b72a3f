"""Whether the probabilities of the next token mean what they say, on held-out documents.

At each token of a text the model's likeliest token is right or wrong, and has a probability, the confidence. Among tokens
with a confidence of 0.7, seven in ten should be right. Documents are resampled, not tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.figures import Figure, Series, Table
from astrollama.evaluation.intervals import Estimate, estimate
from astrollama.evaluation.likelihoods.likelihoods import same_tokens
from astrollama.evaluation.likelihoods.reliability import (
    MIN_CLUSTERS_A_POINT,
    NUM_BINS,
    bin_sums,
    calibration_error,
    equal_mass_edges,
    equal_width_edges,
    error_if_calibrated,
    reliability,
)
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all, names_of
from astrollama.sections import EvaluateSection

NAME = "calibration"
TITLE = "Calibration of next-token probabilities"
VERSION = 1
PRIMARY_METRIC = "ece"
NEEDS: frozenset[SystemAbility] = frozenset({"score"})
FILES: frozenset[DataFile] = frozenset()

# Each is about a model's own tokens alone; the other metrics compare only where tokens are the same.
_BETWEEN_TOKENIZERS = ("ece", "ece_equal_mass", "overconfidence")

_INFOS = {
    "ece": MetricInfo(
        "expected calibration error",
        "lower",
        f"Over {NUM_BINS} bins of equal width: the gap between the share that is right and the mean confidence, weighted by "
        "the bins' tokens (Guo et al. 2017, arXiv:1706.04599).",
    ),
    "ece_equal_mass": MetricInfo(
        "expected calibration error, bins of equal mass",
        "lower",
        f"The same over {NUM_BINS} bins that hold equally many of the system's tokens.",
    ),
    "overconfidence": MetricInfo(
        "overconfidence",
        "neither",
        "Mean confidence minus the share that is right: above zero the model promises too much, below zero too little.",
    ),
    "nll": MetricInfo(
        "negative log-likelihood a token, nats",
        "lower",
        "Of the token that stands there; a proper score, which neither accuracy without calibration nor calibration without "
        "accuracy makes low.",
    ),
    "accuracy": MetricInfo(
        "next token right",
        "higher",
        "Share of tokens at which the likeliest token is the one that stands there.",
        "percent",
    ),
    "mean_confidence": MetricInfo("mean confidence", "neither", "Mean probability of the likeliest token.", "percent"),
}


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Calibration needs held-out documents."""
    del settings
    return None if data.test else "the corpus holds no document out"


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Predict every token of the first `num_calibration` held-out documents.

    Returns:
        One record a document with the sums over its tokens, in bins of equal width and of equal mass; `details` has the
        edges of the latter, and of each bin of equal width the sum of p (1 - p) over the tokens of all documents.
    """
    documents = data.test[: settings.num_calibration]
    predictions = system.scorer().token_predictions([document.text for document in documents])
    # in float64, in which the edges are
    confidences = [own.top_probability_T.astype(float) for own in predictions]
    everything_T = np.concatenate(confidences)
    width_edges, mass_edges = equal_width_edges(), equal_mass_edges(everything_T)
    samples = [
        {
            "id": document.id,
            "content_hash": document.content_hash,
            "num_tokens": len(confidence_T),
            "nll": float(own.nll_T.sum(dtype=float)),
            "equal_width": bin_sums(confidence_T, own.top_correct_T, width_edges),
            "equal_mass": bin_sums(confidence_T, own.top_correct_T, mass_edges),
        }
        for document, own, confidence_T in zip(documents, predictions, confidences, strict=True)
    ]
    bins_T = np.searchsorted(width_edges[1:-1], everything_T)
    variance_B = np.bincount(bins_T, everything_T * (1 - everything_T), NUM_BINS)
    return Measurement(samples, {"equal_mass_edges": mass_edges.tolist(), "variance": variance_B.tolist()})


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Metrics of every system, the reliability diagram and the spread of confidence."""
    del data
    samples = {key: measurement.samples for key, measurement in measurements.items()}
    estimates = {key: _estimates(measurement, settings) for key, measurement in measurements.items()}
    alike = {key for key in samples if subject in samples and same_tokens(samples[subject], samples[key])}
    by_chance = {key: _by_chance(measurement) for key, measurement in measurements.items()}
    names = names_of(measurements)
    notes = [
        "Calibration alone is no merit: a model that knows nothing and is as unsure as it is often wrong has an error near "
        "zero. Read the share that is right and the negative log-likelihood beside it.",
        "So many tokens of perfectly calibrated probabilities would show an expected calibration error of about "
        + ", ".join(f"{value:.4f} ({names[key]})" for key, value in by_chance.items())
        + ", by chance alone.",
    ]
    others = [names[key] for key in samples if key not in alike]
    if subject in samples and others:
        notes.append(
            f"{', '.join(others)} and {names[subject]} divide texts into different tokens: of these the calibration is compared, "
            "and not accuracy, confidence and likelihood."
        )
    figures, table = _shown(measurements, settings)
    return TaskResult(
        primary_metric=PRIMARY_METRIC,
        infos=_INFOS,
        estimates=estimates,
        comparisons=[
            comparison
            for comparison in compare_all(_INFOS, estimates, subject)
            if comparison.metric in _BETWEEN_TOKENIZERS or comparison.against in alike
        ],
        figures=figures,
        tables=[table],
        notes=notes,
        details={"ece_by_chance": by_chance},
    )


def _estimates(measurement: Measurement, settings: EvaluateSection) -> dict[str, Estimate]:
    samples = measurement.samples
    columns_4N = np.array(
        [
            [sample["num_tokens"] for sample in samples],
            [sample["nll"] for sample in samples],
            [sum(sample["equal_width"]["confidence"]) for sample in samples],
            [sum(sample["equal_width"]["correct"]) for sample in samples],
        ],
        dtype=float,
    )
    means = {
        "overconfidence": lambda sums_4: (sums_4[2] - sums_4[3]) / sums_4[0],
        "nll": lambda sums_4: sums_4[1] / sums_4[0],
        "accuracy": lambda sums_4: sums_4[3] / sums_4[0],
        "mean_confidence": lambda sums_4: sums_4[2] / sums_4[0],
    }
    return {
        "ece": calibration_error([sample["equal_width"] for sample in samples], settings),
        "ece_equal_mass": calibration_error([sample["equal_mass"] for sample in samples], settings),
    } | {name: estimate(mean, columns_4N, settings.num_resamples, settings.seed) for name, mean in means.items()}


def _by_chance(measurement: Measurement) -> float:
    num_tokens = sum(sample["num_tokens"] for sample in measurement.samples)
    return error_if_calibrated(measurement.details["variance"], num_tokens)


def _shown(measurements: Mapping[str, Measurement], settings: EvaluateSection) -> tuple[list[Figure], Table]:
    """The reliability diagram, the histogram of confidence, and the table of both."""
    edges = equal_width_edges().tolist()
    names = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    curves, shares, rows = [], [], []
    for key, measurement in measurements.items():
        points = reliability([sample["equal_width"] for sample in measurement.samples], settings)
        drawn = [point for point in points if point["ci95"]]
        xs, ys = [point["confidence"] for point in drawn], [point["accuracy"] for point in drawn]
        lows, highs = [point["ci95"][0] for point in drawn], [point["ci95"][1] for point in drawn]
        curves.append(Series(key, xs, ys, lows, highs))
        counts = {point["bin"]: point["count"] for point in points}
        total = sum(counts.values())
        shares.append(Series(key, edges, [100 * counts.get(index, 0) / total for index in range(NUM_BINS)]))
        rows += [
            [
                key,
                names[point["bin"]],
                point["count"],
                point["confidence"],
                point["accuracy"],
                *(point["ci95"] or [None] * 2),
            ]
            for point in points
        ]
    num_documents = len(next(iter(measurements.values())).samples)
    few = f"fewer than {MIN_CLUSTERS_A_POINT} documents"
    note = (
        f"{num_documents} documents; 95 % intervals over documents. Below the diagonal a model promises too much. Bins with "
        f"tokens of {few} stand in the table alone."
    )
    figures = [
        Figure("reliability", "Reliability", "lines", "confidence", "share right", curves, diagonal=True, note=note),
        Figure("confidence", "How confident", "histogram", "confidence", "tokens, %", shares, note="All tokens."),
    ]
    columns = ["system", "confidence", "tokens", "mean confidence", "share right", "from", "to (95 %)"]
    return figures, Table("bins", "Confidence and what came true", columns, rows, f"No interval: tokens of {few}.")
