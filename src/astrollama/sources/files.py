"""Papers from files: JSONL, the arXiv metadata snapshot, BibTeX, plain text, Parquet and Arrow; in bounded memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from astrollama.errors import SourceError
from astrollama.files import sha256_file
from astrollama.records import Paper
from astrollama.sources.bibtex import read_bibtex
from astrollama.sources.folders import paper_files
from astrollama.sources.json_lines import read_json_lines
from astrollama.sources.lines import text_name, uncompressed_name
from astrollama.sources.plain_text import TEXT_SUFFIX, base_name, read_plain_text
from astrollama.sources.records import (
    DEFAULT_TEXT_FIELD,
    BrokenRecord,
    MalformedRecordError,
    PassedOver,
    Record,
    Unreadable,
    paper_from_record,
)
from astrollama.sources.tables import ARROW_FILE_MAGIC, PARQUET_MAGIC, read_arrow, read_parquet

__all__ = ["FileSource", "OnError", "PassedOver", "Unreadable"]

OnError = Literal["stop", "skip"]
# for the first so many records of a file it yields None, and then each as it stands
Reader = Callable[[Path, int], Iterator[Record | BrokenRecord | None]]

_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_BIBTEX_SUFFIX = ".bib"
_TABLE_SUFFIXES = (".parquet", ".arrow")
_KNOWN = "JSONL, JSONL.gz, BibTeX, plain text (.txt), Arrow or Parquet"
_SKIP_FIX = "mend it, or give --on-error skip to leave such records out"


@dataclass(frozen=True)
class FileSource:
    """Papers from files and from folders of them, in the order given; a folder's files in the order of their names.

    Plain text is read where it is named: in a folder, what a `.txt` file holds is as likely a note about the papers.

    Attributes:
        on_error: whether a record that cannot be read stops the reading or is yielded as `Unreadable`.
        text_field: the field of a record that holds its text, which becomes `Paper.abstract`.
        categories: archives (`astro-ph`) and categories (`astro-ph.GA`) of which a paper must have one; empty: all.
    """

    paths: Sequence[Path]
    on_error: OnError = "stop"
    text_field: str = DEFAULT_TEXT_FIELD
    categories: tuple[str, ...] = ()

    def files(self) -> list[Path]:
        """The files to read.

        Raises:
            SourceError: a path is missing, or a folder holds nothing that can be read, or an unfinished run.
        """
        found: list[Path] = []
        for path in self.paths:
            if path.is_dir():
                found += _files_in(path)
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

    def papers(self, skip: int = 0) -> Iterator[Paper | Unreadable | PassedOver]:
        """Read every record of every file.

        Args:
            skip: how many items were taken at an earlier reading of the same files. They are passed over, most of them
                unread and unchecked, and what follows is what followed them then.

        Raises:
            SourceError: a file is empty, damaged or of an unknown format, or, with `on_error` = `stop`, a record is; or
                two files would give texts the same identifiers.
        """
        files = self.files()
        _require_own_names(files)
        folder = Path(os.path.commonpath([path.parent.absolute() for path in files]))
        for path in files:
            num_records = 0
            # the name alone is enough to find a record, but for files of one name in several folders
            label = str(path.absolute().relative_to(folder))
            with _reading(path):
                for num_records, record in enumerate(self._reader(path)(path, skip), start=1):  # noqa: B007
                    if record is not None:
                        yield self._item(record, path, label)
            if num_records == 0:
                raise SourceError(f"{path} holds no records", "give a file with at least one paper")
            skip = max(skip - num_records, 0)

    def _reader(self, path: Path) -> Reader:
        with path.open("rb") as file:
            start = file.read(len(ARROW_FILE_MAGIC))
        if not start:
            raise SourceError(f"{path} is empty", "give a file with at least one paper")
        if start.startswith(PARQUET_MAGIC):
            return partial(read_parquet, text_field=self.text_field)
        name = text_name(path)
        if start == ARROW_FILE_MAGIC or name.endswith(".arrow"):
            return partial(read_arrow, text_field=self.text_field)
        if name.endswith(_JSON_SUFFIXES):
            return read_json_lines
        if name.endswith(_BIBTEX_SUFFIX):
            return partial(read_bibtex, text_field=self.text_field)
        if name.endswith(TEXT_SUFFIX):
            return partial(read_plain_text, text_field=self.text_field)
        raise SourceError(f"{path} is of an unknown format", f"give {_KNOWN}")

    def _item(self, record: Record | BrokenRecord, path: Path, label: str) -> Paper | Unreadable | PassedOver:
        origin = f"{label}:{record.number}"
        if isinstance(record, BrokenRecord):
            broken = record
        else:
            try:
                paper = paper_from_record(record.fields, origin, self.text_field)
            except MalformedRecordError as error:
                broken = BrokenRecord(record.number, "malformed_record", str(error), _content(record))
            else:
                return paper if self._takes(paper) else PassedOver(origin)
        if self.on_error == "stop":
            unit = "line" if text_name(path).endswith((_BIBTEX_SUFFIX, TEXT_SUFFIX)) else "record"
            reason = broken.reason.replace("_", " ")
            raise SourceError(f"{path}, {unit} {broken.number}: {reason} ({broken.detail})", _SKIP_FIX)
        content = broken.content.decode("utf-8", "backslashreplace").rstrip("\n")
        return Unreadable(origin, broken.reason, broken.detail, content)

    def _takes(self, paper: Paper) -> bool:
        if not self.categories:
            return True
        own = {paper.primary_category, *paper.categories}
        return any(name in self.categories or name.partition(".")[0] in self.categories for name in own)


def _require_own_names(files: Sequence[Path]) -> None:
    """Refuse text files of one name: it is what identifies their texts."""
    named: dict[str, Path] = {}
    for path in files:
        with _reading(path):
            is_text = text_name(path).endswith(TEXT_SUFFIX)
        if is_text and (other := named.setdefault(base_name(path), path)) != path:
            raise SourceError(f"the texts of {other} and {path} would have the same identifiers", "rename one of them")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})", "check the file") from error


def _files_in(folder: Path) -> list[Path]:
    try:
        found = paper_files(folder, _is_known)
    except OSError as error:
        raise SourceError(f"{folder} cannot be read ({error.strerror or error})", "check the folder") from error
    if not found:
        raise SourceError(f"{folder} holds no file of papers", f"give {_KNOWN}, text files by their names")
    return found


def _is_known(path: Path) -> bool:
    name = uncompressed_name(path)
    return name.endswith((*_JSON_SUFFIXES, _BIBTEX_SUFFIX)) or path.suffix.lower() in _TABLE_SUFFIXES


def _content(record: Record) -> bytes:
    if record.content is not None:
        return record.content
    return json.dumps(record.fields, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass")
