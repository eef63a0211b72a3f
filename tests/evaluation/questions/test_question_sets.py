from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astrollama.errors import SourceError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.questions.question_sets import GROUPS, asked_of_files, group_of, question_sets
from astrollama.sections import EvaluateSection


def records(subject: str, count: int, **fields: Any) -> list[dict[str, object]]:
    return [
        {"id": f"{subject}-{number}", "subject": subject, "question": f"{number}?", "choices": ["a", "b"], "answer": 0}
        | fields
        for number in range(count)
    ]


@pytest.fixture
def data(write_jsonl: Callable[..., Path]) -> EvaluationData:
    examples = [{**record, "id": f"dev-{record['id']}", "split": "dev"} for record in records("optics", 2)]
    path = write_jsonl(
        *records("astronomy", 9), *records("college_physics", 9), *records("optics", 3), *examples, name="own.jsonl"
    )
    return EvaluationData(Path(), seed=0, questions=(path,))


@pytest.mark.parametrize(
    ("subject", "group"),
    [
        ("astronomy", "astronomy"),
        ("Astrophysics", "astronomy"),
        ("observational cosmology", "astronomy"),
        ("high_school_physics", "physics"),
        ("law", "rest"),
    ],
)
def test_a_subject_s_name_tells_its_group(subject: str, group: str) -> None:
    assert group_of(subject) == group


def test_astronomy_is_asked_whole_and_other_subjects_in_part(data: EvaluationData) -> None:
    sets = question_sets(data, EvaluateSection(num_builtin_questions=8, num_questions=4), GROUPS)
    counts = {(own.group, own.subject): (len(own.asked), own.num_available, len(own.examples)) for own in sets}
    assert counts == {
        ("builtin_astronomy", "astronomy"): (8, 120, 5),
        ("builtin_general", "general"): (8, 120, 5),
        ("astronomy", "astronomy"): (9, 9, 0),
        ("physics", "college_physics"): (4, 9, 0),
        ("rest", "optics"): (3, 3, 2),
    }


def test_the_seed_decides_what_is_asked(data: EvaluationData) -> None:
    def drawn(seed: int) -> list[str]:
        (physics,) = question_sets(
            data, EvaluateSection(num_builtin_questions=8, num_questions=4, seed=seed), ["physics"]
        )
        return [question.id for question in physics.asked]

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert drawn(1) != drawn(2)


def test_a_reader_is_told_what_is_asked(data: EvaluationData) -> None:
    settings = EvaluateSection(num_builtin_questions=8, num_questions=4, num_fewshot=1)
    sets = question_sets(data, settings, GROUPS)
    assert asked_of_files(sets, settings) == [
        "Questions of own.jsonl: 9 of 9 as astronomy (astronomy); 4 of 9 as physics (college_physics, at most 4 of a subject); "
        "3 of 3 as rest (optics).",
        "Of 1 examples asked for before a question, 2 subjects have fewer: down to 0.",
    ]
    assert asked_of_files(question_sets(data, settings, ["builtin_general"]), settings) == []


def test_of_many_subjects_some_are_drawn_and_the_reader_is_told(write_jsonl: Callable[..., Path]) -> None:
    subjects = ["astronomy", "anatomy", "law", "logic", "optics", "virology"]
    path = write_jsonl(*(record for subject in subjects for record in records(subject, 2)), name="own.jsonl")
    data = EvaluationData(Path(), seed=0, questions=(path,))

    def drawn(seed: int) -> list[str]:
        settings = EvaluateSection(num_subjects=2, seed=seed)
        return [own.subject for own in question_sets(data, settings, ["astronomy", "rest"])]

    assert len(drawn(0)) == 3
    assert "astronomy" in drawn(0)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 1
    settings = EvaluateSection(num_subjects=2)
    assert asked_of_files(question_sets(data, settings, GROUPS), settings) == [
        "Questions of own.jsonl: 2 of 2 as astronomy (astronomy); 4 of 4 as rest (2 of 5 subjects)."
    ]


def test_the_same_question_in_two_files_is_refused(data: EvaluationData, write_jsonl: Callable[..., Path]) -> None:
    other = write_jsonl(*records("optics", 1), name="other.jsonl")
    twice = EvaluationData(Path(), seed=0, questions=(*data.questions, other))
    with pytest.raises(SourceError, match=r"own.jsonl and .*other.jsonl both have a question 'optics-0': give each"):
        question_sets(twice, EvaluateSection(), GROUPS)
