import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astrollama.backends.base import Ability
from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import UnsupportedError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import embeddings
from astrollama.models.load import load_model
from astrollama.models.pooling import Pooling
from astrollama.sections import EvaluateSection

METRICS = ["neighbour_same_category", "mean_cosine", "cosine_std", "effective_rank", "first_component_share"]
SETTINGS = EvaluateSection(num_embeddings=12, num_poolings=6, num_resamples=200)


class OnePooling:
    """A real model of which only the mean can be had."""

    name = "one pooling"
    digest = None
    abilities: frozenset[Ability] = frozenset({"embed"})

    def __init__(self, model: HFLanguageModel) -> None:
        self._model = model

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        if pooling != "mean":
            raise UnsupportedError("one pooling cannot pool so", "use mean")
        return self._model.embed(texts)


class Constant(OnePooling):
    """The same vector for every text."""

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        return np.tile(super().embed(["the same"], pooling=pooling), (len(texts), 1))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> HFLanguageModel:
    return HFLanguageModel(load_model(str(tiny_model), "cpu"))


@pytest.fixture(scope="module")
def data(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, 0)


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., System]:
    def make(key: str, model: object) -> System:
        return System(key, key, key, "other", frozenset({"embed"}), key, tmp_path / key, opener=lambda: model)

    return make


def measured(system: System, data: EvaluationData, settings: EvaluateSection = SETTINGS) -> Measurement:
    """Through JSON, as the runner keeps it."""
    own = embeddings.measure(system, data, settings)
    return Measurement(json.loads(json.dumps(own.samples)), json.loads(json.dumps(own.details)))


def test_a_model_against_itself_shows_no_difference(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System]
) -> None:
    measurements = {key: measured(system(key, model), data) for key in ("adapted", "base")}
    result = embeddings.summarise(measurements, data, SETTINGS, "adapted")
    assert [comparison.metric for comparison in result.comparisons] == METRICS
    for comparison in result.comparisons:
        assert (comparison.difference, comparison.ci95, comparison.verdict) == (0, [0, 0], "undecided")


def test_metrics_are_those_of_the_vectors(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System]
) -> None:
    documents = data.test[:12]
    vectors = model.embed([document.text for document in documents]).astype(float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    measurement = measured(system("base", model), data)
    result = embeddings.summarise({"base": measurement}, data, SETTINGS, "adapted")
    estimates = result.estimates["base"]
    assert list(estimates) == METRICS == list(result.infos)
    assert estimates["mean_cosine"].value == pytest.approx(cosines[np.triu_indices(12, k=1)].mean())
    np.fill_diagonal(cosines, -1)
    nearest = cosines.argmax(-1)
    same = [documents[i].primary_category == documents[j].primary_category for i, j in enumerate(nearest)]
    assert estimates["neighbour_same_category"].value == pytest.approx(np.mean(same))
    assert [sample["nearest"] for sample in measurement.samples] == [documents[j].id for j in nearest]
    for estimate in estimates.values():
        assert estimate.num_samples == 12
        assert estimate.ci95 is not None
        assert estimate.ci95[0] <= estimate.value <= estimate.ci95[1]


def test_the_report_has_every_pooling_and_variant(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System]
) -> None:
    measurements = {
        "adapted": measured(system("adapted", model), data),
        "minilm": measured(system("minilm", OnePooling(model)), data),
    }
    result = embeddings.summarise(measurements, data, SETTINGS, "adapted")
    variants, poolings = result.tables
    kinds = ["raw", "centred", "whitened", "top removed"]
    assert [row[:4] for row in variants.rows] == [
        [key, "mean", kind, 12] for key in ("adapted", "minilm") for kind in kinds
    ]
    assert [row[:4] for row in poolings.rows] == [
        *(["adapted", pooling, kind, 6] for pooling in ("mean", "last", "echo") for kind in kinds),
        *(["minilm", "mean", kind, 6] for kind in kinds),
    ], "an encoder with one way of pooling is there with that"
    for table in result.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    assert [figure.name for figure in result.figures] == ["cosines", "neighbours", "cosines_by_variant"]
    for figure in result.figures[::2]:
        for series in figure.series:
            assert len(series.x) == len(series.y) + 1
            assert sum(series.y) == pytest.approx(1)
    assert [[name for name, _ in example.answers] for example in result.examples] == [["adapted", "minilm"]] * 5
    titles = [document.title for document in data.test[:12]]
    for example in result.examples:
        assert all(sum(title in text for title in titles) == 2 for _, text in example.answers)


def test_the_poolings_are_different(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System]
) -> None:
    records = measured(system("base", model), data).details["poolings"]
    raw = [record["mean_cosine"] for record in records if record["variant"] == "raw"]
    assert len(set(raw)) == len(raw) == 3


def test_an_encoder_that_tells_nothing_apart_finds_neighbours_by_chance(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System]
) -> None:
    measurement = measured(system("constant", Constant(model)), data)
    result = embeddings.summarise({"constant": measurement}, data, SETTINGS, "constant")
    labels = [document.primary_category for document in data.test[:12]]
    chance = np.mean([(labels.count(label) - 1) / 11 for label in labels])
    estimates = result.estimates["constant"]
    assert estimates["neighbour_same_category"].value == pytest.approx(chance)
    assert estimates["mean_cosine"].value == pytest.approx(1)
    assert estimates["effective_rank"].value == pytest.approx(1)
    assert f"{100 * chance:.0f} % of cases" in result.notes[0]


@pytest.mark.parametrize("num_documents", [2, 3, MIN_SAMPLES_FOR_INTERVAL])
def test_few_documents_are_enough(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System], num_documents: int
) -> None:
    settings = SETTINGS.model_copy(update={"num_embeddings": num_documents})
    measurements = {key: measured(system(key, model), data, settings) for key in ("adapted", "base")}
    result = embeddings.summarise(measurements, data, settings, "adapted")
    for estimate in result.estimates["adapted"].values():
        assert (estimate.ci95 is None) == (num_documents < MIN_SAMPLES_FOR_INTERVAL)
    assert {comparison.verdict for comparison in result.comparisons} == {"undecided"}


def test_without_other_poolings_nothing_else_is_embedded(
    model: HFLanguageModel, data: EvaluationData, system: Callable[..., System]
) -> None:
    settings = SETTINGS.model_copy(update={"num_poolings": 0})
    measurement = measured(system("base", model), data, settings)
    assert measurement.details["poolings"] == []
    assert [table.name for table in embeddings.summarise({"base": measurement}, data, settings, "base").tables] == [
        "variants"
    ]


def test_two_documents_are_needed(data: EvaluationData, sample_corpus: Path) -> None:
    assert embeddings.missing(data, SETTINGS) is None
    alone = EvaluationData(sample_corpus, 0)
    alone.__dict__["test"] = data.test[:1]
    assert embeddings.missing(alone, SETTINGS) == "the corpus holds out fewer than two documents"


def test_documents_of_an_unknown_category_are_not_judged(
    model: HFLanguageModel, data: EvaluationData, sample_corpus: Path, system: Callable[..., System]
) -> None:
    unknown = EvaluationData(sample_corpus, 0)
    unknown.__dict__["test"] = [replace(document, primary_category="unknown") for document in data.test]
    result = embeddings.summarise({"base": measured(system("base", model), unknown)}, unknown, SETTINGS, "base")
    assert list(result.estimates["base"]) == METRICS[1:]
    assert "cannot be judged" in result.notes[0]
