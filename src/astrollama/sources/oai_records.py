"""OAI-PMH 2.0 answers to plain values: what a server sent in, pages of records in arXiv's two formats out.

The XML comes from outside. Document types, and with them entities, are refused; depth and number of elements are
bounded. The text of an element is kept as XML defines it, to the last space: cleaning is the importer's matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

from astrollama.records import parse_date

MAX_ELEMENTS = 2_000_000  # a page of 3,500 papers with ten authors each has some 200,000
MAX_DEPTH = 100

# elements that become a column of their own: arXiv's name and ours
_TEXT_COLUMNS = {
    "id": "id",
    "title": "title",
    "abstract": "abstract",
    "license": "licence",
    "updated": "updated",
    "doi": "doi",
    "journal-ref": "journal_ref",
    "comments": "comments",
}


class MalformedAnswerError(ValueError):
    """What came is no OAI-PMH answer: not XML, cut off, hostile, or something else altogether."""


class OaiError(Exception):
    """The server's own error: `code` as the protocol names it, and its explanation."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code[:40]
        self.message = " ".join(message.split())[:300]
        super().__init__(f"{self.code}: {self.message}" if self.message else self.code)


@dataclass(frozen=True, slots=True)
class OaiRecord:
    """A paper, or the news that it was deleted.

    Attributes:
        identifier: of the record's header; where there is none, `unidentified:` and a hash of the content.
        datestamp: when the record last changed, as the server writes it: a day, or a second in UTC.
        columns: the columns of `papers.parquet` that the metadata give; empty for a deleted record.
    """

    identifier: str
    datestamp: str
    deleted: bool
    sets: tuple[str, ...]
    columns: Mapping[str, Any]

    @property
    def record_hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of all that the record says; "" for a deleted one."""
        return "" if self.deleted else _short_hash([self.identifier, self.datestamp, self.sets, self.columns])

    @property
    def day(self) -> str:
        """The day of the datestamp, `YYYY-MM-DD`; "" if it is none."""
        return _whole_day(self.datestamp)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to ListRecords.

    Attributes:
        token: asks for the next page; "" at the end of the list.
        marks_end: whether the end is marked with an empty token, as the protocol wants it after the first page.
        complete_list_size: how many records the whole list has, where the server says so.
        response_day: the server's date, `YYYY-MM-DD`; "" if it gives none.
    """

    records: tuple[OaiRecord, ...]
    token: str
    marks_end: bool
    complete_list_size: int | None
    response_day: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says of itself: its name, its oldest datestamp, its granularity, and what becomes of deleted records."""

    repository_name: str
    earliest_datestamp: str
    granularity: str
    deleted_record: str


def parse_page(body: bytes) -> Page:
    """The records of an answer to ListRecords.

    Raises:
        MalformedAnswerError: it is no such answer.
        OaiError: it is the server's error.
    """
    root = _root(body)
    listing = _answer(root, "ListRecords")
    token = _child(listing, "resumptionToken")
    token_text = "" if token is None else _text(token).strip()
    size = "" if token is None else token.get("completeListSize", "").strip()
    return Page(
        records=tuple(_record(element) for element in listing if _name(element) == "record"),
        token=token_text,
        marks_end=token is not None and not token_text,
        complete_list_size=int(size) if size.isascii() and size.isdigit() and len(size) <= 12 else None,
        response_day=_whole_day(_child_text(root, "responseDate") or ""),
    )


def parse_identity(body: bytes) -> Identity:
    """What an answer to Identify says.

    Raises:
        MalformedAnswerError: it is no such answer.
        OaiError: it is the server's error.
    """
    answer = _answer(_root(body), "Identify")
    names = ("repositoryName", "earliestDatestamp", "granularity", "deletedRecord")
    return Identity(*((_child_text(answer, name) or "").strip() for name in names))


def _root(body: bytes) -> Element:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        parser.feed(body)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise MalformedAnswerError("XML with a document type, which is refused") from error
    except (SyntaxError, ValueError, LookupError) as error:  # no XML, or an encoding that is none
        raise MalformedAnswerError(f"broken XML ({error})") from error
    if _name(root) != "OAI-PMH":
        raise MalformedAnswerError(f"<{_name(root)[:40]}> instead of <OAI-PMH>")
    return root


class _BoundedBuilder(TreeBuilder):
    """Builds the tree, and stops where a page of papers cannot be meant any more."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def start(self, tag: Any, attrs: Any, /) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise MalformedAnswerError(f"more than {MAX_ELEMENTS:,} elements, or {MAX_DEPTH} in each other")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _answer(root: Element, verb: str) -> Element:
    for element in root:
        if _name(element) == "error":
            raise OaiError(element.get("code", "unknown"), _text(element))
        if _name(element) == verb:
            return element
    raise MalformedAnswerError(f"an answer without <{verb}>")


def _record(element: Element) -> OaiRecord:
    header = _child(element, "header")
    if header is None:
        header = Element("header")
    metadata = _child(element, "metadata")
    deleted = header.get("status") == "deleted"
    columns = {} if deleted or metadata is None or not len(metadata) else _columns(metadata[0])
    identifier = (_child_text(header, "identifier") or "").strip()
    datestamp = (_child_text(header, "datestamp") or "").strip()
    sets = tuple(_text(child).strip() for child in header if _name(child) == "setSpec")
    if not identifier:
        identifier = f"unidentified:{_short_hash([datestamp, sets, columns])}"
    columns["id"] = columns.get("id") or local_id(identifier)
    return OaiRecord(identifier, datestamp, deleted, sets, {} if deleted else columns)


def local_id(identifier: str) -> str:
    """`0704.0001` of `oai:arXiv.org:0704.0001`."""
    return identifier.split(":", 2)[-1]


def _columns(metadata: Element) -> dict[str, Any]:
    """The columns of a record in the format arXiv or arXivRaw; what has no column of its own goes to `other`."""
    columns: dict[str, Any] = {}
    versions, other = [], []
    for element in metadata:
        name = _name(element)
        column = _TEXT_COLUMNS.get(name)
        if column and column not in columns:
            columns[column] = _text(element)
        elif name == "created" and "date" not in columns:
            columns["date"] = _text(element)
        elif name == "categories" and "categories" not in columns:
            columns["categories"] = _text(element).split()
        elif name == "authors" and "authors" not in columns:
            columns |= _authors(element)
        elif name == "version":
            versions.append(_version(element))
        else:
            other.append({"name": name, "text": _text(element)})
    if columns.get("categories"):
        columns["primary"] = columns["categories"][0]
    if versions:
        columns |= {"versions": versions, "num_versions": len(versions)}
        columns.setdefault("date", _first_day(versions))
    if other:
        columns["other"] = other
    return columns


def _authors(element: Element) -> dict[str, Any]:
    """One text from arXivRaw; from arXiv the parts, which are kept as they are and put together as a text too."""
    authors = [child for child in element if _name(child) == "author"]
    if not authors:
        return {"authors": _text(element)}
    parsed: list[dict[str, Any]] = [
        {
            "keyname": _child_text(author, "keyname"),
            "forenames": _child_text(author, "forenames"),
            "suffix": _child_text(author, "suffix"),
            "affiliations": [_text(child) for child in author if _name(child) == "affiliation"],
        }
        for author in authors
    ]
    names = [" ".join(filter(None, (one["forenames"], one["keyname"], one["suffix"]))) for one in parsed]
    return {"authors": ", ".join(names), "authors_parsed": parsed}


def _version(element: Element) -> dict[str, str | None]:
    return {
        "version": element.get("version"),
        "created": _child_text(element, "date"),
        "size": _child_text(element, "size"),
        "source_type": _child_text(element, "source_type"),
    }


def _first_day(versions: list[dict[str, str | None]]) -> str:
    """The day of `v1`, or of the first version that stands there; "" if it is no date."""
    first = next((version for version in versions if version["version"] == "v1"), versions[0])
    try:
        return parsedate_to_datetime(first["created"] or "").date().isoformat()
    except (ValueError, OverflowError, IndexError, TypeError):  # the parser of dates lets all of these through
        return ""


def _whole_day(text: str) -> str:
    day = parse_date(text)
    return day if len(day) == len("YYYY-MM-DD") else ""


def _short_hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: Element) -> str:
    return "".join(element.itertext())


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if _name(child) == name), None)


def _child_text(element: Element, name: str) -> str | None:
    child = _child(element, name)
    return None if child is None else _text(child)
