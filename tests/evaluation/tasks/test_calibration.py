from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astrollama.backends.base import TokenPredictions
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import calibration
from astrollama.models.load import load_model
from astrollama.sections import EvaluateSection
from tests.conftest import make_tiny_model
from tests.evaluation.labelled import corpus_of, separable
from tests.evaluation.scored import tiny_system

SETTINGS = EvaluateSection(num_calibration=20, num_resamples=500)


class KnownConfidence:
    """A token a word; the likeliest is right with a known share of its confidence."""

    def __init__(self, truth: float) -> None:
        self._truth = truth

    def token_predictions(self, texts: Sequence[str]) -> list[TokenPredictions]:
        generator = np.random.default_rng(0)
        predictions = []
        for text in texts:
            confidence_T = generator.uniform(0, 1, len(text.split())).astype(np.float32)
            correct_T = generator.random(len(confidence_T)) < self._truth * confidence_T
            predictions.append(TokenPredictions(np.full_like(confidence_T, 2.0), confidence_T, correct_T))
        return predictions


def known_system(key: str, truth: float) -> System:
    system = tiny_system(key, Path())
    return replace(system, opener=lambda: KnownConfidence(truth))


@pytest.fixture(scope="module")
def data(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, seed=0)


def measured(data: EvaluationData, *systems: System, settings: EvaluateSection = SETTINGS) -> dict[str, Measurement]:
    """Each system's measurement as it comes back from the disk."""
    own = {system.key: asdict(calibration.measure(system, data, settings)) for system in systems}
    return {key: Measurement(**json.loads(json.dumps(record))) for key, record in own.items()}


def test_metrics_are_those_of_all_probabilities(data: EvaluationData, tiny_model: Path) -> None:
    result = calibration.summarise(measured(data, tiny_system("base", tiny_model)), data, SETTINGS, "adapted")
    own = result.estimates["base"]
    loaded = load_model(str(tiny_model))
    model = loaded.model.double()
    nll, confidence, correct = [], [], []
    for document in data.test[:20]:
        tokens_T = torch.tensor([loaded.tokenizer.bos_id, *loaded.tokenizer.encode([document.text])[0]])
        with torch.no_grad():
            log_probabilities_TV = model(tokens_T[None]).logits[0, :-1].log_softmax(-1)
        nll += (-log_probabilities_TV.gather(-1, tokens_T[1:, None])[:, 0]).tolist()
        top_T = log_probabilities_TV.max(-1)
        confidence += top_T.values.exp().tolist()
        correct += (top_T.indices == tokens_T[1:]).tolist()
    assert own["nll"].value == pytest.approx(np.mean(nll), rel=1e-4)
    assert own["mean_confidence"].value == pytest.approx(np.mean(confidence), rel=1e-4)
    assert own["accuracy"].value == pytest.approx(np.mean(correct), abs=1e-3)
    assert own["overconfidence"].value == pytest.approx(np.mean(confidence) - np.mean(correct), abs=1e-3)
    # no token is predicted with more than a fifteenth, so that there is one bin, and the error its gap
    assert max(confidence) < 1 / 15
    assert own["ece"].value == pytest.approx(abs(np.mean(confidence) - np.mean(correct)), abs=1e-3)
    assert list(own) == list(result.infos)
    assert own["ece"].num_samples == 20


def test_what_promises_too_much_is_worse_calibrated(data: EvaluationData) -> None:
    measurements = measured(data, known_system("base", 1.0), known_system("adapted", 0.5))
    result = calibration.summarise(measurements, data, SETTINGS, "adapted")
    verdicts = {comparison.metric: comparison.verdict for comparison in result.comparisons}
    assert verdicts == {
        "ece": "worse",
        "ece_equal_mass": "worse",
        "overconfidence": "undecided",
        "nll": "undecided",
        "accuracy": "worse",
        "mean_confidence": "undecided",
    }
    base, adapted = result.estimates["base"], result.estimates["adapted"]
    assert adapted["ece"].value == pytest.approx(0.25, abs=0.03)
    assert adapted["overconfidence"].value == pytest.approx(0.25, abs=0.03)
    # the calibrated one shows an error of the size that chance gives
    assert base["ece"].value < 2 * result.details["ece_by_chance"]["base"]
    assert any("by chance alone" in note for note in result.notes)


def test_the_diagram_shows_every_system_and_the_table_every_bin(data: EvaluationData) -> None:
    measurements = measured(data, known_system("base", 1.0), known_system("adapted", 0.5))
    result = calibration.summarise(measurements, data, SETTINGS, "adapted")
    diagram, spread = result.figures
    assert diagram.diagonal
    assert [series.system for series in diagram.series] == ["base", "adapted"]
    for series in diagram.series:
        assert len(series.x) == len(series.y) == len(series.low) == len(series.high) > 10
        assert all(low <= y <= high for low, y, high in zip(series.low, series.y, series.high, strict=True))
    below = sum(y < x for x, y in zip(diagram.series[1].x, diagram.series[1].y, strict=True))  # type: ignore[operator]
    assert below == len(diagram.series[1].x), "overconfident everywhere"
    for series in spread.series:
        assert len(series.x) == len(series.y) + 1
        assert sum(series.y) == pytest.approx(100)
    num_tokens = sum(len(document.text.split()) for document in data.test[:20])
    counts = {key: sum(int(row[2]) for row in result.tables[0].rows if row[0] == key) for key in measurements}  # type: ignore[arg-type]
    assert counts == {"base": num_tokens, "adapted": num_tokens}


def test_between_tokenizers_calibration_is_compared_and_not_accuracy(
    data: EvaluationData, tiny_model: Path, tmp_path: Path, sample_texts: list[str]
) -> None:
    other = make_tiny_model(tmp_path / "other", sample_texts[:60], seed=0)
    measurements = measured(data, tiny_system("base", tiny_model), tiny_system("adapted", other))
    result = calibration.summarise(measurements, data, SETTINGS, "adapted")
    assert {comparison.metric for comparison in result.comparisons} == {"ece", "ece_equal_mass", "overconfidence"}
    assert any(note.startswith("base and adapted divide texts into different tokens") for note in result.notes)


class KnowsNothing:
    """Finds each of a million tokens as likely as any other."""

    def token_predictions(self, texts: Sequence[str]) -> list[TokenPredictions]:
        return [
            TokenPredictions(
                np.full(len(text.split()), np.log(1e6), np.float32),
                np.full(len(text.split()), 1e-6, np.float32),
                np.zeros(len(text.split()), bool),
            )
            for text in texts
        ]


def test_who_knows_nothing_is_well_calibrated_and_a_note_says_so(data: EvaluationData) -> None:
    nothing = replace(tiny_system("adapted", Path()), opener=KnowsNothing)
    result = calibration.summarise(measured(data, known_system("base", 0.9), nothing), data, SETTINGS, "adapted")
    assert result.estimates["adapted"]["ece"].value == pytest.approx(1e-6)
    verdicts = {comparison.metric: comparison.verdict for comparison in result.comparisons}
    assert (verdicts["ece"], verdicts["nll"], verdicts["accuracy"]) == ("better", "worse", "worse")
    assert "a model that knows nothing" in result.notes[0]


def test_without_held_out_documents_nothing_is_measured(data: EvaluationData, tmp_path: Path) -> None:
    assert calibration.missing(data, SETTINGS) is None
    assert calibration.missing(corpus_of(tmp_path, separable(3, 0), []), SETTINGS) == "the corpus holds no document out"


def test_two_documents_have_values_and_no_interval(data: EvaluationData, tiny_model: Path) -> None:
    settings = SETTINGS.model_copy(update={"num_calibration": 2})
    systems = tiny_system("base", tiny_model), tiny_system("adapted", tiny_model)
    result = calibration.summarise(measured(data, *systems, settings=settings), data, settings, "adapted")
    assert all(own.ci95 is None for own in result.estimates["base"].values())
    assert {comparison.verdict for comparison in result.comparisons} == {"undecided"}
    assert result.figures[0].series[0].x == []
    assert result.tables[0].rows[0][-1] is None
