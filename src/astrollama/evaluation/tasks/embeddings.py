"""How each encoder's vectors of abstracts lie: the paper's histogram of cosines, and what it is and is not worth.

That random abstracts have smaller cosines is a matter of anisotropy, which subtracting the mean changes at once, and no
sign of quality. So beside the geometry stands how often an abstract's nearest neighbour is of the same category.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.console import progress
from astrollama.errors import UnsupportedError
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.embeddings import figures as show
from astrollama.evaluation.embeddings.geometry import directions, jackknife_terms, shape_statistics, transformations
from astrollama.evaluation.embeddings.neighbours import Neighbours, nearest_pairs, neighbours
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all
from astrollama.models.pooling import Pooling
from astrollama.records import UNKNOWN, Document
from astrollama.sections import EvaluateSection

NAME = "embeddings"
TITLE = "Embeddings"
VERSION = 1
PRIMARY_METRIC = "neighbour_same_category"
NEEDS: frozenset[SystemAbility] = frozenset({"embed"})
FILES: frozenset[DataFile] = frozenset()

NUM_PAIRS = 5
_OTHER_POOLINGS: tuple[Pooling, ...] = ("last", "echo")
_MANY = 2000  # documents from which on comparing them takes long
_INFOS = {
    "neighbour_same_category": MetricInfo(
        "nearest neighbour of the same category",
        "higher",
        "The share of abstracts whose nearest other abstract by cosine has the same primary category.",
        style="percent",
    ),
    "mean_cosine": MetricInfo(
        "mean cosine",
        "neither",
        "The mean cosine of all pairs of different abstracts, the anisotropy of Ethayarajh 2019 (arXiv:1909.00512).",
    ),
    "cosine_std": MetricInfo(
        "standard deviation of the cosines", "neither", "Over all pairs of different abstracts: how wide they spread."
    ),
    "effective_rank": MetricInfo(
        "effective rank",
        "neither",
        "exp of the entropy of the normalised singular values of the matrix of unit vectors (Roy and Vetterli 2007); it "
        "rises with the number of abstracts and never exceeds it.",
    ),
    "first_component_share": MetricInfo(
        "share of the first component",
        "neither",
        "The largest squared singular value of that matrix over the sum of all: 1 where all vectors have one direction.",
        style="percent",
    ),
}


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Two documents are needed for a pair."""
    del settings
    return None if len(data.test) > 1 else "the corpus holds out fewer than two documents"


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Embed the first `num_embeddings` held-out documents and compare each with every other.

    Returns:
        One record a document: the nearest other one by mean pooling, and whether it is of the same category. `details` has
        a record of statistics and histogram for each variant (`variants`), the same on the first `num_poolings`
        documents for each pooling (`poolings`), and of mean pooling and vectors as they are the jackknife's `terms` and
        the nearest `pairs`.
    """
    documents = data.test[: settings.num_embeddings]
    texts = [document.text for document in documents]
    labels = [document.primary_category for document in documents]
    vectors_ND = system.embed(texts, "mean")
    with progress(f"comparing vectors of {system.label}", None, shown=len(texts) > _MANY):
        clouds = _clouds("mean", vectors_ND, labels, settings)
    num_poolings = min(settings.num_poolings, len(texts))
    poolings = [
        cloud.record
        for pooling, own_ND in _poolings(system, texts[:num_poolings])
        for cloud in _clouds(pooling, own_ND, labels[:num_poolings], settings)
    ]
    raw = clouds[0]
    samples = [
        {
            "id": document.id,
            "primary_category": document.primary_category,
            "nearest": documents[raw.neighbours.nearest_N[index]].id,
            "nearest_cosine": float(raw.neighbours.cosine_N[index]),
            PRIMARY_METRIC: float(raw.neighbours.same_N[index]) if document.primary_category != UNKNOWN else None,
        }
        for index, document in enumerate(documents)
    ]
    pairs = [
        {"ids": [documents[left].id, documents[right].id], "cosine": cosine}
        for left, right, cosine in nearest_pairs(raw.neighbours, NUM_PAIRS)
    ]
    terms = {name: own_G.tolist() for name, own_G in jackknife_terms(directions(vectors_ND.astype(np.float64))).items()}
    variants = [cloud.record for cloud in clouds]
    return Measurement(samples, {"variants": variants, "poolings": poolings, "terms": terms, "pairs": pairs})


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Metrics of mean pooling and vectors as they are; other poolings and variants stand in figures and tables."""
    estimates = {key: _estimates(own, settings) for key, own in measurements.items()}
    variants: dict[str, list[dict[str, Any]]] = {key: own.details["variants"] for key, own in measurements.items()}
    poolings: dict[str, list[dict[str, Any]]] = {key: own.details["poolings"] for key, own in measurements.items()}
    num_documents = len(next(iter(measurements.values())).samples)
    figures = [show.cosine_histogram(variants, num_documents), show.neighbour_bars(variants, PRIMARY_METRIC)]
    if subject in variants:
        figures.append(show.variant_histogram(subject, variants[subject]))
    tables = [show.space_table("variants", "Mean pooling, all abstracts", variants, _INFOS)]
    if any(poolings.values()):
        tables.append(show.space_table("poolings", "Poolings compared, on fewer abstracts", poolings, _INFOS))
    pairs = {key: measurement.details["pairs"] for key, measurement in measurements.items()}
    return TaskResult(
        primary_metric=PRIMARY_METRIC,
        infos=_INFOS,
        estimates=estimates,
        comparisons=compare_all(_INFOS, estimates, subject),
        figures=figures,
        tables=tables,
        examples=show.nearest_pair_examples(pairs, data.test[:num_documents]),
        notes=_notes(data.test[:num_documents]),
        details={"variants": variants, "poolings": poolings},
    )


@dataclass(frozen=True)
class _Cloud:
    record: dict[str, Any]
    neighbours: Neighbours


def _clouds(pooling: Pooling, vectors_ND: np.ndarray, labels: Sequence[str], settings: EvaluateSection) -> list[_Cloud]:
    """One for each variant, the vectors as they are first."""
    known_N = np.array(labels) != UNKNOWN
    clouds = []
    for variant, transformation in transformations(vectors_ND).items():
        directions_NK = directions(transformation(vectors_ND))
        found = neighbours(directions_NK, labels)
        same = _mean(found.same_N[known_N], settings)
        record = {
            "pooling": pooling,
            "variant": variant,
            "num_documents": len(labels),
            "dimensions": transformation.dimensions,
            **shape_statistics(directions_NK),
            PRIMARY_METRIC: same and same.value,
            f"{PRIMARY_METRIC}_ci95": same and same.ci95,
            "histogram": found.histogram_B.tolist(),
        }
        clouds.append(_Cloud(record, found))
    return clouds


def _poolings(system: System, texts: Sequence[str]) -> Iterator[tuple[Pooling, np.ndarray]]:
    """Each pooling that the system has; none of fewer than two texts."""
    if len(texts) < 2:
        return
    yield "mean", system.embed(texts, "mean")
    for pooling in _OTHER_POOLINGS:
        try:
            yield pooling, system.embed(texts, pooling)
        except UnsupportedError:
            continue


def _estimates(measurement: Measurement, settings: EvaluateSection) -> dict[str, Estimate]:
    samples = measurement.samples
    same = _mean(
        np.array([sample[PRIMARY_METRIC] for sample in samples if sample[PRIMARY_METRIC] is not None]), settings
    )
    terms = {
        name: estimate_mean(np.array(own), settings.num_resamples, settings.seed)
        for name, own in measurement.details["terms"].items()
    }
    shape = {name: Estimate(own.value, own.values_R, len(samples)) for name, own in terms.items()}
    return ({PRIMARY_METRIC: same} if same else {}) | shape


def _mean(values: np.ndarray, settings: EvaluateSection) -> Estimate | None:
    return estimate_mean(values, settings.num_resamples, settings.seed) if len(values) else None


def _notes(documents: Sequence[Document]) -> list[str]:
    labels = [document.primary_category for document in documents if document.primary_category != UNKNOWN]
    if len(labels) < 2:
        return ["Hardly any abstract has a known category, so that nearest neighbours cannot be judged."]
    _, counts = np.unique(np.array(labels), return_counts=True)
    chance = float((counts * (counts - 1)).sum()) / (len(labels) * (len(labels) - 1))
    return [
        f"A neighbour picked at random is of the same category in {100 * chance:.0f} % of cases.",
        "Cosines, effective rank and the share of the first component describe a shape; none is better high or low.",
    ]
