"""The records that travel between stages: papers come from sources, documents make a corpus.

Both are frozen; `document_schema` and `rejected_schema` give their Parquet columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

ASTRO_PH_CATEGORIES = {
    "astro-ph.CO": "Cosmology and Nongalactic Astrophysics",
    "astro-ph.EP": "Earth and Planetary Astrophysics",
    "astro-ph.GA": "Astrophysics of Galaxies",
    "astro-ph.HE": "High Energy Astrophysical Phenomena",
    "astro-ph.IM": "Instrumentation and Methods for Astrophysics",
    "astro-ph.SR": "Solar and Stellar Astrophysics",
}

_DATE = re.compile(r"\s*(\d{4})[-/](\d{2})(?:[-/](\d{2}))?(?=$|[T\s])")
_NEW_ARXIV_ID = re.compile(r"(\d{2})(0[1-9]|1[0-2])\.\d{4,5}(?:v\d+)?")
_OLD_ARXIV_ID = re.compile(r"[a-z-]+(?:\.[A-Za-z-]{2,})?/(\d{2})(0[1-9]|1[0-2])\d{3}(?:v\d+)?")
_VERSION = re.compile(r"v(\d+)$")
UNKNOWN = "unknown"  # a category or a year that the record does not tell
TEXT_ID_PREFIX = "text:"  # before a hash of the text: the identifier of a record that has none


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper as its source gives it.

    Attributes:
        arxiv_id: the identifier as the source writes it, version suffix included; where there is none, `text:` and a
            hash of the abstract.
        abstract: None where the source's record has none.
        categories: arXiv categories, the primary one first where the source says so.
        date: `YYYY-MM-DD`, `YYYY-MM` where only the month is known, or "" where nothing is.
        licence: a URL or an SPDX name, "" where the source does not say.
        origin: `file:line`, for messages.
    """

    arxiv_id: str
    title: str
    abstract: str | None
    categories: tuple[str, ...]
    primary_category: str
    date: str
    licence: str
    origin: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text of the corpus with what is known about it; `content_hash` is the SHA-256 of `text`, in hex."""

    id: str
    text: str
    title: str
    categories: tuple[str, ...]
    primary_category: str
    date: str
    licence: str
    content_hash: str
    origin: str

    @property
    def year(self) -> str:
        """The year of `date`, or `unknown`."""
        return self.date[:4] or UNKNOWN


@dataclass(frozen=True, slots=True)
class Dropped:
    """A document that a step took out, why, and what the reason rests on (a count, the paper it repeats)."""

    document: Document
    reason: str
    detail: str


class Step(Protocol):
    """A stage of cleaning: it gives every document that it gets on, changed or `Dropped`, and loses none."""

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Yield one result a document, in the order of the documents."""
        ...


def parse_date(value: object) -> str:
    """`YYYY-MM-DD` or `YYYY-MM` from a date, a time stamp or text that begins with one; "" if it is neither."""
    match = _DATE.match(str(value))
    if match is None:
        return ""
    year, month, day = match.groups()
    try:
        whole = date(int(year), int(month), int(day or 1))
    except ValueError:
        return ""
    if not 1800 <= whole.year <= 2100:  # 9999-12-31 stands for "never"
        return ""
    return whole.isoformat() if day else whole.isoformat()[:7]


def date_of_arxiv_id(arxiv_id: str) -> str:
    """The month of submission that an arXiv identifier carries, as `YYYY-MM`; "" if it is no such identifier.

    Identifiers are `YYMM.NNNNN` since April 2007 and `archive/YYMMNNN` from 1991 to March 2007.
    """
    if match := _NEW_ARXIV_ID.fullmatch(arxiv_id):
        month = f"20{match[1]}-{match[2]}"
        return month if "2007-04" <= month <= f"{date.today().year + 1}" else ""
    if match := _OLD_ARXIV_ID.fullmatch(arxiv_id):
        month = f"{'19' if int(match[1]) >= 91 else '20'}{match[1]}-{match[2]}"
        return month if month <= "2007-03" else ""
    return ""


def paper_and_version(document_id: str) -> tuple[str, int | None]:
    """An arXiv identifier without its version suffix, and the version; any other identifier as it is, and None."""
    match = _VERSION.search(document_id)
    if match and date_of_arxiv_id(document_id):
        return document_id[: match.start()], int(match[1])
    return document_id, None


def document_schema() -> pa.Schema:
    """The columns of `train.parquet` and `test.parquet`."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("title", pa.string()),
            ("categories", pa.list_(pa.string())),
            ("primary_category", pa.string()),
            ("date", pa.string()),
            ("licence", pa.string()),
            ("content_hash", pa.string()),
            ("origin", pa.string()),
        ]
    )


def rejected_schema() -> pa.Schema:
    """The columns of `rejected.parquet`: a document's, and why it was dropped."""
    import pyarrow as pa

    return document_schema().append(pa.field("reason", pa.string())).append(pa.field("detail", pa.string()))
