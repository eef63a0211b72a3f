"""Records from BibTeX, as NASA ADS, arXiv, journals and reference managers export it, with abstracts.

The quotation marks of a value end where no brace is open, as in BibTeX itself: `"{The "Great Attractor," …}"` is one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.records import ASTRO_PH_CATEGORIES, date_of_arxiv_id, parse_date
from astrollama.sources.bibtex_blocks import Block, read_blocks
from astrollama.sources.bibtex_text import plain_text
from astrollama.sources.records import BrokenRecord, Record

# of all macros together, and of all uses of macros in one block: a few lines of macros can stand for any amount of text
MAX_MACRO_CHARACTERS = 1 << 20

_HEAD = re.compile(r"@\s*\w+\s*[{(]")
_FIELD = re.compile(r"([^\s={}\"(),#]+)\s*=\s*")
_SPACE = re.compile(r"\s*")
_SEPARATORS = re.compile(r"[\s,]*")
_LITERAL = re.compile(r"[^\s={}\"(),#]+")
_IN_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_IN_QUOTES = re.compile(r'\\.|[{}"]', re.DOTALL)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME = re.compile(rf"(?<![a-z])({'|'.join(_MONTHS)})", re.IGNORECASE)
_MONTH_NUMBER = re.compile(r"0?([1-9]|1[0-2])")

_ID = r"\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[a-z]{2})?/\d{7}(?:v\d+)?"
_NAMED_ID = re.compile(rf"arxiv(?:\.org/(?:abs|pdf)/|[.:]\s*)({_ID})(?!\d)", re.IGNORECASE)
_BIBCODE = re.compile(r"\d{4}arXiv(\d{4})(\.\d{4}|\d{5})(?!\d)")
_DOI_SITE = re.compile(r"https?://(?:dx\.)?doi\.org/|doi:\s*", re.IGNORECASE)
# where exports write an arXiv identifier other than in `eprint`
_ID_FIELDS = ("doi", "url", "eid", "pages", "journal", "note", "adsurl")

_CATEGORY = re.compile(
    r"[a-z-]{2,}\.(?:[A-Z]{2}|[a-z]+-[a-z]+)|(?:astro|hep|math|quant)-ph|hep-(?:ex|lat|th)|gr-qc|nucl-(?:ex|th)"
)
_CATEGORY_NAMES = {f"astrophysics - {name.lower()}": category for category, name in ASTRO_PH_CATEGORIES.items()}


class _BrokenEntryError(ValueError):
    """A block that no record can be made of: the reason, and the detail as the message."""

    def __init__(self, detail: str, reason: str = "broken_bibtex") -> None:
        self.reason = reason
        super().__init__(detail)


@dataclass(slots=True)
class _Macros:
    """What `@string` blocks have defined so far, by name in lower case, and how much of it a block has used."""

    values: dict[str, str]
    num_defined: int = 0
    num_used: int = 0

    def define(self, name: str, value: str) -> None:
        self.num_defined += len(name) + len(value)
        if self.num_defined > MAX_MACRO_CHARACTERS:
            raise _BrokenEntryError(f"the macros hold more than {MAX_MACRO_CHARACTERS:,} characters")
        self.values[name] = value

    def value(self, name: str) -> str:
        """What a name stands for; a number, or a name that was not defined, for itself."""
        value = self.values.get(name.lower(), name)
        self.num_used += len(value)
        if self.num_used > MAX_MACRO_CHARACTERS:
            raise _BrokenEntryError(f"macros make more than {MAX_MACRO_CHARACTERS:,} characters")
        return value


def read_bibtex(path: Path, skip: int, *, text_field: str) -> Iterator[Record | BrokenRecord | None]:
    """Every entry of a BibTeX file, of which only `text_field` and what a paper needs are kept.

    For the first `skip` entries None; of those only the `@string` macros between them are read.

    Raises:
        SourceError: the file is compressed and damaged.
    """
    macros = _Macros({month: month for month in _MONTHS})
    num_records = 0
    for block in read_blocks(path):
        if block.kind in ("comment", "preamble"):
            continue
        record: Record | BrokenRecord | None = None
        try:
            if block.kind == "string":
                for name, value in _fields(_body(block), 0, macros):
                    macros.define(name, value)
                continue
            if num_records >= skip:
                key, fields = _entry(block, macros)
                record = Record(block.line, _record_fields(key, fields, text_field), block.content)
        except _BrokenEntryError as error:
            record = BrokenRecord(block.line, error.reason, str(error), block.content)
        num_records += 1
        yield record if num_records > skip else None


def _entry(block: Block, macros: _Macros) -> tuple[str, dict[str, str]]:
    """The key of an entry, and its fields by name in lower case; of a field given twice the first, as in BibTeX."""
    body = _body(block)
    key, comma, _ = body.partition(",")
    if "=" in key:
        raise _BrokenEntryError("no key before the first field")
    fields: dict[str, str] = {}
    for name, value in _fields(body, len(key) + len(comma), macros):
        fields.setdefault(name, value)
    return key.strip(), fields


def _body(block: Block) -> str:
    """What stands between the brackets of a block."""
    if block.reason:
        raise _BrokenEntryError(block.detail, block.reason)
    try:
        text = block.content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = block.line + block.content.count(b"\n", 0, error.start)
        raise _BrokenEntryError(f"byte 0x{block.content[error.start]:02x} in line {line}", "not_utf8") from None
    head = _HEAD.match(text)
    assert head, text
    return text[head.end() : -1]


def _fields(body: str, position: int, macros: _Macros) -> Iterator[tuple[str, str]]:
    """Each `name = value` from `position` on: the name in lower case, the value with its macros resolved."""
    macros.num_used = 0
    while (position := _end_of(_SEPARATORS, body, position)) < len(body):
        field = _FIELD.match(body, position)
        if field is None:
            raise _BrokenEntryError(f"no 'name = value' at {body[position : position + 30]!r}")
        value, position = _value(body, field.end(), macros)
        position = _end_of(_SPACE, body, position)
        if position < len(body) and body[position] != ",":
            raise _BrokenEntryError(f"no comma after the field {field[1]}")
        yield field[1].lower(), value


def _value(body: str, position: int, macros: _Macros) -> tuple[str, int]:
    """A value and the position after it: texts in braces or quotation marks, numbers and macros, joined by `#`."""
    parts: list[str] = []
    while True:
        if body.startswith("{", position):
            end = _closing(_IN_BRACES, "}", body, position + 1)
            part = body[position + 1 : end - 1]
        elif body.startswith('"', position):
            end = _closing(_IN_QUOTES, '"', body, position + 1)
            part = body[position + 1 : end - 1]
        else:
            end = _end_of(_LITERAL, body, position)
            if end == position:
                raise _BrokenEntryError(f"no value at {body[position : position + 30]!r}")
            part = macros.value(body[position:end])
        parts.append(part)
        position = _end_of(_SPACE, body, end)
        if not body.startswith("#", position):
            return "".join(parts), end
        position = _end_of(_SPACE, body, position + 1)


def _closing(marks: re.Pattern[str], closer: str, body: str, position: int) -> int:
    """The position after the mark that closes what was opened before `position`."""
    depth = 0
    for match in marks.finditer(body, position):
        mark = match[0]
        if mark == closer and depth == 0:
            return match.end()
        if mark == "{":
            depth += 1
        elif mark == "}" and depth > 0:
            depth -= 1
    raise _BrokenEntryError("a value is not closed")


def _end_of(pattern: re.Pattern[str], body: str, position: int) -> int:
    match = pattern.match(body, position)
    return match.end() if match else position


def _record_fields(key: str, fields: Mapping[str, str], text_field: str) -> dict[str, Any]:
    """The fields as `paper_from_record` takes them."""
    text = fields.get(text_field.lower())
    return {
        "id": _id(key, fields),
        "title": plain_text(fields.get("title", "")),
        "categories": _categories(fields),
        "date": _date(fields),
        text_field: None if text is None else plain_text(text),
    }


def _id(key: str, fields: Mapping[str, str]) -> str:
    """The arXiv identifier, else the DOI, else the key."""
    eprint = re.sub(r"^arxiv:\s*", "", fields.get("eprint", "").strip(), flags=re.IGNORECASE)
    archive = fields.get("archiveprefix", fields.get("eprinttype", "arxiv")).strip().lower()
    if archive == "arxiv":
        # old entries name the archive elsewhere
        old = f"{fields.get('primaryclass', '').partition('.')[0].strip()}/{eprint}"
        for candidate in (eprint, old):
            if date_of_arxiv_id(candidate):
                return candidate
    places = "\n".join(fields.get(name, "") for name in _ID_FIELDS)
    if (named := _NAMED_ID.search(places)) and date_of_arxiv_id(named[1]):
        return named[1]
    if (bibcode := _BIBCODE.search(f"{places}\n{key}")) and date_of_arxiv_id(
        found := f"{bibcode[1]}.{bibcode[2].removeprefix('.')}"
    ):
        return found
    return _DOI_SITE.sub("", plain_text(fields.get("doi", ""))).strip() or key


def _categories(fields: Mapping[str, str]) -> list[str]:
    """The categories of arXiv, from `primaryclass` and from keywords; ADS writes these with their names."""
    keywords = re.split(r"[,;]", fields.get("keywords", ""))
    found = [fields.get("primaryclass", "").strip()]
    for keyword in map(str.strip, keywords):
        if _CATEGORY.fullmatch(keyword):
            found.append(keyword)
        elif category := _CATEGORY_NAMES.get(" ".join(keyword.lower().split())):
            found.append(category)
    return list(dict.fromkeys(filter(None, found)))


def _date(fields: Mapping[str, str]) -> str:
    """`date`, or the year and the month of the publication, as far as the entry tells them."""
    if written := parse_date(fields.get("date", "").partition("/")[0]):
        return written
    year, month = fields.get("year", "").strip(" {}"), fields.get("month", "").strip(" {}")
    if name := _MONTH_NAME.search(month):
        number = _MONTHS.index(name[1].lower()) + 1
    elif digits := _MONTH_NUMBER.fullmatch(month):
        number = int(digits[1])
    else:
        return ""
    return parse_date(f"{year}-{number:02}")
