"""Texts divided for completion: the first sentences are the prompt, the rest is what the authors wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from astrollama.records import Document

PROMPT_WORDS = 25

# A sentence ends at . ? or ! before a space and a capital, a digit or maths, but not after these.
_END = re.compile(r"(?<=[.?!])[\s\n]+(?=[\"'“(\[]*[A-ZÀ-Þ$\\\d])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|al|Fig|Figs|Eq|Eqs|Sect|Sec|Ref|Refs|No|ca|approx|resp|Dr|St|[A-Z])\.)$"
)


@dataclass(frozen=True)
class Opening:
    """A document that can be divided, its first sentences and the rest."""

    document: Document
    prompt: str
    truth: str


def openings(documents: Sequence[Document]) -> list[Opening]:
    """The documents that can be divided, in their order."""
    return [Opening(document, *parts) for document in documents if (parts := split_opening(document.text)) is not None]


def split_opening(text: str) -> tuple[str, str] | None:
    """The first sentences of a text, at least `PROMPT_WORDS` words, and the rest; None where no sentence is left over."""
    parts = sentences(text)
    for count in range(1, len(parts)):
        prompt = " ".join(parts[:count])
        if len(prompt.split()) >= PROMPT_WORDS:
            return prompt, " ".join(parts[count:])
    return None


def sentences(text: str) -> list[str]:
    """The sentences of a text; a full stop within maths or after an abbreviation ends none."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        sentence = text[start : match.start()]
        if sentence.count("$") % 2 or _ABBREVIATION.search(sentence):
            continue
        found.append(sentence)
        start = match.end()
    found.append(text[start:])
    return [sentence.strip() for sentence in found if sentence.strip()]
