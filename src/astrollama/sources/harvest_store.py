"""What a harvest keeps: a Parquet part a page, and `papers.parquet` and `deleted.csv` made of them.

A part holds what was new or changed when its page came, so the last that stands of a paper is the newest. Compaction
finds these in one pass over the identifiers and copies them in a second, batch by batch, without touching a text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astrollama.errors import RunError
from astrollama.files import atomic_path
from astrollama.sources.oai_records import OaiRecord, local_id

if TYPE_CHECKING:
    import pyarrow as pa

PAPERS = "papers.parquet"
DELETED = "deleted.csv"
_DELETED_COLUMNS = ["id", "datestamp", "oai_identifier"]
_BATCH_ROWS = 4096

# identifier to the datestamp and the hash of the newest that is known of it
Index = dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Contents:
    """How many papers and deleted ones a harvest holds."""

    papers: int
    deleted: int


def paper_schema() -> pa.Schema:
    """The columns of `papers.parquet`; null is what the record does not say."""
    import pyarrow as pa

    author = pa.struct(
        [
            ("keyname", pa.string()),
            ("forenames", pa.string()),
            ("suffix", pa.string()),
            ("affiliations", pa.list_(pa.string())),
        ]
    )
    version = pa.struct([(name, pa.string()) for name in ("version", "created", "size", "source_type")])
    return pa.schema(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("abstract", pa.string()),
            ("categories", pa.list_(pa.string())),
            ("primary", pa.string()),
            ("date", pa.string()),
            ("licence", pa.string()),
            ("authors", pa.string()),
            ("authors_parsed", pa.list_(author)),
            ("updated", pa.string()),
            ("versions", pa.list_(version)),
            ("num_versions", pa.int32()),
            ("doi", pa.string()),
            ("journal_ref", pa.string()),
            ("comments", pa.string()),
            ("other", pa.list_(pa.struct([("name", pa.string()), ("text", pa.string())]))),
            ("sets", pa.list_(pa.string())),
            ("datestamp", pa.string()),
            ("oai_identifier", pa.string()),
            ("record_hash", pa.string()),
        ]
    )


def write_part(path: Path, records: Sequence[OaiRecord]) -> None:
    """Write records, deleted ones too, to a Parquet file, durably and all or none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            **record.columns,
            "sets": list(record.sets),
            "datestamp": record.datestamp,
            "oai_identifier": record.identifier,
            "record_hash": record.record_hash,
            "deleted": record.deleted,
        }
        for record in records
    ]
    schema = paper_schema().append(pa.field("deleted", pa.bool_()))
    with atomic_path(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, compression="zstd")


def read_index(parts: Sequence[Path], base: Path | None) -> Index:
    """What is known of each identifier after these parts, which came on top of the harvest in `base`.

    Raises:
        RunError: a file is damaged.
    """
    index: Index = {}
    if base is not None:
        index = {identifier: (datestamp, "") for _, datestamp, identifier in _read_deleted(base / DELETED)}
    for path in _all_files(parts, base):
        for batch in _batches(path, ["oai_identifier", "datestamp", "record_hash"]):
            columns = [column.to_pylist() for column in batch.columns]
            for identifier, datestamp, record_hash in zip(*columns, strict=True):
                index[identifier] = (datestamp, record_hash)
    return index


def compact(parts: Sequence[Path], base: Path | None, out: Path) -> Contents:
    """Write `papers.parquet` and `deleted.csv` to `out`: of each paper the newest, in the order in which they came.

    Raises:
        RunError: a file is damaged.
    """
    import pyarrow.parquet as pq

    files = _all_files(parts, base)
    newest = _newest_places(files)
    deleted = [] if base is None else [row for row in _read_deleted(base / DELETED) if row[2] not in newest]
    schema = paper_schema()
    num_papers = 0
    with atomic_path(out / PAPERS) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for number, path in enumerate(files):
            row = 0
            for batch in _batches(path):
                identifiers = batch.column("oai_identifier").to_pylist()
                kept = [newest[name] == (number, row + place) for place, name in enumerate(identifiers)]
                row += len(identifiers)
                if "deleted" in batch.schema.names:
                    flags = batch.column("deleted").to_pylist()
                    stamps = batch.column("datestamp").to_pylist()
                    gone = [place for place, flag in enumerate(flags) if flag and kept[place]]
                    deleted += [[local_id(identifiers[p]), stamps[p], identifiers[p]] for p in gone]
                    kept = [keep and not flag for keep, flag in zip(kept, flags, strict=True)]
                writer.write_batch(_filter(batch.select(schema.names), kept))
                num_papers += sum(kept)
    with atomic_path(out / DELETED) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([_DELETED_COLUMNS, *sorted(deleted, key=lambda row: row[2])])
    return Contents(num_papers, len(deleted))


def _newest_places(files: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """For each identifier the file and the row where it stands last."""
    newest = {}
    for number, path in enumerate(files):
        row = 0
        for batch in _batches(path, ["oai_identifier"]):
            for identifier in batch.column(0).to_pylist():
                newest[identifier] = (number, row)
                row += 1
    return newest


def _all_files(parts: Sequence[Path], base: Path | None) -> list[Path]:
    return [*([] if base is None else [base / PAPERS]), *parts]


def _batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise RunError(
            f"{path} cannot be read ({error})", "it is damaged: delete that harvest and begin again"
        ) from error


def _filter(batch: pa.RecordBatch, kept: list[bool]) -> pa.RecordBatch:
    import pyarrow as pa

    return batch.filter(pa.array(kept, pa.bool_()))


def _read_deleted(path: Path) -> list[list[str]]:
    """The rows of `deleted.csv`: id, datestamp, identifier."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} cannot be read ({error})", "it is damaged: delete that harvest and begin again"
        ) from error
    if header != _DELETED_COLUMNS or any(len(row) != len(header) for row in rows):
        raise RunError(
            f"{path} has other columns than {', '.join(_DELETED_COLUMNS)}", "delete that harvest and begin again"
        )
    return rows
