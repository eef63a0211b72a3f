"""Records from JSON lines: one object a line, as in the arXiv metadata snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from astrollama.errors import SourceError
from astrollama.sources.lines import numbered_pieces
from astrollama.sources.records import BrokenRecord, Record

# The whole text of a long paper takes a hundredth of it; parsed, the worst case takes twenty times as much.
MAX_LINE_BYTES = 16 << 20
_KEPT_BYTES = 1000  # of a line that is too long
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIX = "write one record a line, for example with jq -c '.[]'"


def read_json_lines(path: Path, skip: int) -> Iterator[Record | BrokenRecord | None]:
    """Every line of a file that holds anything; for the first `skip` of them None, unparsed.

    Raises:
        SourceError: the file is damaged, or is one JSON value and not one a line.
    """
    for index, (number, line) in enumerate(_lines(path)):
        yield None if index < skip else _record(path, number, line)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that hold anything, cut off one byte after the limit; a byte order mark is no part of the first."""
    last = 0
    for number, piece in numbered_pieces(path, MAX_LINE_BYTES + 1):
        text = piece.removeprefix(_BYTE_ORDER_MARK) if number == 1 else piece
        if number != last and text.strip():
            yield number, text
        last = number


def _record(path: Path, number: int, line: bytes) -> Record | BrokenRecord:
    if len(line) > MAX_LINE_BYTES:
        if number == 1 and line.lstrip().startswith(b"["):
            raise SourceError(f"{path} is one JSON array", _FIX)
        return BrokenRecord(number, "too_long", f"more than {MAX_LINE_BYTES:,} bytes", line[:_KEPT_BYTES])
    try:
        fields = json.loads(line.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        return BrokenRecord(number, "not_utf8", f"byte 0x{line[error.start]:02x} at column {error.start + 1}", line)
    except (ValueError, RecursionError) as error:
        if number == 1 and line.strip() in (b"[", b"{"):
            raise SourceError(f"{path} is one JSON value over many lines", _FIX) from None
        detail = (getattr(error, "msg", None) or str(error)).removesuffix(" at")
        return BrokenRecord(number, "broken_json", f"{detail} at column {getattr(error, 'colno', 1)}", line)
    if isinstance(fields, list) and number == 1 and any(isinstance(item, dict) for item in fields):
        raise SourceError(f"{path} is one JSON array", _FIX)
    if not isinstance(fields, dict):
        return BrokenRecord(number, "not_a_record", f"{type(fields).__name__} instead of an object", line)
    return Record(number, fields, line)
