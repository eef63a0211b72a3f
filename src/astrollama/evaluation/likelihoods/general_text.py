"""Passages of a file of general text, the same for every system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrollama.errors import SourceError
from astrollama.sections import EvaluateSection
from astrollama.sources.plain_text import base_name, read_plain_text
from astrollama.sources.records import BrokenRecord

# A passage ends with the first block of lines that brings it so far: some 500 tokens.
PASSAGE_BYTES = 2000
# SmolLM2's tokenizer takes 4.1 bytes of WikiText-2 a token; the measure must be the same for every tokenizer.
BYTES_A_TOKEN = 4

_TEXT_FIELD = "text"
# a block without blank lines may be a whole book
_PIECE = re.compile(r"(?s).{1,4000}(?:\s|\Z)|.{1,4000}")


@dataclass(frozen=True)
class Passage:
    """A few paragraphs that follow each other.

    Attributes:
        id: the file's name and the passage's number in it, from 1.
    """

    id: str
    text: str

    @property
    def num_bytes(self) -> int:
        """In UTF-8."""
        return len(self.text.encode("utf-8"))


def general_passages(path: Path, settings: EvaluateSection) -> list[Passage]:
    """Passages of a file, plain or compressed, drawn until they have `num_general_tokens`, or all if there are fewer.

    Raises:
        SourceError: the file is missing, empty, damaged, or no text.
    """
    passages = list(_passages(path))
    if not passages:
        raise SourceError(f"{path} holds no text", "give a file of general text")
    room = settings.num_general_tokens * BYTES_A_TOKEN
    drawn = []
    for index in np.random.default_rng(settings.seed).permutation(len(passages)).tolist():
        if room <= 0:
            break
        drawn.append(passages[index])
        room -= passages[index].num_bytes
    return drawn


def _passages(path: Path) -> Iterator[Passage]:
    name = base_name(path)
    number, text = 1, ""
    for piece in _pieces(path):
        text += piece
        if len(text.encode("utf-8")) >= PASSAGE_BYTES:
            yield Passage(f"{name}:{number}", text.strip())
            number, text = number + 1, ""
    if text.strip():
        yield Passage(f"{name}:{number}", text.strip())


def _pieces(path: Path) -> Iterator[str]:
    """The blocks of a text, long ones cut, each with the blank line behind it."""
    try:
        for record in read_plain_text(path, 0, text_field=_TEXT_FIELD):
            assert record is not None
            if isinstance(record, BrokenRecord):
                reason = record.reason.replace("_", " ")
                raise SourceError(
                    f"{path}, line {record.number}: {reason} ({record.detail})", "give plain text in UTF-8"
                )
            *pieces, last = _PIECE.findall(record.fields[_TEXT_FIELD])
            yield from pieces
            yield f"{last.rstrip()}\n\n"
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})", "check the file") from error
