from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.likelihoods.groups import document_groups
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import perplexity
from astrollama.models.load import load_model
from astrollama.sections import EvaluateSection
from tests.conftest import make_tiny_model
from tests.evaluation.labelled import corpus_of, separable
from tests.evaluation.scored import known_system, tiny_system

SETTINGS = EvaluateSection(num_documents=36, packed_length=64, num_resamples=500)


@pytest.fixture(scope="module")
def data(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, seed=0)


@pytest.fixture(scope="module")
def known(data: EvaluationData) -> dict[str, Measurement]:
    """A base, and a model that gains exactly half a nat a token."""
    return measured(data, known_system("base", 3.0), known_system("adapted", 2.5))


@pytest.fixture(scope="module")
def tiny(data: EvaluationData, tiny_model: Path) -> Measurement:
    return measured(data, tiny_system("base", tiny_model))["base"]


def measured(data: EvaluationData, *systems: System, settings: EvaluateSection = SETTINGS) -> dict[str, Measurement]:
    """Each system's measurement as it comes back from the disk."""
    own = {system.key: asdict(perplexity.measure(system, data, settings)) for system in systems}
    return {key: Measurement(**json.loads(json.dumps(record))) for key, record in own.items()}


def plain_nll(model: torch.nn.Module, rows: Sequence[list[int]]) -> tuple[float, int]:
    """The loss of each row's tokens after the first, by the shortest way, in double precision throughout."""
    nll = 0.0
    for row in rows:
        tokens_BT = torch.tensor([row])
        with torch.no_grad():
            log_probabilities_BTV = model(tokens_BT).logits.log_softmax(-1)
        nll -= log_probabilities_BTV[0, :-1].gather(-1, tokens_BT[0, 1:, None]).sum().item()
    return nll, sum(len(row) - 1 for row in rows)


def test_perplexity_is_that_of_a_plain_float64_computation(
    data: EvaluationData, tiny: Measurement, tiny_model: Path
) -> None:
    estimates = perplexity.summarise({"base": tiny}, data, SETTINGS, "adapted").estimates["base"]
    loaded = load_model(str(tiny_model))
    model = loaded.model.double()
    documents = data.test[: SETTINGS.num_documents]
    encoded = loaded.tokenizer.encode_documents([document.text for document in documents])
    nll, num_tokens = plain_nll(model, [tokens[:-1] for tokens in encoded])
    assert estimates["perplexity"].value == pytest.approx(math.exp(nll / num_tokens), rel=1e-4)
    num_bytes = sum(len(document.text.encode()) for document in documents)
    assert estimates["bits_per_byte"].value == pytest.approx(nll / math.log(2) / num_bytes, rel=1e-4)
    num_words = sum(len(document.text.split()) for document in documents)
    assert estimates["bits_per_word"].value == pytest.approx(nll / math.log(2) / num_words, rel=1e-4)
    stream = [token for tokens in encoded for token in tokens]
    pieces = [stream[start : start + 64] for start in range(0, len(stream) - 63, 64)]
    nll, num_tokens = plain_nll(model, pieces)
    assert estimates["packed_perplexity"].value == pytest.approx(math.exp(nll / num_tokens), rel=1e-4)
    assert estimates["packed_perplexity"].num_samples == len(pieces) > 100


def test_perplexity_weighs_by_tokens_and_its_reduction_is_paired(
    data: EvaluationData, known: dict[str, Measurement]
) -> None:
    result = perplexity.summarise(known, data, SETTINGS, "adapted")
    words = [len(document.text.split()) for document in data.test[:36]]
    nll = sum(count * (3.0 + index % 3 / 10) for index, count in enumerate(words))
    base = result.estimates["base"]
    assert base["perplexity"].value == pytest.approx(math.exp(nll / sum(words)))
    assert base["perplexity"].ci95 is not None
    assert base["perplexity"].ci95[0] < base["perplexity"].value < base["perplexity"].ci95[1]
    assert base["median_document_perplexity"].value == pytest.approx(math.exp(3.1))
    # each document gains exactly half a nat a token, so that pairing leaves no width at all
    for comparison in result.comparisons:
        if comparison.metric in ("perplexity", "median_document_perplexity", "packed_perplexity"):
            assert comparison.difference == pytest.approx(math.exp(-0.5) - 1)
            assert comparison.ci95 == pytest.approx([math.exp(-0.5) - 1] * 2)
        assert comparison.verdict == "better"
    assert [comparison.metric for comparison in result.comparisons] == list(result.infos)
    assert result.primary_metric == "perplexity"
    assert result.notes == []


def test_the_headline_has_the_keys_of_the_first_schema_and_says_what_the_comparison_says(
    data: EvaluationData, known: dict[str, Measurement]
) -> None:
    metrics = perplexity.headline(known, SETTINGS)
    words = [len(document.text.split()) for document in data.test[:36]]
    assert metrics["num_documents"] == 36
    assert metrics["num_tokens"] == sum(words)
    assert metrics["num_bytes"] == sum(len(document.text.encode()) for document in data.test[:36])
    result = perplexity.summarise(known, data, SETTINGS, "adapted")
    for key in ("base", "adapted"):
        own = result.estimates[key]
        assert [metrics[key], metrics[f"{key}_ci95"]] == [own["perplexity"].value, own["perplexity"].ci95]
        bits = own["bits_per_byte"]
        assert [metrics[f"{key}_bits_per_byte"], metrics[f"{key}_bits_per_byte_ci95"]] == [bits.value, bits.ci95]
    assert metrics["relative_reduction"] == pytest.approx(1 - math.exp(-0.5))
    assert metrics["relative_reduction_ci95"] == pytest.approx([1 - math.exp(-0.5)] * 2)
    assert (metrics["version"], metrics["primary_metric"]) == (perplexity.VERSION, "relative_reduction")
    for groups in (metrics["by_year"], metrics["by_category"]):
        assert sum(group["num_documents"] for group in groups.values()) == 36
        assert sum(group["num_tokens"] for group in groups.values()) == sum(words)
    assert len(metrics["by_category"]) == 6


def test_another_model_s_reduction_in_the_headline_is_the_comparison_s(
    data: EvaluationData, tiny: Measurement, other_tiny_model: Path
) -> None:
    measurements = {"base": tiny} | measured(data, tiny_system("adapted", other_tiny_model))
    metrics = perplexity.headline(measurements, SETTINGS)
    comparison = perplexity.summarise(measurements, data, SETTINGS, "adapted").comparisons[0]
    assert comparison.ci95 is not None
    assert metrics["relative_reduction"] == pytest.approx(-comparison.difference)
    assert metrics["relative_reduction_ci95"] == pytest.approx([-bound for bound in reversed(comparison.ci95)])


def test_a_document_has_one_record_from_which_all_can_be_computed_again(
    data: EvaluationData, tiny: Measurement
) -> None:
    documents = data.test[:36]
    assert [sample["id"] for sample in tiny.samples] == [document.id for document in documents]
    assert [sample["content_hash"] for sample in tiny.samples] == [document.content_hash for document in documents]
    nll = sum(sample["nll"] for sample in tiny.samples)
    value = perplexity.headline({"base": tiny, "adapted": tiny}, SETTINGS)["base"]
    assert math.exp(nll / sum(sample["num_tokens"] for sample in tiny.samples)) == pytest.approx(value)


def test_models_with_other_tokenizers_compare_by_bits_alone(
    data: EvaluationData, tiny: Measurement, tmp_path: Path, sample_texts: list[str]
) -> None:
    other = make_tiny_model(tmp_path / "other", sample_texts[:60], seed=0)
    measurements = {"base": tiny} | measured(data, tiny_system("adapted", other))
    result = perplexity.summarise(measurements, data, SETTINGS, "adapted")
    assert {comparison.metric for comparison in result.comparisons} == {"bits_per_byte", "bits_per_word"}
    assert result.primary_metric == "bits_per_byte"
    assert result.notes[0].startswith("base and adapted divide texts into different tokens")
    assert all("bits per byte" in table.title for table in result.tables)
    assert "perplexity" in result.estimates["adapted"], "each has one, they are only not compared"
    metrics = perplexity.headline(measurements, SETTINGS)
    for record in (metrics, *metrics["by_year"].values(), *metrics["by_category"].values()):
        assert record["relative_reduction"] is record["relative_reduction_ci95"] is None
    # a third system with the subject's tokens is compared in everything
    result = perplexity.summarise(measurements | {"twin": measurements["adapted"]}, data, SETTINGS, "adapted")
    assert {comparison.metric for comparison in result.comparisons if comparison.against == "twin"} == {*result.infos}
    assert result.primary_metric == "bits_per_byte"


def test_groups_hold_every_document_once_and_small_ones_have_no_interval(
    data: EvaluationData, known: dict[str, Measurement]
) -> None:
    lone = {
        key: Measurement([{**own.samples[0], "date": "1999-01-01"}, *own.samples[1:]], own.details)
        for key, own in known.items()
    }
    result = perplexity.summarise(lone, data, SETTINGS, "adapted")
    tables = {table.name: table for table in result.tables}
    assert list(tables) == ["by_year", "by_category", "by_length"]
    for table in tables.values():
        assert sum(int(row[1]) for row in table.rows) == 36  # type: ignore[arg-type]
        for row in table.rows:
            assert row[4] == pytest.approx(100 * (1 - math.exp(-0.5)))
    assert tables["by_year"].rows[0][0] == "1999"
    assert tables["by_year"].rows[0][5:] == [None, None]
    figures = {figure.name: figure for figure in result.figures}
    assert "1999" not in figures["by_year"].series[0].x, "no interval, no bar"
    assert len(tables["by_length"].rows) == 4
    assert [row[1] for row in tables["by_length"].rows] == pytest.approx([9] * 4, abs=1)


def test_lengths_are_of_words_and_rare_categories_one_group() -> None:
    samples = [
        {"date": "", "primary_category": f"cs.{index:02}" if index < 15 else "astro-ph.GA", "num_words": 100 + index}
        for index in range(20)
    ]
    groups = document_groups(samples, "category")
    assert len(groups) == 13
    assert list(groups)[-1] == "other"
    assert len(groups["other"]) == 4
    assert list(document_groups(samples, "year")) == ["unknown"]
    lengths = document_groups(samples, "length")
    assert list(lengths) == ["100 to 104 words", "105 to 109 words", "110 to 114 words", "115 to 119 words"]
    assert sorted(index for indices in lengths.values() for index in indices) == list(range(20))
    same = document_groups([{**sample, "num_words": 50} for sample in samples], "length")
    assert list(same) == ["50 words"]


@pytest.mark.parametrize("number", [1, 2])
def test_one_or_two_documents_have_values_and_no_interval(
    data: EvaluationData, number: int, tiny_model: Path, other_tiny_model: Path
) -> None:
    settings = SETTINGS.model_copy(update={"num_documents": number, "packed_length": 512})
    systems = tiny_system("base", tiny_model), tiny_system("adapted", other_tiny_model)
    result = perplexity.summarise(measured(data, *systems, settings=settings), data, settings, "adapted")
    assert result.estimates["base"]["perplexity"].num_samples == number
    assert all(own.ci95 is None for own in result.estimates["base"].values())
    assert {comparison.verdict for comparison in result.comparisons} == {"undecided"}
    assert [figure.name for figure in result.figures] == ["perplexity"]


def test_without_a_base_or_the_subject_each_system_still_has_its_metrics(
    data: EvaluationData, known: dict[str, Measurement]
) -> None:
    for key, subject in (("adapted", "adapted"), ("base", "adapted")):
        result = perplexity.summarise({key: known[key]}, data, SETTINGS, subject)
        assert list(result.estimates) == [key]
        assert np.isfinite([own.value for own in result.estimates[key].values()]).all()
        assert result.comparisons == result.tables == []
        assert (result.primary_metric, result.notes) == ("perplexity", [])


def test_without_held_out_documents_nothing_is_measured(data: EvaluationData, tmp_path: Path) -> None:
    assert perplexity.missing(data, SETTINGS) is None
    assert perplexity.missing(corpus_of(tmp_path, separable(3, 0), []), SETTINGS) == "the corpus holds no document out"
