"""The second half of an import: every staged record goes to its split, or to `rejected.parquet` with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import track
from astrollama.corpus.decontaminate import Benchmark, Match, SharedText, Words
from astrollama.corpus.dedup import Duplicate
from astrollama.corpus.filters import NotWithdrawn
from astrollama.corpus.parts import Staged, part_paths
from astrollama.corpus.previous import HeldOutText
from astrollama.corpus.split import SPLITS, Split, SplitRule
from astrollama.corpus.store import storable, table_writer
from astrollama.files import write_json
from astrollama.records import document_schema, paper_and_version, rejected_schema
from astrollama.sections import CorpusSection

if TYPE_CHECKING:
    import pyarrow as pa

REJECTED = "rejected.parquet"
QUALITY = "quality.json"
OUTPUTS = (*(f"{split}.parquet" for split in SPLITS), REJECTED, QUALITY)
CONTAMINATED = "contaminated"
HELD_OUT: dict[Split, str] = {"test": "test papers", "validation": "validation papers"}
SAMPLES_A_REASON = 20


@dataclass(frozen=True)
class Places:
    """Where the records of all parts go, by their row: documents to a split, others out; the rest was rejected before.

    Attributes:
        reason_at_row: why a document is left out, and the detail.
        earlier: texts that an earlier corpus held out and this one does not have.
    """

    split_of_row: Mapping[int, Split]
    reason_at_row: Mapping[int, tuple[str, str]]
    duplicates_across_splits: int
    earlier: Sequence[HeldOutText]

    @classmethod
    def of(
        cls, staged: Staged, duplicates: Mapping[int, Duplicate], rule: SplitRule, earlier: Sequence[HeldOutText]
    ) -> Places:
        """Places of documents by the split's rule; a duplicate counts as across if the rule parts it from its original."""
        rows, found = staged.row_N.tolist(), staged.fingerprints
        split = [rule.split_of(*document) for document in zip(found.ids, found.dates, strict=True)]
        split_with_earlier = [*split, *(own.split for own in earlier)]
        reasons = {index: (duplicate.reason, duplicate.detail) for index, duplicate in duplicates.items()}
        for index, document_id in enumerate(found.ids):
            paper, version = paper_and_version(document_id)
            if version is not None and version < staged.withdrawn.get(paper, 0.0):
                reasons[index] = (NotWithdrawn.reason, "a later version is")
        return cls(
            {rows[index]: split[index] for index in range(len(rows)) if index not in reasons},
            {rows[index]: reason for index, reason in reasons.items()},
            sum(split[index] != split_with_earlier[duplicate.of] for index, duplicate in duplicates.items()),
            earlier,
        )


class Report:
    """What was written and what was left out, with the first records of each reason and of each benchmark."""

    def __init__(self) -> None:
        self.splits: dict[str, int] = {}
        self.rejected: Counter[str] = Counter()
        self.removed_by: Counter[str] = Counter()
        self._samples: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def note(self, row: Mapping[str, Any], reason: str, detail: str, benchmark: str = "") -> None:
        """Count a record that is left out; `benchmark` is what it shares text with."""
        self.rejected[reason] += 1
        if benchmark:
            self.removed_by[benchmark] += 1
        samples = self._samples.setdefault((reason, benchmark), [])
        if len(samples) < SAMPLES_A_REASON:
            samples.append({**row, "detail": detail})

    def quality(self, decontamination: Sequence[Mapping[str, Any]], duplicates_across_splits: int) -> dict[str, Any]:
        """What `quality.json` holds."""
        return {
            "decontamination": [
                {**entry, "sample": self._samples.get((CONTAMINATED, entry["benchmark"]), [])}
                for entry in decontamination
            ],
            "duplicates_across_splits": duplicates_across_splits,
            "rejected": {
                reason: {"count": count, "sample": self._samples.get((reason, ""), [])}
                for reason, count in sorted(self.rejected.items())
                if reason != CONTAMINATED
            },
        }


class Decontamination:
    """All texts that a training document must not share."""

    def __init__(self, benchmarks: Sequence[Benchmark], parts: Path, places: Places, settings: CorpusSection) -> None:
        self._hashes = {one.name: one.sha256 for one in benchmarks}
        self._shared = [SharedText(one.name, one.items, settings.ngram_words) for one in benchmarks]
        self._held_out: dict[Split, SharedText] = {
            split: SharedText(name, _texts_of(parts, places, split), settings.ngram_words)
            for split, name in HELD_OUT.items()
        }
        self._held_out_overlap = settings.held_out_overlap

    def match(self, text: str, split: Split | None) -> Match | None:
        """With which benchmark, or else with which held-out paper, a text of a split shares too much.

        Training texts are compared with both held-out splits, validation texts with the test, and the test with nothing.
        """
        if split not in ("train", "validation"):
            return None
        words = Words(text)
        for one in self._shared:
            if match := one.match(words, 0.0):
                return match
        for other, held_out in self._held_out.items():
            if other != split and (match := held_out.match(words, self._held_out_overlap)):
                return match
        return None

    def report(self, removed_by: Mapping[str, int]) -> list[dict[str, Any]]:
        """For each benchmark how many items it has and how many documents it took out."""
        return [
            {
                "benchmark": one.benchmark,
                "sha256": self._hashes.get(one.benchmark),
                "items": one.num_items,
                "items_too_short": one.num_short,
                "removed": removed_by.get(one.benchmark, 0),
            }
            for one in (*self._shared, *self._held_out.values())
        ]


def write_places(
    parts: Path, places: Places, benchmarks: Sequence[Benchmark], settings: CorpusSection, out: Path
) -> tuple[Report, list[dict[str, Any]]]:
    """Write the splits, `rejected.parquet` and `quality.json` to `out`.

    Returns:
        What was left out, and of each benchmark what it took out.
    """
    decontamination = Decontamination(benchmarks, parts, places, settings)
    report = Report()
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(table_writer(out / f"{split}.parquet", document_schema())) for split in SPLITS
        }
        rejected = stack.enter_context(table_writer(out / REJECTED, rejected_schema()))
        for table, rows in _tables(parts, "writing the corpus"):
            split_of, table = _judge(table, rows, places, decontamination, report)
            for split, writer in writers.items():
                writer.write(table.filter(_mask(own == split for own in split_of)))
            rejected.write(table.filter(_mask(own is None for own in split_of)))
    report.splits = {split: writer.num_rows for split, writer in writers.items()}
    removed = decontamination.report(report.removed_by)
    write_json(out / QUALITY, report.quality(removed, places.duplicates_across_splits))
    return report, removed


def _judge(
    table: pa.Table, rows: range, places: Places, decontamination: Decontamination, report: Report
) -> tuple[list[Split | None], pa.Table]:
    """The split of each record of a part, None for those that are left out, and the part with its reasons."""
    import pyarrow as pa

    split_of = [places.split_of_row.get(row) for row in rows]
    told = table.select(["id", "title", "date", "origin"]).to_pylist()
    reasons, details = table["reason"].to_pylist(), table["detail"].to_pylist()
    for index, (row, text) in enumerate(zip(rows, table["text"].to_pylist(), strict=True)):
        benchmark = ""
        if reason := places.reason_at_row.get(row):
            reasons[index], details[index] = reason
        elif match := decontamination.match(text, split_of[index]):
            split_of[index] = None
            reasons[index], details[index] = CONTAMINATED, _tell(match)
            benchmark = match.benchmark
        if reasons[index] is not None:
            report.note(told[index], reasons[index], details[index], benchmark)
    for name, values in (("reason", reasons), ("detail", details)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))
    return split_of, table


def _texts_of(parts: Path, places: Places, wanted: Split) -> Iterator[tuple[str, str]]:
    """Identifier and text of the documents of one split, and of what an earlier corpus had there."""
    yield from ((own.id, own.text) for own in places.earlier if own.split == wanted)
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


def _tell(match: Match) -> str:
    words = match.shared if len(match.shared) <= 200 else f"{match.shared[:200]}…"
    share = f"{match.overlap:.0%} of its words stand in {match.benchmark}"
    return storable(f"{share}, first in {match.item}: {words!r}")  # type: ignore[no-any-return]


def _mask(values: Iterator[bool]) -> pa.Array:
    import pyarrow as pa

    return pa.array(list(values), pa.bool_())
