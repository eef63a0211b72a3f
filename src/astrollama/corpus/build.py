"""From papers to a corpus: read, repair, filter, find duplicates, hold out, write.

Two passes keep memory bounded. The first streams papers through repair and filters to a file beside the output and keeps
a fingerprint of each; the second gives every document its place. What is left out stands in `rejected.parquet`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from astrollama.console import say, track
from astrollama.corpus.clean import Clean, content_hash, document_of_paper
from astrollama.corpus.dedup import Fingerprint, find_duplicates, fingerprint
from astrollama.corpus.filters import HasDate, HasText, IsProse, LongEnough, NotWithdrawn
from astrollama.corpus.split import first_held_out_month, is_held_out_at_random
from astrollama.corpus.store import document_writer, read_documents
from astrollama.errors import CorpusError, UserInputError
from astrollama.recipe import CorpusSection
from astrollama.records import Document, Dropped, Step
from astrollama.runs import TEMPORARY_PREFIX, StageDirectory, read_manifest, stage_directory
from astrollama.sources.files import FileSource, Unreadable

STAGE_NAME = "corpus"
OUTPUTS = ("train.parquet", "test.parquet", "rejected.parquet")

Reject = Callable[[Dropped], None]


def import_corpus(source: FileSource, settings: CorpusSection, out: Path) -> dict[str, Any]:
    """Make the corpus directory `out`: `train.parquet`, `test.parquet`, `rejected.parquet` and the manifest.

    Returns:
        The manifest. Where `out` holds this very corpus already, nothing is done.

    Raises:
        SourceError: a file, or with `source.on_error` = `stop` a record, cannot be read.
        CorpusError: too little is left to train on and to hold out.
        RunError: `out` holds something else.
        UserInputError: `out` lies inside a folder that is to be read.
    """
    inside = [path for path in source.paths if path.is_dir() and out.resolve().is_relative_to(path.resolve())]
    if inside:
        raise UserInputError(f"{out} lies inside {inside[0]}, which is to be read", "choose an --out beside it")
    identity = {
        "settings": settings.model_dump(mode="json"),
        "on_error": source.on_error,
        "inputs": source.hashes,
    }
    with stage_directory(out, STAGE_NAME, identity, disposable=OUTPUTS) as stage:
        if stage.state == "complete":
            say(f"{out}: the corpus is already there")
            return read_manifest(out, STAGE_NAME)
        return _build(source, settings, stage)


def _build(source: FileSource, settings: CorpusSection, stage: StageDirectory) -> dict[str, Any]:
    staged = stage.path / f"{TEMPORARY_PREFIX}documents.parquet"
    rejected_counts: Counter[str] = Counter()
    with document_writer(stage.path / "rejected.parquet", rejected=True) as rejected:

        def reject(dropped: Dropped) -> None:
            rejected.write(dropped)
            rejected_counts[dropped.reason] += 1

        fingerprints = _stage_documents(source, settings, staged, reject)
        num_read = len(fingerprints) + rejected.num_rows
        _require_some(fingerprints, rejected_counts)
        duplicates = find_duplicates(fingerprints, settings.near_duplicate_threshold, settings.seed)
        kept = [own for index, own in enumerate(fingerprints) if index not in duplicates]
        held_out_from, is_held_out = _split_rule(kept, settings)

        with (
            document_writer(stage.path / "train.parquet") as train,
            document_writer(stage.path / "test.parquet") as test,
        ):
            for index, document in enumerate(read_documents(staged)):
                if duplicate := duplicates.get(index):
                    reject(Dropped(document, duplicate.reason, duplicate.detail))
                else:
                    (test if is_held_out(document) else train).write(document)
    staged.unlink()
    counts = {
        "records": num_read,
        "train": train.num_rows,
        "test": test.num_rows,
        "rejected": dict(sorted(rejected_counts.items())),
    }
    assert num_read == train.num_rows + test.num_rows + rejected_counts.total(), counts
    return stage.finish([*OUTPUTS], counts, split={"kind": settings.split, "held_out_from": held_out_from})


def _stage_documents(source: FileSource, settings: CorpusSection, staged: Path, reject: Reject) -> list[Fingerprint]:
    """Repair and filter every paper; write what stays to `staged` and return its fingerprints in the same order."""
    steps: list[Step] = [
        Clean(),
        HasText(),
        NotWithdrawn(),
        LongEnough(settings.min_words),
        IsProse(settings.min_prose_ratio),
    ]
    if settings.split == "date":
        steps.append(HasDate())
    documents = _documents(source, reject)
    for step in steps:
        documents = _documents_of(step.apply(documents), reject)
    fingerprints = []
    with document_writer(staged) as writer:
        for document in track(documents, "reading papers"):
            writer.write(document)
            fingerprints.append(fingerprint(document, settings.seed))
    return fingerprints


def _documents(source: FileSource, reject: Reject) -> Iterator[Document]:
    for item in source.papers():
        if isinstance(item, Unreadable):
            document = Document("", item.content, "", (), "", "", "", content_hash(item.content), item.origin)
            reject(Dropped(document, item.reason, item.detail))
        else:
            yield document_of_paper(item)


def _documents_of(items: Iterator[Document | Dropped], reject: Reject) -> Iterator[Document]:
    for item in items:
        if isinstance(item, Dropped):
            reject(item)
        else:
            yield item


def _require_some(fingerprints: Sequence[Fingerprint], rejected_counts: Counter[str]) -> None:
    if len(fingerprints) >= 2:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in rejected_counts.most_common())
    raise CorpusError(
        f"{len(fingerprints)} document(s) left of {len(fingerprints) + rejected_counts.total()} records ({reasons or 'none dropped'})",
        "give records with id, abstract and date, or loosen the corpus settings of the recipe",
    )


def _split_rule(kept: Sequence[Fingerprint], settings: CorpusSection) -> tuple[str | None, Callable[[Document], bool]]:
    """The first held-out month (None for a random split) and a function that tells whether a document is held out."""
    if settings.split == "date":
        month = first_held_out_month([own.date[:7] for own in kept], settings.test_fraction)
        return month, lambda document: document.date[:7] >= month
    rule = partial(is_held_out_at_random, test_fraction=settings.test_fraction, seed=settings.seed)
    num_test = sum(rule(own.id) for own in kept)
    if num_test in (0, len(kept)):
        raise CorpusError(
            f"a random {settings.test_fraction:.0%} of {len(kept)} documents leaves one side empty", "give more papers"
        )
    return None, lambda document: rule(document.id)
