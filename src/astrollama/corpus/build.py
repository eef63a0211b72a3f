"""From papers to a corpus: read, repair, filter, find duplicates, hold out, decontaminate, write.

The first half makes parts (`corpus.parts`), which survive a crash. The second gives every document its place: it finds
duplicates among all fingerprints, splits, and goes over the texts once more. What is left out stands in `rejected.parquet`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from astrollama.console import say
from astrollama.corpus.card import CARD
from astrollama.corpus.decontaminate import Benchmark, read_benchmark
from astrollama.corpus.dedup import find_duplicates
from astrollama.corpus.parts import Staged, read_staged, write_parts
from astrollama.corpus.place import OUTPUTS, Places, write_places
from astrollama.corpus.plots import FOLDER as PICTURES
from astrollama.corpus.split import PreviousSplit, read_previous_split, split_rule
from astrollama.errors import CorpusError, UserInputError
from astrollama.provenance import command, versions
from astrollama.runs import StageDirectory, read_manifest, stage_directory
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource

STAGE_NAME = "corpus"
PARTS = "parts"

PartsMaker = Callable[[FileSource, CorpusSection, Path], None]
CardWriter = Callable[[Path, Mapping[str, Any]], list[str]]


def import_corpus(
    source: FileSource,
    settings: CorpusSection,
    out: Path,
    *,
    like: Path | None = None,
    make_parts: PartsMaker = write_parts,
    write_card: CardWriter | None = None,
    more_identity: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the corpus directory `out`: a Parquet file a split, `rejected.parquet`, `quality.json` and the manifest.

    Args:
        like: an earlier corpus; its papers keep their split, and text that it held out is never trained on.
        make_parts: makes what `write_parts` makes, perhaps with several processes (`corpus.cluster`).
        write_card: writes what describes the corpus into the directory, given the manifest's facts; returns the files' names.
        more_identity: what else makes this corpus, beside its inputs and settings.

    Returns:
        The manifest. Where `out` holds this very corpus already, nothing is done; where making it was stopped, it goes on.

    Raises:
        SourceError: a file, or with `source.on_error` = `stop` a record, cannot be read.
        CorpusError: too little is left to train on and to hold out.
        RunError: `out` holds something else, or `like` no corpus of the same kind of split.
        UserInputError: `out` lies inside a folder that is to be read.
    """
    inside = [path for path in source.paths if path.is_dir() and out.resolve().is_relative_to(path.resolve())]
    if inside:
        raise UserInputError(f"{out} lies inside {inside[0]}, which is to be read", "choose an --out beside it")
    benchmarks = [read_benchmark(Path(path)) for path in settings.benchmarks]
    previous = read_previous_split(like, settings) if like else None
    identity = {
        "settings": settings.model_dump(mode="json"),
        "on_error": source.on_error,
        "inputs": source.hashes,
        "benchmarks": {benchmark.name: benchmark.sha256 for benchmark in benchmarks},
        "like": previous.identity if previous else {},
        **(more_identity or {}),
    }
    with stage_directory(out, STAGE_NAME, identity, disposable=[*OUTPUTS, CARD, PICTURES, PARTS], keeps=PARTS) as stage:
        parts = stage.path / PARTS
        try:
            if stage.state == "complete":
                say(f"{out}: the corpus is already there")
            else:
                parts.mkdir(exist_ok=True)
                make_parts(source, settings, parts)
                _build(settings, benchmarks, previous, write_card, stage)
        except UserInputError:
            shutil.rmtree(parts, ignore_errors=True)  # once that is mended, the parts are others
            raise
        shutil.rmtree(parts, ignore_errors=True)
    return read_manifest(out, STAGE_NAME)


def _build(
    settings: CorpusSection,
    benchmarks: list[Benchmark],
    previous: PreviousSplit | None,
    write_card: CardWriter | None,
    stage: StageDirectory,
) -> None:
    staged = read_staged(stage.path / PARTS)
    _require_some(staged)
    found = staged.fingerprints
    duplicates = find_duplicates(found, settings.near_duplicate_threshold, previous.rank_of_paper if previous else None)
    kept = [index for index in range(len(found.ids)) if index not in duplicates]
    rule = split_rule([found.ids[i] for i in kept], [found.dates[i] for i in kept], settings, previous)
    places = Places.of(staged, duplicates, rule)
    report, decontamination = write_places(stage.path / PARTS, places, benchmarks, settings, stage.path)

    counts = {
        "records": staged.num_rows + staged.num_passed_over,
        "other_category": staged.num_passed_over,
        **report.splits,
        "rejected": dict(sorted(report.rejected.items())),
    }
    assert staged.num_rows == sum(report.splits.values()) + sum(report.rejected.values()), counts
    facts: dict[str, Any] = {
        "split": {
            "kind": settings.split,
            "validation_from": rule.validation_from,
            "held_out_from": rule.held_out_from,
        },
        "decontamination": decontamination,
        "duplicates_across_splits": places.duplicates_across_splits,
    }
    files = list(OUTPUTS)
    if write_card is not None:
        told = {"files": stage.records(files), "command": command(), "versions": versions()}
        files += write_card(stage.path, {"identity": dict(stage.identity), "counts": counts, **told, **facts})
    stage.finish(files, counts, **facts)


def _require_some(staged: Staged) -> None:
    left = len(staged.fingerprints.ids)
    if left >= 2:
        return
    reasons = Counter(staged.rejected)
    if staged.num_passed_over:
        reasons["other_category"] = staged.num_passed_over
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    raise CorpusError(
        f"{left} document(s) left of {staged.num_rows + staged.num_passed_over} records ({told or 'none dropped'})",
        "give records with id, abstract and date, or loosen the corpus settings of the recipe",
    )
