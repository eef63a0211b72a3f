"""Multiple-choice questions from files, and those that come with the project.

A file holds one JSON object a line, plain or compressed: `question`, `choices` (texts), and `answer`, which is a letter, an
index from 0, or a list of either; `answer_idx` is the same by index. `id`, `subject` and `split` are optional. Files of
MMLU (Hendrycks et al. 2021, arXiv:2009.03300) have this form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from astrollama.errors import SourceError
from astrollama.sources.json_lines import read_json_lines
from astrollama.sources.lines import uncompressed_name
from astrollama.sources.records import BrokenRecord

# how a question is asked: the choices stand in the prompt and their letters are scored, or their texts are scored alone
Form = Literal["choice", "answer"]

EXAMPLES_SPLIT = "dev"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_BUILTIN = Path(__file__).parent / "builtin"
_LETTERS = re.compile(r"[a-z]|[A-Z]([\s,;/]*[A-Z])*")
_FIX = "mend the line"


@dataclass(frozen=True)
class Question:
    """A question with its choices.

    Attributes:
        id: unique in its file.
        split: `dev` for an example that is shown before other questions, anything else for one that is asked.
        right: indices of the right choices, in order, one at least; a choice with the text of a right one is right too.
    """

    id: str
    subject: str
    split: str
    question: str
    choices: tuple[str, ...]
    right: tuple[int, ...]


def builtin_questions(subject: str) -> list[Question]:
    """The project's own elementary questions about `astronomy` or on `general` matters; every model of use knows most."""
    return read_questions(_BUILTIN / f"{subject}.jsonl")


def read_questions(path: Path) -> list[Question]:
    """All questions of a file.

    A question without `id` is called by the file and its line, one without `subject` by the file. Where a subject has
    nothing but examples, they are asked themselves.

    Raises:
        SourceError: the file is missing, empty or damaged, or a line is no question; the message names the line.
    """
    questions: list[Question] = []
    line_of: dict[str, int] = {}
    try:
        for record in read_json_lines(path, skip=0):
            assert record is not None
            where = f"{path}, line {record.number}"
            if isinstance(record, BrokenRecord):
                raise SourceError(f"{where}: {record.reason.replace('_', ' ')} ({record.detail})", _FIX)
            question = _question(record.fields, where, path, record.number)
            if question.id in line_of:
                raise SourceError(f"{where}: the id {question.id!r} is that of line {line_of[question.id]} too", _FIX)
            line_of[question.id] = record.number
            questions.append(question)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})", "check the file") from error
    if not questions:
        raise SourceError(f"{path} holds no questions", "give a file with one question a line as JSON")
    asked = {question.subject for question in questions if question.split != EXAMPLES_SPLIT}
    return [question if question.subject in asked else replace(question, split="test") for question in questions]


def _question(fields: Mapping[str, Any], where: str, path: Path, number: int) -> Question:
    name = uncompressed_name(path).rsplit(".", 1)[0]
    text = fields.get("question")
    if not isinstance(text, str) or not text.strip():
        raise SourceError(f"{where}: question is {_shown(text)}, not a text", _FIX)
    choices = fields.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise SourceError(f"{where}: choices is {_shown(choices)}, not a list of texts", _FIX)
    if not 2 <= len(set(choices)) <= len(choices) <= len(LETTERS):
        raise SourceError(
            f"{where}: choices has {len(set(choices))} different texts of {len(choices)}, "
            f"not two at least and {len(LETTERS)} at most",
            _FIX,
        )
    right = {choices[index] for index in _answers(fields, len(choices), where)}
    return Question(
        _name(fields, "id", where) or f"{name}:{number}",
        _name(fields, "subject", where) or name,
        _name(fields, "split", where),
        text.strip(),
        tuple(choices),
        tuple(index for index, choice in enumerate(choices) if choice in right),
    )


def _answers(fields: Mapping[str, Any], num_choices: int, where: str) -> set[int]:
    """The indices of the right choices; `answer` and `answer_idx` must say the same where both are there."""
    given = {key: _indices(key, fields[key], num_choices, where) for key in ("answer", "answer_idx") if key in fields}
    if not given:
        raise SourceError(f"{where}: answer is missing", _FIX)
    first, *others = given.values()
    if others and first != others[0]:
        raise SourceError(
            f"{where}: answer {_shown(fields['answer'])} and answer_idx {_shown(fields['answer_idx'])} differ", _FIX
        )
    return first


def _indices(key: str, value: Any, num_choices: int, where: str) -> set[int]:
    parts: set[int] = set()
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int) and not isinstance(part, bool):
            parts.add(part)
        elif isinstance(part, str) and _LETTERS.fullmatch(part.strip()):
            parts |= {LETTERS.index(letter) for letter in part.upper() if letter in LETTERS}
        else:
            raise SourceError(f"{where}: {key} is {_shown(value)}, neither letters nor indices from 0", _FIX)
    if not parts:
        raise SourceError(f"{where}: {key} is empty", _FIX)
    if not all(0 <= index < num_choices for index in parts):
        last = LETTERS[num_choices - 1]
        raise SourceError(
            f"{where}: {key} {_shown(value)} is outside its {num_choices} choices (A to {last}, 0 to {num_choices - 1})",
            _FIX,
        )
    return parts


def _name(fields: Mapping[str, Any], key: str, where: str) -> str:
    value = fields.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise SourceError(f"{where}: {key} is {_shown(value)}, not a text", _FIX)
    return "" if value is None else str(value).strip()


def _shown(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
