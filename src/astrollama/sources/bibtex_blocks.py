"""The blocks of a BibTeX file (`@article{…}`, `@string(…)`), cut out of a stream in time linear in its length.

What stands outside blocks is comment. Braces count everywhere but after a backslash; quotation marks where no brace is
open. A block that is not closed ends where a line begins with the next: a missing brace costs one entry and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from astrollama.sources.lines import numbered_pieces

MAX_BLOCK_BYTES = 16 << 20

_KEPT_BYTES = 1000  # of a block that is too long
_PIECE_BYTES = 1 << 20
_START = re.compile(rb"@\s*(\w{1,64})\s*([{(])")
_LINE_START = re.compile(rb"[ \t]*@\w{1,64}[ \t]*[{(]")
_CUT_START = re.compile(rb"@\s*\w*\s*\Z")
_MAX_CUT_START = 100
_CLOSER = {b"{": b"}", b"(": b")"}
_MARK = re.compile(rb'\\.|\\\Z|[{}")]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a file from `@` to the bracket that closes it.

    Attributes:
        kind: the word after `@`, in lower case.
        line: the line where it begins, from 1.
        reason: `broken_bibtex` if it is not closed, `too_long` if only its beginning is given, else "".
        detail: what the reason rests on.
    """

    kind: str
    line: int
    content: bytes
    reason: str
    detail: str


def read_blocks(path: Path) -> Iterator[Block]:
    """Every block of a file; of one that is longer than the limit the beginning.

    Raises:
        SourceError: the file is compressed and damaged.
        OSError: the file cannot be read.
    """
    block: _OpenBlock | None = None
    cut_start = b""
    at_line_start = True
    for number, piece in numbered_pieces(path, _PIECE_BYTES):
        if block and at_line_start and _LINE_START.match(piece):
            yield block.end("not closed before the next one")
            block = None
        at_line_start = piece.endswith(b"\n")
        text, position, cut_start = cut_start + piece, 0, b""
        while position < len(text):
            if block is None:
                start = _START.search(text, position)
                if start is None:
                    cut_start = _cut_start(text, position)
                    break
                block = _OpenBlock(start[1].decode("ascii").lower(), number, closed_by=_CLOSER[start[2]])
                block.add(start[0])
                position = start.end()
            end = block.find_end(text, position)
            block.add(text[position:end])
            if end is None:
                break
            yield block.end("")
            block, position = None, end
    if block:
        yield block.end("not closed before the end of the file")


def _cut_start(text: bytes, position: int) -> bytes:
    """The beginning of a block at the end of `text`, whose bracket is still to come."""
    at = text.rfind(b"@", max(position, len(text) - _MAX_CUT_START))
    return text[at:] if at >= 0 and _CUT_START.match(text, at) else b""


@dataclass(slots=True)
class _OpenBlock:
    kind: str
    line: int
    closed_by: bytes
    _pieces: list[bytes] = field(default_factory=list)
    _num_bytes: int = 0
    _depth: int = 0
    _quoted: bool = False
    _escaped: bool = False

    def add(self, piece: bytes) -> None:
        if self._num_bytes <= MAX_BLOCK_BYTES:
            self._pieces.append(piece)
        self._num_bytes += len(piece)

    def find_end(self, text: bytes, position: int) -> int | None:
        """The position after the bracket that closes the block; None if it is still to come."""
        position += self._escaped
        self._escaped = False
        for match in _MARK.finditer(text, position):
            mark = match[0]
            if mark == b"\\":
                # what it escapes begins the next piece of a long line
                self._escaped = True
            elif mark == b'"':
                # in a comment it is a character like others
                self._quoted ^= self._depth == 0 and self.kind != "comment"
            elif mark == b"{":
                self._depth += 1
            elif mark == b"}" and self._depth > 0:
                self._depth -= 1
            elif mark == self.closed_by and self._depth == 0 and not self._quoted:
                return match.end()
        return None

    def end(self, problem: str) -> Block:
        content = b"".join(self._pieces)
        if self._num_bytes > MAX_BLOCK_BYTES:
            detail = f"more than {MAX_BLOCK_BYTES:,} bytes"
            return Block(self.kind, self.line, content[:_KEPT_BYTES], "too_long", detail)
        return Block(self.kind, self.line, content, "broken_bibtex" if problem else "", problem)
