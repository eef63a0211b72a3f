"""One record of a file, whatever the file's format, to one `Paper`.

Two shapes are known: plain records (`id, title, abstract, categories, primary, date, licence`), and those of the arXiv
metadata snapshot (`versions`, `update_date`, `license`, categories in one text with spaces).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from typing import Any

from astrollama.records import TEXT_ID_PREFIX, UNKNOWN, Paper, date_of_arxiv_id, parse_date

DEFAULT_TEXT_FIELD = "abstract"
# every field that is read, apart from the one that holds the text
FIELDS = (
    "id",
    "arxiv_id",
    "title",
    "categories",
    "primary",
    "primary_category",
    "date",
    "versions",
    "update_date",
    "licence",
    "license",
)

_ARXIV_PREFIX = re.compile(r"arxiv:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as its file holds it.

    Attributes:
        number: the line or the row where it stands, from 1.
        content: its text in the file; None in a format that is no text.
    """

    number: int
    fields: Mapping[str, Any]
    content: bytes | None


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A piece of a file that should be a record and is none: where it stands, why, and its text or the start of it."""

    number: int
    reason: str
    detail: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that no paper could be made of: where it stands, why, and what it held."""

    origin: str
    reason: str
    detail: str
    content: str


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A record that can be read and is no part of the source, for it belongs to other categories: where it stands."""

    origin: str


class MalformedRecordError(ValueError):
    """A record's field has a type that it cannot have; the message says which."""


def paper_from_record(record: Mapping[str, Any], origin: str, text_field: str = DEFAULT_TEXT_FIELD) -> Paper:
    """The paper that a record describes; fields that it lacks are empty.

    Args:
        record: the fields by name.
        origin: where the record stands.
        text_field: the field that holds the text, which becomes `Paper.abstract`.

    Raises:
        MalformedRecordError: a field is neither text nor what stands for it.
    """
    text = record.get(text_field)
    if text is not None and not isinstance(text, str):
        raise MalformedRecordError(f"{text_field} is {type(text).__name__}, not text")
    abstract = None if text is None else text.strip()
    arxiv_id = _ARXIV_PREFIX.sub("", _text(record, "id", "arxiv_id")) or _id_of_text(abstract, origin)
    categories = _categories(record)
    primary = _text(record, "primary", "primary_category") or (categories[0] if categories else UNKNOWN)
    return Paper(
        arxiv_id=arxiv_id,
        title=_text(record, "title"),
        abstract=abstract,
        categories=categories or (primary,),
        primary_category=primary,
        date=_date(record, arxiv_id),
        licence=_text(record, "licence", "license"),
        origin=origin,
    )


def _text(record: Mapping[str, Any], *names: str) -> str:
    """The first of the fields that is there; "" where none is."""
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise MalformedRecordError(f"{name} is {type(value).__name__}, not text")
        if isinstance(value, float):
            raise MalformedRecordError(f"{name} is the number {value}: write it as text, for numbers lose their zeros")
        return str(value).strip()
    return ""


def _categories(record: Mapping[str, Any]) -> tuple[str, ...]:
    value = record.get("categories")
    if value is None:
        return ()
    parts = value.split() if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
    if parts is None or not all(isinstance(part, str) for part in parts):
        raise MalformedRecordError("categories is neither text nor a list of texts")
    return tuple(name for part in parts for name in part.split())


def _id_of_text(abstract: str | None, origin: str) -> str:
    """An identifier for a record without one, which does not change when its file does."""
    if not abstract:
        return origin
    return TEXT_ID_PREFIX + hashlib.sha256(abstract.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _date(record: Mapping[str, Any], arxiv_id: str) -> str:
    """The day of the first submission, or the best that the record tells.

    `update_date` of the snapshot is the day of the last revision, so it comes last.
    """
    return (
        _written_date(record.get("date"))
        or _first_version_date(record.get("versions"))
        or date_of_arxiv_id(arxiv_id)
        or _written_date(record.get("update_date"))
    )


def _written_date(value: object) -> str:
    # lists and objects are no dates, and printing them, as `parse_date` does, can go too deep
    return parse_date(value) if isinstance(value, str | date) else ""


def _first_version_date(versions: object) -> str:
    if not isinstance(versions, list) or not versions or not isinstance(versions[0], Mapping):
        return ""
    created = versions[0].get("created")
    if not isinstance(created, str):
        return ""
    try:
        return parse_date(parsedate_to_datetime(created).date().isoformat())
    except (ValueError, OverflowError):
        return ""
