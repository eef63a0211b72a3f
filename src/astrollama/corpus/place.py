"""The second half of an import: every staged record goes to its split, or to `rejected.parquet` with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import track
from astrollama.corpus.decontaminate import HELD_OUT, Benchmark, Match, SharedText, Words
from astrollama.corpus.dedup import Duplicate
from astrollama.corpus.parts import Staged, part_paths
from astrollama.corpus.split import SPLITS, Split, SplitRule
from astrollama.corpus.store import table_writer
from astrollama.records import document_schema, rejected_schema
from astrollama.runs import write_json
from astrollama.sections import CorpusSection

if TYPE_CHECKING:
    import pyarrow as pa

REJECTED = "rejected.parquet"
QUALITY = "quality.json"
OUTPUTS = (*(f"{split}.parquet" for split in SPLITS), REJECTED, QUALITY)
CONTAMINATED = "contaminated"
SAMPLES_A_REASON = 20


@dataclass(frozen=True)
class Places:
    """Where the records of all parts go, by their row: documents to a split, duplicates out; the rest was rejected before."""

    split_of_row: Mapping[int, Split]
    duplicate_at_row: Mapping[int, Duplicate]
    duplicates_across_splits: int

    @classmethod
    def of(cls, staged: Staged, duplicates: Mapping[int, Duplicate], rule: SplitRule) -> Places:
        """Places of documents by the split's rule; a duplicate counts as across if the rule parts it from its original."""
        rows, found = staged.row_N.tolist(), staged.fingerprints
        split = [rule.split_of(*document) for document in zip(found.ids, found.dates, strict=True)]
        return cls(
            {rows[index]: split[index] for index in range(len(rows)) if index not in duplicates},
            {rows[index]: duplicate for index, duplicate in duplicates.items()},
            sum(split[index] != split[duplicate.of] for index, duplicate in duplicates.items()),
        )


@dataclass
class Report:
    """What was written and what was left out.

    Attributes:
        rejected: how many records, by reason.
        samples: the first records of each reason.
        decontamination: for each benchmark how many items it has, and how many documents it took out.
    """

    splits: dict[str, int] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    decontamination: list[dict[str, Any]] = field(default_factory=list)
    duplicates_across_splits: int = 0


def write_places(
    parts: Path, places: Places, benchmarks: Sequence[Benchmark], settings: CorpusSection, out: Path
) -> Report:
    """Write the splits, `rejected.parquet` and `quality.json` to `out`."""
    report = Report(duplicates_across_splits=places.duplicates_across_splits)
    shared = [SharedText(one.name, one.items, settings.ngram_words) for one in benchmarks]
    held_out = SharedText(HELD_OUT, _texts_of(parts, places, "test"), settings.ngram_words)
    matches: Counter[str] = Counter()

    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(table_writer(out / f"{split}.parquet", document_schema())) for split in SPLITS
        }
        rejected = stack.enter_context(table_writer(out / REJECTED, rejected_schema()))
        for table, rows in _tables(parts, "writing the corpus"):
            reasons, details = table["reason"].to_pylist(), table["detail"].to_pylist()
            split_of = [places.split_of_row.get(row) for row in rows]
            for index, (row, text) in enumerate(zip(rows, table["text"].to_pylist(), strict=True)):
                if duplicate := places.duplicate_at_row.get(row):
                    reasons[index], details[index] = duplicate.reason, duplicate.detail
                elif split_of[index] in ("train", "validation"):
                    match = _match(text, shared, held_out, settings)
                    if match is not None:
                        split_of[index] = None
                        matches[match.benchmark] += 1
                        reasons[index], details[index] = CONTAMINATED, _tell(match)
            for split, writer in writers.items():
                writer.write(table.filter(_mask(own == split for own in split_of)))
            _note_samples(report, table, reasons, details)
            rejected.write(_with_reasons(table, reasons, details))
    report.splits = {split: writer.num_rows for split, writer in writers.items()}
    hashes = {one.name: one.sha256 for one in benchmarks}
    report.decontamination = [
        {
            "benchmark": one.benchmark,
            "sha256": hashes.get(one.benchmark),
            "items": one.num_items,
            "items_too_short": one.num_short,
            "removed": matches[one.benchmark],
        }
        for one in [*shared, held_out]
    ]
    write_json(
        out / QUALITY,
        {
            "decontamination": report.decontamination,
            "duplicates_across_splits": report.duplicates_across_splits,
            "rejected": {
                reason: {"count": report.rejected[reason], "sample": report.samples[reason]}
                for reason in sorted(report.samples)
            },
        },
    )
    return report


def _texts_of(parts: Path, places: Places, wanted: Split) -> Iterator[tuple[str, str]]:
    """Identifier and text of the documents of one split."""
    for table, rows in _tables(parts, f"indexing the {wanted} split", ["id", "text"]):
        own = table.filter(_mask(places.split_of_row.get(row) == wanted for row in rows))
        yield from zip(own["id"].to_pylist(), own["text"].to_pylist(), strict=True)


def _tables(parts: Path, description: str, columns: list[str] | None = None) -> Iterator[tuple[pa.Table, range]]:
    """Each part with the rows that it has among all."""
    import pyarrow.parquet as pq

    paths = part_paths(parts)
    start = 0
    for path in track(paths, description, len(paths), every=1):
        table = pq.read_table(path, columns=columns or rejected_schema().names)
        yield table, range(start, start + table.num_rows)
        start += table.num_rows


def _match(text: str, shared: Sequence[SharedText], held_out: SharedText, settings: CorpusSection) -> Match | None:
    words = Words(text)
    for one in shared:
        if match := one.match(words, 0.0):
            return match
    return held_out.match(words, settings.held_out_overlap)


def _tell(match: Match) -> str:
    words = match.shared if len(match.shared) <= 200 else f"{match.shared[:200]}…"
    return f"{match.overlap:.0%} of its words stand in {match.benchmark}, first in {match.item}: {words!r}"


def _note_samples(
    report: Report, table: pa.Table, reasons: Sequence[str | None], details: Sequence[str | None]
) -> None:
    for index, reason in enumerate(reasons):
        if reason is None:
            continue
        report.rejected[reason] += 1
        samples = report.samples.setdefault(reason, [])
        if len(samples) < SAMPLES_A_REASON:
            row = table.slice(index, 1).select(["id", "title", "date", "origin"]).to_pylist()[0]
            samples.append({**row, "detail": details[index]})


def _with_reasons(table: pa.Table, reasons: list[str | None], details: list[str | None]) -> pa.Table:
    import pyarrow as pa

    for name, values in (("reason", reasons), ("detail", details)):
        column = pa.array(values, pa.string())
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table.filter(_mask(reason is not None for reason in reasons))


def _mask(values: Iterator[bool]) -> pa.Array:
    import pyarrow as pa

    return pa.array(list(values), pa.bool_())
