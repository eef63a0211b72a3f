from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from astrollama.backends.base import ContinuationLikelihood
from astrollama.errors import SourceError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.questions.questions import Question, builtin_questions, read_questions
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import knowledge
from astrollama.sections import EvaluateSection
from tests.evaluation.answering import KnownAnswers, answering_system, local_system, probability

SETTINGS = EvaluateSection(num_questions=8, num_builtin_questions=16, num_resamples=500)
BUILTIN = EvaluationData(Path(), seed=0)


def measured(data: EvaluationData, *systems: System, settings: EvaluateSection = SETTINGS) -> dict[str, Measurement]:
    """Each system's measurement as it comes back from the disk."""
    own = {system.key: asdict(knowledge.measure(system, data, settings)) for system in systems}
    return {key: Measurement(**json.loads(json.dumps(record))) for key, record in own.items()}


def knowing(key: str, data: EvaluationData, folder: Path, knows: Callable[[Question], bool], margin: float) -> System:
    questions = [*builtin_questions("astronomy"), *(own for path in data.questions for own in read_questions(path))]
    return answering_system(key, lambda: KnownAnswers(questions, margin, knows), folder)


def records(subject: str, count: int, **fields: Any) -> list[dict[str, object]]:
    return [
        {"id": f"{subject}-{number}", "subject": subject, "question": f"{subject} {number}?", "answer": "B"}
        | {"choices": ["one", "two", "three", "four"]}
        | fields
        for number in range(count)
    ]


def test_who_knows_all_answers_is_always_right(tmp_path: Path) -> None:
    system = knowing("base", BUILTIN, tmp_path, lambda question: True, margin=2.0)
    result = knowledge.summarise(measured(BUILTIN, system), BUILTIN, SETTINGS, "adapted")
    own = result.estimates["base"]
    assert list(own) == list(result.infos)
    for name, estimate in own.items():
        if name.endswith("_ece"):
            assert estimate.value == pytest.approx(1 - probability(2.0))
            assert estimate.num_samples == 16
        else:
            assert estimate.value == 1
            assert estimate.ci95 == [1, 1]
            assert estimate.num_samples == 16


def test_calibration_and_accuracy_are_those_computed_by_hand(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    """All that is known and all that is not has the same probability, and so lies in one bin."""
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("astronomy", 20)),))
    known = {f"astronomy-{number}" for number in range(5)} | {own.id for own in builtin_questions("astronomy")}
    system = knowing("base", data, tmp_path, lambda question: question.id in known, margin=3.0)
    result = knowledge.summarise(measured(data, system), data, SETTINGS, "adapted")
    own = result.estimates["base"]
    for score in ("answer", "choice"):
        assert own[f"astronomy_{score}_accuracy"].value == 5 / 20
        assert own[f"builtin_{score}_accuracy"].value == 1
        assert own[f"{score}_ece"].value == pytest.approx(probability(3.0) - 21 / 36)
    low, high = own["astronomy_answer_accuracy"].ci95 or (0, 0)
    assert 0.05 <= low < 0.25 < high <= 0.45
    by_chance = math.sqrt(2 / math.pi * 36 * probability(3.0) * (1 - probability(3.0))) / 36
    assert any(f"about {by_chance:.3f} (base), by chance" in note for note in result.notes)
    (diagram,) = (figure for figure in result.figures if figure.name == "reliability_answer")
    assert diagram.diagonal
    assert list(diagram.series[0].x) == pytest.approx([probability(3.0)])
    assert list(diagram.series[0].y) == pytest.approx([21 / 36])


def test_a_group_too_small_for_an_interval_leaves_the_others_theirs(
    tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("astronomy", 5)),))
    system = knowing("base", data, tmp_path, lambda question: True, margin=2.0)
    result = knowledge.summarise(measured(data, system), data, SETTINGS, "adapted")
    for bars in result.figures[:2]:
        (own,) = bars.series
        assert list(own.x) == ["astronomy, built-in", "astronomy, of files"]
        assert (own.low[0], own.high[0]) == (1, 1)
        assert math.isnan(own.low[1])
        assert math.isnan(own.high[1])
        assert bars.note.startswith("95 % intervals over questions (none for fewer than 6).")


def test_any_of_several_right_answers_is_right(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("astronomy", 6, answer=["B", "D"])),))
    system = knowing("base", data, tmp_path, lambda question: True, margin=2.0)
    measurements = measured(data, system)
    # of several the stand-in prefers the last
    mine = [record for record in measurements["base"].samples if record["group"] == "astronomy"]
    assert [(record["chosen"], record["right"], record["correct"]) for record in mine] == [(3, [1, 3], True)] * 12
    result = knowledge.summarise(measurements, data, SETTINGS, "adapted")
    assert result.estimates["base"]["astronomy_choice_accuracy"].value == 1
    (table,) = (table for table in result.tables if table.name == "groups")
    assert [row[:5] for row in table.rows if row[0] == "astronomy, of files"] == [
        ["astronomy, of files", "answer", 6, 0.5, 1],
        ["astronomy, of files", "answer summed", 6, 0.5, 1],
        ["astronomy, of files", "choice", 6, 0.5, 1],
    ]


def test_long_choices_are_at_no_disadvantage_per_byte(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    """Of two wrong choices with the same likelihood the longer one is likelier per byte."""

    class Same:
        def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[ContinuationLikelihood]:
            return [ContinuationLikelihood(3.0, 1, greedy=False) for _ in pairs]

    long = "a choice of many bytes, ééé"
    questions = write_jsonl(*records("astronomy", 6, choices=["short", "brief", long], answer="C"))
    data = EvaluationData(Path(), seed=0, questions=(questions,))
    measurements = measured(data, answering_system("base", Same, tmp_path))
    records_of_file = [record for record in measurements["base"].samples if record["group"] == "astronomy"]
    answer, choice = records_of_file[0], records_of_file[-1]
    assert answer["log_likelihoods"] == choice["log_likelihoods"] == [-3.0, -3.0, -3.0]
    assert (answer["chosen"], answer["chosen_per_byte"]) == (0, 2)
    assert answer["probability"] == pytest.approx(1 / 3)
    assert "chosen_per_byte" not in choice
    own = knowledge.summarise(measurements, data, SETTINGS, "adapted").estimates["base"]
    values = {name: own[f"astronomy_{name}_accuracy"].value for name in ("answer", "answer_summed", "choice")}
    assert values == {"answer": 1, "answer_summed": 0, "choice": 0}


def test_a_favourite_letter_is_told(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("law", 8, answer="A")),))
    settings = SETTINGS.model_copy(update={"num_questions": 8, "num_builtin_questions": 16})
    system = knowing("base", data, tmp_path, lambda question: question.subject == "law", margin=2.0)
    notes = knowledge.summarise(measured(data, system, settings=settings), data, settings, "adapted").notes
    assert any(note.startswith("Asked for a letter, base chose A in ") for note in notes)
    assert "Questions of papers.jsonl: 8 of 8 as rest (law)." in notes


def test_a_model_against_itself_shows_no_difference(tiny_model: Path, tmp_path: Path) -> None:
    systems = [local_system(key, tiny_model, tmp_path) for key in ("base", "adapted")]
    result = knowledge.summarise(measured(BUILTIN, *systems), BUILTIN, SETTINGS, "adapted")
    assert [comparison.metric for comparison in result.comparisons] == list(result.infos)
    for comparison in result.comparisons:
        assert (comparison.difference, comparison.ci95, comparison.verdict) == (0, [0, 0], "undecided")
    assert result.primary_metric in result.infos


def test_who_knows_less_is_worse(tmp_path: Path) -> None:
    systems = [
        knowing(key, BUILTIN, tmp_path, lambda question, key=key: key == "base", margin=2.0)  # type: ignore[misc]
        for key in ("base", "adapted")
    ]
    result = knowledge.summarise(measured(BUILTIN, *systems), BUILTIN, SETTINGS, "adapted")
    assert {comparison.verdict for comparison in result.comparisons} == {"worse"}


def test_one_question_has_no_interval_and_is_no_error(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("astronomy", 1)),))
    settings = EvaluateSection(num_questions=1, num_builtin_questions=2, num_resamples=500)
    system = knowing("base", data, tmp_path, lambda question: True, margin=2.0)
    result = knowledge.summarise(measured(data, system, settings=settings), data, settings, "adapted")
    estimate = result.estimates["base"]["astronomy_answer_accuracy"]
    assert (estimate.value, estimate.ci95, estimate.num_samples) == (1, None, 1)


def test_too_few_questions_of_files_leave_the_summary_to_the_built_in_ones(
    tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("astronomy", 5)),))
    system = knowing("base", data, tmp_path, lambda question: True, margin=2.0)
    result = knowledge.summarise(measured(data, system), data, SETTINGS, "adapted")
    assert "astronomy_answer_accuracy" in result.infos
    assert result.primary_metric == "builtin_answer_accuracy"
    assert any(note.startswith("The questions of files on astronomy are fewer than 6") for note in result.notes)


def test_a_file_with_an_answer_outside_its_choices_is_refused_before_anything_is_measured(
    write_jsonl: Callable[..., Path],
) -> None:
    data = EvaluationData(Path(), seed=0, questions=(write_jsonl(*records("astronomy", 1, answer="E")),))
    with pytest.raises(SourceError, match=r"line 1: answer 'E' is outside its 4 choices \(A to D, 0 to 3\): mend"):
        knowledge.missing(data, SETTINGS)
    assert knowledge.missing(BUILTIN, SETTINGS) is None


@pytest.mark.parametrize(
    ("subjects", "primary"),
    [
        ([], "builtin_answer_accuracy"),
        (["law"], "builtin_answer_accuracy"),
        (["law", "astronomy"], "astronomy_answer_accuracy"),
    ],
)
def test_questions_on_astronomy_of_files_come_first(
    subjects: list[str], primary: str, tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    files = (write_jsonl(*(own for subject in subjects for own in records(subject, 6))),) if subjects else ()
    data = EvaluationData(Path(), seed=0, questions=files)
    system = knowing("base", data, tmp_path, lambda question: True, margin=2.0)
    result = knowledge.summarise(measured(data, system), data, SETTINGS, "adapted")
    assert result.primary_metric == primary
    assert primary in result.estimates["base"]
