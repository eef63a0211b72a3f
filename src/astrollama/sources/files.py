"""Papers from files: JSONL, plain or gzipped, the arXiv metadata snapshot, and Parquet; streamed, in bounded memory."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from astrollama.errors import SourceError
from astrollama.records import Paper
from astrollama.runs import sha256_file
from astrollama.sources.records import MalformedRecordError, paper_from_record

if TYPE_CHECKING:
    import pyarrow as pa

OnError = Literal["stop", "skip"]

_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_PARQUET_BATCH_ROWS = 1024
_SKIP_FIX = "mend it, or give --on-error skip to leave such records out and keep them in rejected.parquet"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that no paper could be made of: where it stands, why, and what it held."""

    origin: str
    reason: str
    detail: str
    content: str


@dataclass(frozen=True)
class FileSource:
    """Papers from files and from folders of them, in the order given; a folder's files in the order of their names.

    Attributes:
        on_error: whether a record that cannot be read stops the reading or is yielded as `Unreadable`.
    """

    paths: Sequence[Path]
    on_error: OnError = "stop"

    def files(self) -> list[Path]:
        """The files to read.

        Raises:
            SourceError: a path is missing, or a folder holds nothing that can be read.
        """
        found: list[Path] = []
        for path in self.paths:
            if path.is_dir():
                inside = [
                    p for p in sorted(path.rglob("*")) if p.is_file() and _is_known(p) and not p.name.startswith(".")
                ]
                if not inside:
                    raise SourceError(f"{path} holds no file of papers", "give JSONL, JSONL.gz or Parquet files")
                found += inside
            elif path.is_file():
                found.append(path)
            elif path.exists():
                raise SourceError(f"{path} is a pipe or a device", "write the papers to a file first")
            else:
                raise SourceError(f"there is no file {path}", "check the path")
        return found

    @cached_property
    def hashes(self) -> list[list[str]]:
        """Name and SHA-256 of each file, computed once.

        Raises:
            SourceError: as `files`.
        """
        return [[path.name, sha256_file(path)] for path in self.files()]

    def papers(self) -> Iterator[Paper | Unreadable]:
        """Read every record of every file.

        Raises:
            SourceError: a file is empty, damaged or of an unknown format, or, with `on_error` = `stop`, a record is.
        """
        files = self.files()
        folder = Path(os.path.commonpath([path.parent for path in files]))
        for path in files:
            try:
                # the name alone is enough to find a record, but for files of one name in several folders
                yield from self._papers_of(path, str(path.relative_to(folder)))
            except OSError as error:
                raise SourceError(f"{path} cannot be read ({error.strerror or error})", "check the file") from error

    def _papers_of(self, path: Path, label: str) -> Iterator[Paper | Unreadable]:
        with path.open("rb") as file:
            magic = file.read(4)
        if not magic:
            raise SourceError(f"{path} is empty", "give a file with at least one paper")
        if magic == _PARQUET_MAGIC:
            records = self._parquet_papers(path, label)
        elif path.name.lower().removesuffix(".gz").endswith(_JSON_SUFFIXES):
            records = self._json_papers(path, label, compressed=magic.startswith(_GZIP_MAGIC))
        else:
            raise SourceError(
                f"{path} is of an unknown format",
                "give JSONL, JSONL.gz, the arXiv metadata snapshot (.json) or Parquet",
            )
        num_records = 0
        for num_records, record in enumerate(records, start=1):  # noqa: B007
            yield record
        if num_records == 0:
            raise SourceError(f"{path} holds no records", "give a file with at least one paper")

    def _json_papers(self, path: Path, label: str, *, compressed: bool) -> Iterator[Paper | Unreadable]:
        number = 0
        try:
            with gzip.open(path, "rb") if compressed else path.open("rb") as file:
                for number, line in _numbered_lines(file):
                    yield self._json_paper(path, label, number, line)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(
                f"{path} is a damaged gzip file after line {number} ({error})", "fetch or compress it again"
            ) from error

    def _json_paper(self, path: Path, label: str, number: int, line: bytes) -> Paper | Unreadable:
        origin = f"{label}:{number}"
        try:
            record = json.loads(line.decode("utf-8").strip())
            if isinstance(record, list) and number == 1 and any(isinstance(item, dict) for item in record):
                raise SourceError(f"{path} is one JSON array", "write one record a line, for example with jq -c '.[]'")
            if not isinstance(record, dict):
                return self._unreadable(
                    path, label, number, "not_a_record", f"{type(record).__name__} instead of an object", line
                )
            return paper_from_record(record, origin)
        except UnicodeDecodeError as error:
            return self._unreadable(
                path, label, number, "not_utf8", f"byte 0x{line[error.start]:02x} at column {error.start + 1}", line
            )
        except MalformedRecordError as error:
            return self._unreadable(path, label, number, "malformed_record", str(error), line)
        except (ValueError, RecursionError) as error:
            if number == 1 and line.strip() in (b"[", b"{"):
                raise SourceError(
                    f"{path} is one JSON value over many lines", "write one record a line, for example with jq -c '.[]'"
                ) from None
            detail = (getattr(error, "msg", None) or str(error)).removesuffix(" at")
            return self._unreadable(
                path, label, number, "broken_json", f"{detail} at column {getattr(error, 'colno', 1)}", line
            )

    def _parquet_papers(self, path: Path, label: str) -> Iterator[Paper | Unreadable]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                if "abstract" not in file.schema_arrow.names:
                    columns = ", ".join(file.schema_arrow.names)
                    raise SourceError(
                        f"{path} has no column 'abstract' but {columns}", "rename the column that holds the abstracts"
                    )
                number = 0
                for batch in file.iter_batches(batch_size=_PARQUET_BATCH_ROWS):
                    for record in _plain_dates(batch).to_pylist():
                        number += 1
                        try:
                            yield paper_from_record(record, f"{label}:{number}")
                        except MalformedRecordError as error:
                            content = json.dumps(record, default=str, ensure_ascii=False).encode()
                            yield self._unreadable(path, label, number, "malformed_record", str(error), content)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise SourceError(f"{path} is a damaged Parquet file ({error})", "fetch or write it again") from error

    def _unreadable(self, path: Path, label: str, number: int, reason: str, detail: str, content: bytes) -> Unreadable:
        if self.on_error == "stop":
            raise SourceError(f"{path}, record {number}: {reason.replace('_', ' ')} ({detail})", _SKIP_FIX)
        return Unreadable(f"{label}:{number}", reason, detail, content.decode("utf-8", "backslashreplace").rstrip("\n"))


def _plain_dates(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dates and time stamps as text: Arrow's reach further than Python's."""
    import pyarrow as pa

    fields = [
        pa.field(field.name, pa.string()) if pa.types.is_temporal(field.type) else field for field in batch.schema
    ]
    return batch.cast(pa.schema(fields))


def _is_known(path: Path) -> bool:
    name = path.name.lower()
    return name.removesuffix(".gz").endswith(_JSON_SUFFIXES) or name.endswith(".parquet")


def _numbered_lines(file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, bytes]]:
    """Lines that hold anything, with their numbers in the file; a byte order mark is no part of the first."""
    for number, line in enumerate(file, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            yield number, text
