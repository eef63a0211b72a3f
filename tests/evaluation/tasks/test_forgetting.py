from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import SourceError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL
from astrollama.evaluation.likelihoods.general_text import general_passages
from astrollama.evaluation.presets import quick
from astrollama.evaluation.questions.questions import builtin_questions, read_questions
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import forgetting, knowledge
from astrollama.models.load import load_model
from astrollama.sections import EvaluateSection
from tests.conftest import make_tiny_model
from tests.evaluation.answering import KnownAnswers, answering_system, local_system
from tests.evaluation.tasks.test_knowledge import records

SETTINGS = EvaluateSection(num_questions=6, num_builtin_questions=12, num_general_tokens=4000, num_resamples=500)
WITHOUT_TEXT = EvaluationData(Path(), seed=0)


@pytest.fixture
def data(sample_texts: list[str], tmp_path: Path, write_jsonl: Callable[..., Path]) -> EvaluationData:
    general = tmp_path / "general.txt"
    general.write_text("\n\n".join(sample_texts), encoding="utf-8")
    questions = write_jsonl(*records("law", 7), *records("astronomy", 7), *records("physics", 7))
    return EvaluationData(Path(), seed=0, questions=(questions,), general=general)


def measured(data: EvaluationData, *systems: System) -> dict[str, Measurement]:
    """Each system's measurement as it comes back from the disk."""
    own = {system.key: asdict(forgetting.measure(system, data, SETTINGS)) for system in systems}
    return {key: Measurement(**json.loads(json.dumps(record))) for key, record in own.items()}


def test_perplexity_is_that_of_the_passages(data: EvaluationData, tiny_model: Path, tmp_path: Path) -> None:
    measurements = measured(data, local_system("base", tiny_model, tmp_path))
    result = forgetting.summarise(measurements, data, SETTINGS, "adapted")
    assert data.general is not None
    passages = general_passages(data.general, SETTINGS)
    scores = HFLanguageModel(load_model(str(tiny_model))).loglikelihood_rolling([own.text for own in passages])
    nll = sum(score.nll for score in scores)
    own = result.estimates["base"]
    assert own["general_perplexity"].value == pytest.approx(math.exp(nll / sum(score.num_tokens for score in scores)))
    num_bytes = sum(score.num_bytes for score in scores)
    assert own["general_bits_per_byte"].value == pytest.approx(nll / math.log(2) / num_bytes)
    assert own["general_bits_per_byte"].num_samples == len(passages) >= 5
    assert (own["outside_accuracy"].num_samples, own["builtin_general_accuracy"].num_samples) == (6, 12)
    assert result.primary_metric == "general_bits_per_byte"
    assert "of general.txt" in result.notes[0]
    assert result.notes[-1] == "Questions of papers.jsonl: 6 of 7 as rest (law, at most 6 of a subject)."


def test_a_model_against_itself_shows_no_difference(data: EvaluationData, tiny_model: Path, tmp_path: Path) -> None:
    systems = [local_system(key, tiny_model, tmp_path) for key in ("base", "adapted")]
    result = forgetting.summarise(measured(data, *systems), data, SETTINGS, "adapted")
    assert [comparison.metric for comparison in result.comparisons] == list(result.infos)
    for comparison in result.comparisons:
        assert (comparison.difference, comparison.ci95, comparison.verdict) == (0, [0, 0], "undecided")


def test_perplexities_of_other_tokenizers_are_not_compared(
    data: EvaluationData, tiny_model: Path, sample_texts: list[str], tmp_path: Path
) -> None:
    other = make_tiny_model(tmp_path / "other", sample_texts[:20], seed=0)
    systems = [local_system("base", tiny_model, tmp_path), local_system("adapted", other, tmp_path)]
    result = forgetting.summarise(measured(data, *systems), data, SETTINGS, "adapted")
    assert "general_perplexity" in result.estimates["adapted"]
    compared = [comparison.metric for comparison in result.comparisons]
    assert compared == [name for name in result.infos if name != "general_perplexity"]


def test_without_general_text_questions_are_left_and_the_option_is_named(tmp_path: Path) -> None:
    questions = builtin_questions("general")
    system = answering_system("base", lambda: KnownAnswers(questions, 2.0, lambda question: True), tmp_path)
    assert forgetting.missing(WITHOUT_TEXT, SETTINGS) is None
    result = forgetting.summarise(measured(WITHOUT_TEXT, system), WITHOUT_TEXT, SETTINGS, "adapted")
    assert (
        list(result.infos) == list(result.estimates["base"]) == [result.primary_metric] == ["builtin_general_accuracy"]
    )
    assert result.estimates["base"][result.primary_metric].value == 1
    assert result.notes == ["Perplexity of general text is left out: give a file of it with --general FILE."]


def test_too_few_passages_for_an_interval_leave_the_summary_to_the_questions(
    data: EvaluationData, tiny_model: Path, tmp_path: Path
) -> None:
    few = SETTINGS.model_copy(update={"num_general_tokens": 1000})
    system = local_system("base", tiny_model, tmp_path)
    result = forgetting.summarise({"base": forgetting.measure(system, data, few)}, data, few, "adapted")
    assert 0 < result.estimates["base"]["general_bits_per_byte"].num_samples < MIN_SAMPLES_FOR_INTERVAL
    assert result.primary_metric == "builtin_general_accuracy"
    assert result.notes[0].startswith("The passages are fewer than 6")


def test_a_quick_look_reads_passages_enough_for_an_interval(tmp_path: Path) -> None:
    """A text without blank lines has the longest passages."""
    general = tmp_path / "general.txt"
    general.write_text("astronomy is old. " * 10_000, encoding="utf-8")
    assert len(general_passages(general, quick(EvaluateSection())[0])) >= MIN_SAMPLES_FOR_INTERVAL


def test_a_text_that_is_too_short_is_told(data: EvaluationData, tiny_model: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"num_general_tokens": 10_000_000})
    system = local_system("base", tiny_model, tmp_path)
    measurements = {"base": forgetting.measure(system, data, settings)}
    notes = forgetting.summarise(measurements, data, settings, "adapted").notes
    assert notes[1] == "That is all of it: 40,000,000 bytes were asked for (10,000,000 tokens)."


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"", "holds no text"), (b"\xff", "not utf8")]
)
def test_a_text_that_cannot_be_read_is_refused_before_anything_is_measured(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        forgetting.missing(EvaluationData(Path(), seed=0, general=path), SETTINGS)


def test_a_question_that_knowledge_asked_is_not_asked_again(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    path = write_jsonl(*records("law", 6))
    data = EvaluationData(Path(), seed=0, questions=(path,))
    questions = [*builtin_questions("astronomy"), *builtin_questions("general"), *read_questions(path)]
    scorers = [KnownAnswers(questions, 2.0, lambda question: True) for _ in range(2)]
    knowledge.measure(answering_system("base", lambda: scorers[0], tmp_path), data, SETTINGS)
    forgetting.measure(answering_system("base", lambda: scorers[1], tmp_path), data, SETTINGS)
    assert scorers[1].pairs
    assert any("law 1?" in context for context, _ in scorers[0].pairs)
    assert not any("law 1?" in context for context, _ in scorers[1].pairs)
