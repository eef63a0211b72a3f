from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astrollama.errors import SourceError
from astrollama.evaluation.questions.questions import builtin_questions, read_questions
from tests.test_real_data import SHARED

GOOD: dict[str, Any] = {"question": "Which is a star?", "choices": ["Mars", "Vega", "Io"], "answer": "B"}


@pytest.mark.parametrize(
    ("fields", "right"),
    [
        ({"answer": "B"}, (1,)),
        ({"answer": "b"}, (1,)),
        ({"answer": 1}, (1,)),
        ({"answer": "AC"}, (0, 2)),
        ({"answer": "C, A"}, (0, 2)),
        ({"answer": ["A", "C"]}, (0, 2)),
        ({"answer": [2, 0]}, (0, 2)),
        ({"answer": "B", "answer_idx": [1]}, (1,)),
    ],
)
def test_an_answer_may_be_letters_or_indices(
    fields: dict[str, Any], right: tuple[int, ...], write_jsonl: Callable[..., Path]
) -> None:
    (question,) = read_questions(write_jsonl({**GOOD, **fields}))
    assert question.right == right


def test_an_index_alone_is_enough(write_jsonl: Callable[..., Path]) -> None:
    record = {key: value for key, value in GOOD.items() if key != "answer"}
    (question,) = read_questions(write_jsonl({**record, "answer_idx": [1]}))
    assert question.right == (1,)


def test_a_choice_with_the_text_of_a_right_one_is_right(write_jsonl: Callable[..., Path]) -> None:
    (question,) = read_questions(write_jsonl({**GOOD, "choices": ["687", "687", "1"], "answer": "A"}))
    assert question.right == (0, 1)


def test_what_a_file_leaves_out_is_called_by_the_file(write_jsonl: Callable[..., Path]) -> None:
    first, second = read_questions(write_jsonl(GOOD, {**GOOD, "id": "mine", "subject": "optics"}, name="stars.jsonl"))
    assert (first.id, first.subject) == ("stars:1", "stars")
    assert (second.id, second.subject) == ("mine", "optics")


def test_examples_are_asked_where_a_subject_has_nothing_else(write_jsonl: Callable[..., Path]) -> None:
    lone = {**GOOD, "subject": "lone", "split": "dev"}
    both = [{**GOOD, "subject": "both", "split": split} for split in ("dev", "test")]
    assert [question.split for question in read_questions(write_jsonl(lone, *both))] == ["test", "dev", "test"]


def test_a_compressed_file_is_read(write_jsonl: Callable[..., Path]) -> None:
    plain = write_jsonl(GOOD)
    packed = plain.with_name("papers.jsonl.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_questions(packed) == read_questions(plain)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"answer": "D"}, "line 2: answer 'D' is outside its 3 choices (A to C, 0 to 2)"),
        ({"answer": 3}, "line 2: answer 3 is outside its 3 choices (A to C, 0 to 2)"),
        ({"answer": -1}, "line 2: answer -1 is outside"),
        ({"answer": "Vega"}, "line 2: answer is 'Vega', neither letters nor indices from 0"),
        ({"answer": True}, "line 2: answer is True, neither letters"),
        ({"answer": None}, "line 2: answer is missing, neither letters"),
        ({"answer": []}, "line 2: answer is empty"),
        ({"answer_idx": [0]}, "line 2: answer 'B' and answer_idx [0] differ"),
        ({"choices": ["Vega"]}, "line 2: choices has 1 different texts of 1, not two at least"),
        ({"choices": ["Vega", "Vega"]}, "line 2: choices has 1 different texts of 2, not two at least"),
        ({"choices": list(map(str, range(27)))}, "line 2: choices has 27 different texts of 27"),
        ({"choices": ["Vega", " "]}, "line 2: choices is ['Vega', ' '], not a list of texts"),
        ({"choices": "Vega"}, "line 2: choices is 'Vega', not a list of texts"),
        ({"question": " "}, "line 2: question is ' ', not a text"),
        ({"question": None}, "line 2: question is missing, not a text"),
        ({"id": "papers:1"}, "line 2: the id 'papers:1' is that of line 1 too"),
        ({"subject": ["optics"]}, "line 2: subject is ['optics'], not a text"),
    ],
)
def test_a_bad_line_is_told_in_one_line(fields: dict[str, Any], message: str, write_jsonl: Callable[..., Path]) -> None:
    path = write_jsonl(GOOD, {**GOOD, **fields})
    with pytest.raises(SourceError, match=re.escape(message)) as raised:
        read_questions(path)
    assert str(raised.value).startswith(f"{path}, line 2")
    assert "\n" not in str(raised.value)


def test_a_question_without_an_answer_is_refused(write_jsonl: Callable[..., Path]) -> None:
    with pytest.raises(SourceError, match="line 1: answer is missing: mend the line"):
        read_questions(write_jsonl({key: value for key, value in GOOD.items() if key != "answer"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no questions"),
        (b"\n\n", "holds no questions"),
        (b'{"question": ', "line 1: broken json"),
        (b"\xff\xfe", "line 1: not utf8"),
        (b"[1, 2]", "line 1: not a record"),
        (b"\x1f\x8b\x08damaged", "is a damaged gzip file"),
    ],
)
def test_a_bad_file_is_told_in_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_questions(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(SourceError, match="cannot be read"):
            read_questions(path)


@pytest.mark.parametrize("subject", ["astronomy", "general"])
def test_the_built_in_questions_are_fit_to_be_asked(subject: str) -> None:
    questions = builtin_questions(subject)
    asked = [question for question in questions if question.split == "test"]
    assert (len(asked), len(questions)) == (120, 125)
    assert {question.subject for question in questions} == {subject}
    assert len({question.question for question in questions}) == len(questions)
    assert {len(set(question.choices)) for question in questions} == {4}
    assert Counter(question.right for question in asked) == {(0,): 30, (1,): 30, (2,): 30, (3,): 30}
    assert all(question.question.endswith("?") for question in questions)
    # whoever takes the longest choice, or the shortest, does no better than chance by much
    for best in (max, min):
        hits = sum(question.choices.index(best(question.choices, key=len)) in question.right for question in asked)
        assert hits / len(asked) < 0.45


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder 'shared' with real data beside the checkout")
def test_mmlu_is_read_as_it_is() -> None:
    questions = read_questions(SHARED / "qa" / "mmlu.jsonl.gz")
    assert len(questions) == 14_327
    assert sum(question.subject == "astronomy" for question in questions) == 157
    assert len({question.subject for question in questions}) == 57
    twice = [question for question in questions if len(question.right) > 1]
    assert all(len({question.choices[index] for index in question.right}) == 1 for question in twice)
