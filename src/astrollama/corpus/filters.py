"""Filters: each gives every document on, or drops it with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from astrollama.records import Document, Dropped

_PAPER = r"(?:paper|article|manuscript|submission|preprint|work|version|note|letter|comment|abstract)"
# The paper itself is withdrawn, by name of its own; "gas is withdrawn from the reservoir" is astrophysics.
_WITHDRAWN = re.compile(
    rf"\b{_PAPER}\b(?:\s{{0,3}}\([^)]{{0,80}}\))?(?:\s+by\s+[^.]{{1,60}}?)?"
    r"\s+(?:has|have|had|is|was|will)\s+(?:\w+\s+){0,3}(?:withdrawn|retracted)\b"
    r"|^\W*(?:withdrawn|retracted)\b(?=\s*(?:[^\w\s]|by\b|due\b|because\b|pending\b|$))"
    r"|\b(?:withdrawn|retracted)\s+by\s+(?:the\s+)?(?:authors?|arxiv)\b"
    rf"|\b(?:withdraw|withdrawn|withdrawing|retract|retracted|retracting)\s+(?:this|our|the\s+present)\s+{_PAPER}\b",
    re.IGNORECASE,
)
_MATHS_MARK = re.compile(r"\$\$?|\\[()\[\]]")
_MATHS_END = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}


@dataclass(frozen=True)
class HasText:
    """Drop what has no abstract."""

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Drop documents with no text as `no_abstract`."""
        for document in documents:
            yield document if document.text else Dropped(document, "no_abstract", "the abstract is missing or empty")


@dataclass(frozen=True)
class NotWithdrawn:
    """Drop notices of withdrawal."""

    reason: ClassVar[str] = "withdrawn"

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Drop documents whose text says that the paper was withdrawn or retracted as `withdrawn`."""
        for document in documents:
            match = _WITHDRAWN.search(document.text)
            yield Dropped(document, self.reason, f"says {match[0]!r}") if match else document


@dataclass(frozen=True)
class LongEnough:
    """Drop what has fewer than `min_words` words, counted between spaces."""

    min_words: int

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Drop short documents as `too_short`."""
        for document in documents:
            words = len(document.text.split())
            yield document if words >= self.min_words else Dropped(document, "too_short", f"{words} words")


@dataclass(frozen=True)
class IsProse:
    """Drop what is mostly not letters: tables, markup, encoded data."""

    min_prose_ratio: float

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Drop documents with too small a share of letters as `not_prose`."""
        for document in documents:
            ratio = prose_ratio(document.text)
            yield (
                document
                if ratio >= self.min_prose_ratio
                else Dropped(document, "not_prose", f"{ratio:.0%} letters in words")
            )


@dataclass(frozen=True)
class HasDate:
    """Drop what cannot be placed in time."""

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Drop documents without a month as `no_date`."""
        for document in documents:
            yield (
                document
                if document.date
                else Dropped(document, "no_date", "neither a date nor an arXiv id tells the month")
            )


@dataclass(frozen=True)
class InMonths:
    """Drop what was submitted before `first` or after `last` (`YYYY-MM`, or empty for no limit)."""

    first: str
    last: str

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Drop documents of other months as `outside_months`."""
        for document in documents:
            month = document.date[:7]
            inside = month >= self.first and (not self.last or month <= self.last)
            yield document if inside else Dropped(document, "outside_months", f"submitted in {month}")


def prose_ratio(text: str) -> float:
    """The share of letters in words of 1 to 30 letters among the characters outside maths and white space.

    Longer runs of letters are no words; 0 where nothing is left.
    """
    tokens = " ".join(_outside_maths(text)).split()
    characters = sum(map(len, tokens))
    if characters == 0:
        return 0.0
    letters = sum(sum(map(str.isalpha, token)) for token in tokens if len(token) <= 30)
    return letters / characters


def _outside_maths(text: str) -> Iterator[str]:
    """The pieces of a text between its formulas; a mark that opens maths and is never closed opens none."""
    start, opened_at, end_mark = 0, 0, ""
    for mark in _MATHS_MARK.finditer(text):
        if end_mark and mark[0] == end_mark:
            yield text[start:opened_at]
            start, end_mark = mark.end(), ""
        elif not end_mark and mark[0] in _MATHS_END:
            opened_at, end_mark = mark.start(), _MATHS_END[mark[0]]
    yield text[start:]
