"""From papers to a corpus: read, repair, filter, find duplicates, hold out, decontaminate, write.

The first half makes parts (`corpus.parts`), which survive a crash. The second gives every document its place: it finds
duplicates among all fingerprints, splits, and goes over the texts once more. What is left out stands in `rejected.parquet`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama import __version__
from astrollama.console import say
from astrollama.corpus.card import CARD
from astrollama.corpus.decontaminate import Benchmark, read_benchmark
from astrollama.corpus.dedup import find_duplicates
from astrollama.corpus.parts import Staged, read_staged, write_parts
from astrollama.corpus.place import OUTPUTS, Places, write_places
from astrollama.corpus.plots import FOLDER as PICTURES
from astrollama.corpus.previous import EARLIER, PreviousCorpus, read_previous, with_earlier, write_earlier
from astrollama.corpus.split import split_rule
from astrollama.corpus.store import STAGE_NAME
from astrollama.errors import CorpusError, UserInputError
from astrollama.provenance import command, versions
from astrollama.runs import StageDirectory, read_manifest, refuse_inside, stage_directory, verify_files
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource

PARTS = "parts"

PartsMaker = Callable[[FileSource, CorpusSection, Path], None]


@dataclass(frozen=True)
class CardWriter:
    """Writes what describes a corpus into its directory.

    Attributes:
        identity: what the text depends on, beside the corpus; where it changes, only the card is written anew.
        write: gets the directory and the manifest's facts, and returns the names of the files that it wrote.
    """

    identity: Mapping[str, Any]
    write: Callable[[Path, Mapping[str, Any]], list[str]]


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
        write_card: describes the corpus.
        more_identity: what else makes this corpus, beside its inputs and settings.

    Returns:
        The manifest. Where `out` holds this very corpus already, nothing is done; where making it was stopped, it goes on.

    Raises:
        SourceError: a file, or with `source.on_error` = `stop` a record, cannot be read.
        CorpusError: too little is left to train on and to hold out.
        RunError: `out` holds something else, or `like` no corpus of the same kind of split.
        UserInputError: `out` lies inside a folder that is to be read.
    """
    refuse_inside(out, source.paths)
    benchmarks = _read_benchmarks(settings)
    previous = read_previous(like, settings) if like else None
    identity = {
        "settings": settings.model_dump(mode="json", exclude={"benchmarks"}),
        "on_error": source.on_error,
        "inputs": source.hashes,
        "benchmarks": {benchmark.name: benchmark.sha256 for benchmark in benchmarks},
        "like": previous.identity if previous else {},
        **(more_identity or {}),
    }
    with stage_directory(
        out, STAGE_NAME, identity, disposable=[*OUTPUTS, EARLIER, CARD, PICTURES, PARTS], keeps=PARTS
    ) as stage:
        try:
            if stage.state == "complete":
                say(f"{out}: the corpus is already there")
                _describe_anew(write_card, stage)
            else:
                parts = stage.path / PARTS / _digest(stage)
                parts.mkdir(parents=True, exist_ok=True)
                make_parts(source, settings, parts)
                _build(settings, parts, benchmarks, previous, write_card, stage)
        except UserInputError:
            shutil.rmtree(stage.path / PARTS, ignore_errors=True)  # once that is mended, the parts are others
            raise
        shutil.rmtree(stage.path / PARTS, ignore_errors=True)
    return read_manifest(out, STAGE_NAME)


def _build(
    settings: CorpusSection,
    parts: Path,
    benchmarks: list[Benchmark],
    previous: PreviousCorpus | None,
    write_card: CardWriter | None,
    stage: StageDirectory,
) -> None:
    staged = read_staged(parts)
    _require_some(staged, settings)
    found = staged.fingerprints
    earlier = previous.missing_from(found) if previous else []
    duplicates = find_duplicates(
        with_earlier(found, earlier, settings.seed),
        settings.near_duplicate_threshold,
        previous.rank_of_paper if previous else None,
        num_earlier=len(earlier),
    )
    kept = [index for index in range(len(found.ids)) if index not in duplicates]
    rule = split_rule(
        [found.ids[index] for index in kept],
        [found.dates[index] for index in kept],
        settings,
        (previous.validation_from, previous.held_out_from) if previous else None,
        previous.split_of_paper if previous else None,
    )
    places = Places.of(staged, duplicates, rule, earlier)
    report, decontamination = write_places(parts, places, benchmarks, settings, stage.path)
    _require_both_sides(report.splits)

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
    if earlier:
        write_earlier(earlier, stage.path / EARLIER)
        files.append(EARLIER)
    _finish(stage, files, counts, facts, write_card)


def _finish(
    stage: StageDirectory,
    files: list[str],
    counts: Mapping[str, Any],
    facts: Mapping[str, Any],
    write_card: CardWriter | None,
) -> None:
    card: dict[str, Any] = {}
    if write_card is not None:
        told = {"files": stage.records(files), "command": command(), "versions": versions()}
        names = write_card.write(stage.path, {"identity": dict(stage.identity), "counts": counts, **told, **facts})
        card = {"identity": dict(write_card.identity), "files": names}
    stage.finish([*files, *card.get("files", [])], counts, **facts, card=card)


def _describe_anew(write_card: CardWriter | None, stage: StageDirectory) -> None:
    """Where only the card would be another, write that alone."""
    manifest = read_manifest(stage.path, STAGE_NAME)
    if write_card is None or manifest["card"].get("identity") == write_card.identity:
        return
    say(f"{stage.path}: the card is written anew")
    before = manifest["card"].get("files", [])
    files = [name for name in manifest["files"] if name not in before]
    verify_files(stage.path, manifest, files)
    facts = {name: manifest[name] for name in ("split", "decontamination", "duplicates_across_splits")}
    _finish(stage, files, manifest["counts"], facts, write_card)
    for name in set(before) - set(read_manifest(stage.path, STAGE_NAME)["files"]):
        (stage.path / name).unlink(missing_ok=True)


def _read_benchmarks(settings: CorpusSection) -> list[Benchmark]:
    benchmarks = [read_benchmark(Path(path)) for path in settings.benchmarks]
    names = [benchmark.name for benchmark in benchmarks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserInputError(f"two benchmarks are named {twice!r}", "give each once, and rename one of two")
    return benchmarks


def _digest(stage: StageDirectory) -> str:
    """A name for what makes the parts: those of other papers, settings or versions are never taken for them."""
    made_of = json.dumps([__version__, dict(stage.identity)], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def _require_both_sides(splits: Mapping[str, int]) -> None:
    for split in ("train", "test"):
        if not splits[split]:
            raise CorpusError(
                f"nothing is left to {split} on after decontamination", "give more papers, or other corpus.benchmarks"
            )


def _require_some(staged: Staged, settings: CorpusSection) -> None:
    left = len(staged.fingerprints.ids)
    if left >= 2:
        return
    reasons = Counter(staged.rejected)
    if staged.num_passed_over:
        reasons["other_category"] = staged.num_passed_over
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    raise CorpusError(
        f"{left} document(s) left of {staged.num_rows + staged.num_passed_over} records ({told or 'none dropped'})",
        f"give records with id, {settings.text_field} and date, or loosen the corpus settings of the recipe",
    )
