"""Records from plain text: a block of lines between blank ones is a document, without title, categories and date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from astrollama.sources.lines import COMPRESSION_SUFFIXES, numbered_pieces
from astrollama.sources.records import BrokenRecord, Record

TEXT_SUFFIX = ".txt"
MAX_BLOCK_BYTES = 16 << 20  # as a line of JSON; the text of a long paper takes a hundredth of it

_KEPT_BYTES = 1000  # of a block that is too long
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_plain_text(path: Path, skip: int, *, text_field: str) -> Iterator[Record | BrokenRecord | None]:
    """Every block of a file, identified by `base_name` and its number, from 1; for the first `skip` of them None.

    Raises:
        SourceError: the file is compressed and damaged.
    """
    name = base_name(path)
    for number, (line, block) in enumerate(_blocks(path), start=1):
        yield None if number <= skip else _record(f"{name}:{number}", line, block, text_field)


def base_name(path: Path) -> str:
    """A file's name without the suffixes of text and of a compression."""
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSION_SUFFIXES else path
    return name.stem if name.suffix.lower() == TEXT_SUFFIX else name.name


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The blocks with the lines where they begin; of one that is too long so much that it can be seen."""
    first_line, pieces, num_bytes = 0, list[bytes](), 0
    # a line longer than a block may be comes in pieces, each taken for a line: its block is too long already
    for number, line in numbered_pieces(path, MAX_BLOCK_BYTES + 1):
        if number == 1 and not pieces:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not _is_blank(line):
            first_line = first_line if pieces else number
            if num_bytes <= MAX_BLOCK_BYTES:
                pieces.append(line)
            num_bytes += len(line)
        elif pieces:
            yield first_line, b"".join(pieces)
            pieces, num_bytes = [], 0
    if pieces:
        yield first_line, b"".join(pieces)


def _is_blank(line: bytes) -> bool:
    return not line.decode("utf-8", "replace").strip()  # no-break and ideographic spaces too


def _record(identifier: str, line: int, block: bytes, text_field: str) -> Record | BrokenRecord:
    if len(block) > MAX_BLOCK_BYTES:
        return BrokenRecord(line, "too_long", f"more than {MAX_BLOCK_BYTES:,} bytes", block[:_KEPT_BYTES])
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        return BrokenRecord(line, "not_utf8", _where(block, error.start, line), block)
    if "\0" in text:
        return BrokenRecord(line, "not_text", _where(block, block.index(0), line), block)
    return Record(line, {"id": identifier, text_field: text}, block)


def _where(block: bytes, at: int, line: int) -> str:
    line += block.count(b"\n", 0, at)
    return f"byte 0x{block[at]:02x} in line {line}"
