"""The first half of an import: papers become parts, numbered files of records that were repaired, filtered and fingerprinted.

A part needs nothing but its own records, so parts can be made one after the other, by several processes, or by several
machines (`corpus.cluster`), and come out the same. A part that is there is whole: work that was killed goes on behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import progress
from astrollama.corpus.clean import Clean, content_hash, document_of_paper
from astrollama.corpus.dedup import NUM_PERMUTATIONS, Fingerprints, signature, words_hash
from astrollama.corpus.filters import HasDate, HasText, InMonths, IsProse, LongEnough, NotWithdrawn
from astrollama.corpus.store import storable
from astrollama.errors import AstroLlamaError
from astrollama.files import atomic_path, read_json, write_json
from astrollama.records import Document, Dropped, Paper, Step, paper_and_version, rejected_schema
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource, PassedOver, Unreadable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

PART_RECORDS = 2048
COUNT = "count.json"
_PASSED_OVER = b"num_passed_over"

Item = Paper | Unreadable | PassedOver


@dataclass(frozen=True)
class Staged:
    """What all parts together hold.

    Attributes:
        fingerprints: of the N documents that passed the filters.
        num_rows: rows of all parts, documents and rejected records.
        row_N: the place of each document among the rows, int64.
        rejected: the reasons of the rejected records, one each.
        withdrawn: the newest version that says it is withdrawn, by identifier without version; infinite where the
            identifier names none.
        num_passed_over: records of other categories, which have no row.
    """

    fingerprints: Fingerprints
    num_rows: int
    row_N: np.ndarray
    rejected: Sequence[str]
    withdrawn: Mapping[str, float]
    num_passed_over: int


def write_parts(source: FileSource, settings: CorpusSection, folder: Path, rank: int = 0, world_size: int = 1) -> None:
    """Make the parts that are not there yet; of several processes, process `rank` makes every `world_size`-th.

    Raises:
        SourceError: a file, or with `source.on_error` = `stop` a record, cannot be read.
    """
    if (folder / COUNT).is_file() and all(path.is_file() for path in part_paths(folder)[rank::world_size]):
        return
    # the part before the first that is missing is read again, so that the end of the source is seen even if none is
    start = max(0, _first_missing(folder, rank, world_size) - world_size)
    with progress("reading papers", None, start * PART_RECORDS, shown=rank == 0) as bar:
        for number, items in enumerate(_batches(source.papers(skip=start * PART_RECORDS)), start=start):
            path = _part_path(folder, number)
            if number % world_size == rank and not path.is_file():
                _write_part(path, items, settings)
            bar.update(number * PART_RECORDS + len(items))
    write_json(folder / COUNT, {"parts": number + 1}, shared=True)


def part_paths(folder: Path) -> list[Path]:
    """The parts in their order; known when one process has come to the source's end."""
    return [_part_path(folder, number) for number in range(read_json(folder / COUNT)["parts"])]


def read_staged(folder: Path) -> Staged:
    """Gather from all parts what the second half needs before it looks at texts again.

    Raises:
        AstroLlamaError: a part is damaged; it is removed, so that it is made anew.
    """
    import numpy as np
    import pyarrow.compute as pc

    ids: list[str] = []
    dates: list[str] = []
    hashes: list[bytes] = []
    signatures: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    rejected: list[str] = []
    withdrawn: dict[str, float] = {}
    num_rows = num_passed_over = 0
    for path in part_paths(folder):
        table = _read_part(path)
        num_passed_over += int(table.schema.metadata[_PASSED_OVER])
        kept = table.filter(table["reason"].is_null())
        ids += kept["id"].to_pylist()
        dates += kept["date"].to_pylist()
        hashes += kept["words_hash"].to_pylist()
        signatures.append(
            kept["signature"].combine_chunks().flatten().to_numpy().reshape(kept.num_rows, NUM_PERMUTATIONS)
        )
        rows.append(num_rows + np.flatnonzero(table["reason"].is_null().to_numpy()))
        rejected += [reason for reason in table["reason"].to_pylist() if reason is not None]
        for document_id in table.filter(pc.equal(table["reason"], NotWithdrawn.reason))["id"].to_pylist():
            paper, version = paper_and_version(document_id)
            withdrawn[paper] = max(withdrawn.get(paper, 0.0), math.inf if version is None else version)
        num_rows += table.num_rows
    return Staged(
        Fingerprints(ids, dates, hashes, np.concatenate(signatures)),
        num_rows,
        np.concatenate(rows),
        rejected,
        withdrawn,
        num_passed_over,
    )


def _read_part(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=["id", "date", "reason", "words_hash", "signature"])
    except (pa.ArrowException, OSError) as error:
        path.unlink(missing_ok=True)
        raise AstroLlamaError(f"{path} is damaged ({error})", "give the same command again: it is made anew") from error


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06d}.parquet"


def _first_missing(folder: Path, rank: int, world_size: int) -> int:
    number = rank
    while _part_path(folder, number).is_file():
        number += world_size
    return number


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, PART_RECORDS)):
        yield batch


def _write_part(path: Path, items: Sequence[Item], settings: CorpusSection) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_row(result, settings.seed) for result in _results(items, settings)]
    num_passed_over = len(items) - len(rows)
    schema = _part_schema().with_metadata({_PASSED_OVER: str(num_passed_over).encode()})
    with atomic_path(path, shared=True) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, compression="zstd")


def _results(items: Sequence[Item], settings: CorpusSection) -> Iterable[Document | Dropped]:
    """What becomes of each record but those passed over: documents in their order, then what was dropped."""
    dropped: list[Dropped] = []
    documents: list[Document] = []
    for item in items:
        if isinstance(item, Unreadable):
            record = Document("", item.content, "", (), "", "", "", content_hash(item.content), item.origin)
            dropped.append(Dropped(record, item.reason, item.detail))
        elif isinstance(item, Paper):
            documents.append(document_of_paper(item))
    for step in _steps(settings):
        results = list(step.apply(iter(documents)))
        assert len(results) == len(documents), step
        documents = [result for result in results if isinstance(result, Document)]
        dropped += [result for result in results if isinstance(result, Dropped)]
    return [*documents, *dropped]


def _steps(settings: CorpusSection) -> list[Step]:
    steps: list[Step] = [
        Clean(),
        HasText(),
        NotWithdrawn(),
        LongEnough(settings.min_words),
        IsProse(settings.min_prose_ratio),
    ]
    if settings.needs_dates:
        steps.append(HasDate())
    if settings.from_month or settings.until_month:
        steps.append(InMonths(settings.from_month, settings.until_month))
    return steps


def _row(result: Document | Dropped, seed: int) -> dict[str, Any]:
    document = result.document if isinstance(result, Dropped) else result
    row = {key: storable(value) for key, value in asdict(document).items()}
    if isinstance(result, Dropped):
        return {**row, "reason": result.reason, "detail": storable(result.detail)}
    return {**row, "words_hash": words_hash(document.text), "signature": signature(document.text, seed).tolist()}


def _part_schema() -> pa.Schema:
    import pyarrow as pa

    return (
        rejected_schema()
        .append(pa.field("words_hash", pa.binary(16)))
        .append(pa.field("signature", pa.list_(pa.uint32(), NUM_PERMUTATIONS)))
    )
