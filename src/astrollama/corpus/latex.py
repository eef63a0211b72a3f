"""From source packages to `papers.parquet`: one row a paper, whatever became of it; goes on where it stopped.

Papers are converted in stretches of `_ITEMS_A_PART`. Each stretch is a file of its own in `parts` until all are there;
then they become one file, and the manifest is written.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import progress, say
from astrollama.corpus.store import storable
from astrollama.files import atomic_path
from astrollama.records import UNKNOWN, Paper, date_of_arxiv_id, paper_and_version
from astrollama.runs import StageDirectory, read_manifest, refuse_inside, stage_directory
from astrollama.sources.files import FileSource
from astrollama.sources.latex.convert import PaperText, Parts
from astrollama.sources.latex.inventory import Item, digest, find_items
from astrollama.sources.latex.workers import Workers

if TYPE_CHECKING:
    import pyarrow as pa

STAGE_NAME = "latex"
OUTPUT = "papers.parquet"
_PARTS_FOLDER = "parts"
_ITEMS_A_PART = 128


def convert_sources(
    sources: Sequence[Path],
    out: Path,
    *,
    parts: Parts,
    metadata: FileSource | None,
    num_workers: int,
    seconds: float,
) -> dict[str, Any]:
    """Make the directory `out` with `papers.parquet`: a row for each paper of the sources.

    Args:
        parts: what the column `text` holds.
        metadata: where titles, categories, dates and licences come from, joined by the identifier without its version.
        num_workers: papers converted at a time.
        seconds: how long one paper may take.

    Returns:
        The manifest, with counts by status and by reason.

    Raises:
        SourceError: a source is missing or holds no paper, or the metadata cannot be read.
        RunError: `out` holds something else.
        UserInputError: `out` lies inside a folder that is to be read.
    """
    refuse_inside(out, sources)
    num_items = sum(1 for _ in find_items(sources))
    identity = {
        "parts": parts,
        "inputs": {"papers": num_items, "sha256": digest(sources)},
        "metadata": metadata.hashes if metadata is not None else [],
    }
    with stage_directory(out, STAGE_NAME, identity, disposable=(OUTPUT, _PARTS_FOLDER), keeps=_PARTS_FOLDER) as stage:
        if stage.state == "complete":
            say(f"{out}: the papers are already there")
            return read_manifest(out, STAGE_NAME)
        known = _metadata_of(metadata, sources)
        files = _convert_parts(stage, sources, num_items, parts, known, num_workers, seconds)
        counts = _merge(files, stage.path / OUTPUT)
        manifest = stage.finish([OUTPUT], counts)
        shutil.rmtree(stage.path / _PARTS_FOLDER)
        return manifest


def latex_schema() -> pa.Schema:
    """The columns of `papers.parquet`; `text` and `abstract` are null where there is none."""
    import pyarrow as pa

    section = pa.struct([("title", pa.string()), ("level", pa.int8()), ("kind", pa.string()), ("text", pa.string())])
    return pa.schema(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("abstract", pa.string()),
            ("text", pa.string()),
            ("sections", pa.list_(section)),
            ("categories", pa.list_(pa.string())),
            ("primary", pa.string()),
            ("date", pa.string()),
            ("licence", pa.string()),
            ("status", pa.string()),
            ("reasons", pa.list_(pa.string())),
            ("detail", pa.string()),
            ("origin", pa.string()),
        ]
    )


def _metadata_of(metadata: FileSource | None, sources: Sequence[Path]) -> dict[str, Paper]:
    """The records of the papers that the sources hold, by identifier without version; of several the last."""
    if metadata is None:
        return {}
    wanted = {paper_and_version(item.paper_id)[0] for item in find_items(sources)}
    known: dict[str, Paper] = {}
    for record in metadata.papers():
        if isinstance(record, Paper) and (name := paper_and_version(record.arxiv_id)[0]) in wanted:
            known[name] = record
    return known


def _convert_parts(
    stage: StageDirectory,
    sources: Sequence[Path],
    num_items: int,
    parts: Parts,
    known: dict[str, Paper],
    num_workers: int,
    seconds: float,
) -> list[Path]:
    """Convert what is not yet converted; the files of all parts, in order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = stage.path / _PARTS_FOLDER
    folder.mkdir(exist_ok=True)
    files = [folder / f"part-{index:05d}.parquet" for index in range(-(-num_items // _ITEMS_A_PART))]
    num_done = sum(_ITEMS_A_PART for file in files if file.exists())
    items = find_items(sources)
    with (
        progress("converting papers", num_items, min(num_done, num_items)) as bar,
        Workers(min(num_workers, num_items), seconds) as workers,
    ):
        for index, file in enumerate(files):
            stretch = list(islice(items, _ITEMS_A_PART))
            if not file.exists():
                rows = [
                    _row(item, result, parts, known)
                    for item, result in zip(stretch, workers.convert(stretch), strict=True)
                ]
                with atomic_path(file) as partial:
                    pq.write_table(pa.Table.from_pylist(rows, schema=latex_schema()), partial, compression="zstd")
            bar.update(min((index + 1) * _ITEMS_A_PART, num_items))
    return files


def _row(item: Item, result: PaperText, parts: Parts, known: dict[str, Paper]) -> dict[str, Any]:
    record = known.get(paper_and_version(item.paper_id)[0])
    has_text = result.status in ("ok", "partial")
    abstract = result.abstract
    text = result.text(parts)
    if has_text and not abstract and record is not None and record.abstract:
        abstract = record.abstract
        text = f"{abstract}\n\n{text}".strip()
    row = {
        "id": item.paper_id,
        "title": record.title if record is not None and record.title else result.title,
        "abstract": abstract if has_text and abstract else None,
        "text": text if has_text and text else None,
        "sections": [asdict(section) for section in result.sections],
        "categories": list(record.categories) if record is not None and record.primary_category != UNKNOWN else [],
        "primary": record.primary_category if record is not None and record.primary_category != UNKNOWN else None,
        "date": (record.date if record is not None else "") or date_of_arxiv_id(item.paper_id) or None,
        "licence": (record.licence if record is not None else "") or None,
        "status": result.status,
        "reasons": list(result.reasons),
        "detail": result.detail,
        "origin": item.origin,
    }
    return {key: storable(value) for key, value in row.items()}


def _merge(files: Sequence[Path], target: Path) -> dict[str, Any]:
    """Put the parts together, one row group each; the counts by status and by reason."""
    import pyarrow.parquet as pq

    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with atomic_path(target) as partial, pq.ParquetWriter(partial, latex_schema(), compression="zstd") as writer:
        for table in _tables(files):
            for row in table.select(["status", "reasons"]).to_pylist():
                statuses[row["status"]] += 1
                reasons.update(f"{row['status']}: {reason}" for reason in row["reasons"])
            writer.write_table(table)
    return {
        "papers": statuses.total(),
        **{status: statuses[status] for status in ("ok", "partial", "no_tex", "failed")},
        "reasons": dict(reasons.most_common()),
    }


def _tables(files: Sequence[Path]) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    for file in files:
        yield pq.read_table(file, schema=latex_schema())
