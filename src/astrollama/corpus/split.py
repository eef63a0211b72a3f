"""Which documents are held out: the newest whole months, or a random share; and how that stays as a corpus grows.

A paper that was held out once must never be trained on later. Fixed months and the random split, a hash of the identifier,
keep it so by themselves; where months are chosen by share, or a copy of a held-out text turns up, `PreviousSplit` does.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from astrollama.console import warn
from astrollama.errors import CorpusError, RunError
from astrollama.records import paper_and_version
from astrollama.runs import read_manifest, verify_files
from astrollama.sections import CorpusSection

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class PreviousSplit:
    """Where an earlier corpus has its papers, which a later one must not change.

    Attributes:
        split_of_paper: by identifier without version.
        identity: the earlier corpus's hashes, for the later one's manifest.
    """

    kind: str
    validation_from: str | None
    held_out_from: str | None
    split_of_paper: Mapping[str, Split]
    identity: Mapping[str, str]

    @property
    def rank_of_paper(self) -> dict[str, int]:
        """Who stays when texts are the same: what was tested on first, so that its copies are never trained on."""
        rank: dict[Split, int] = {"test": 0, "validation": 1, "train": 2}
        return {paper: rank[split] for paper, split in self.split_of_paper.items()}


@dataclass(frozen=True)
class SplitRule:
    """Which split a document belongs to.

    Attributes:
        validation_from, held_out_from: the first month of validation and of the test; None where the split is random or,
            for validation, where there is none.
    """

    settings: CorpusSection
    validation_from: str | None
    held_out_from: str | None
    split_of_paper: Mapping[str, Split] = field(default_factory=dict)

    def split_of(self, document_id: str, date: str) -> Split:
        """The split of a document by its identifier and its date (`YYYY-MM` or `YYYY-MM-DD`)."""
        paper, _ = paper_and_version(document_id)
        if previous := self.split_of_paper.get(paper):
            return previous
        if self.settings.split == "random":
            return _random_split(paper, self.settings)
        if date[:7] >= str(self.held_out_from):
            return "test"
        return "validation" if self.validation_from and date[:7] >= self.validation_from else "train"


def split_rule(
    ids: Sequence[str], dates: Sequence[str], settings: CorpusSection, previous: PreviousSplit | None
) -> SplitRule:
    """The rule for documents of these identifiers and dates.

    Raises:
        CorpusError: nothing would be left to train on, or to test on.
    """
    validation_from = held_out_from = None
    if settings.split != "random":
        validation_from, held_out_from = _months([date[:7] for date in dates], settings, previous)
    rule = SplitRule(settings, validation_from, held_out_from, previous.split_of_paper if previous else {})
    counts = Counter(rule.split_of(*document) for document in zip(ids, dates, strict=True))
    empty = [split for split in ("train", "test") if not counts[split]]
    if empty:
        raise CorpusError(
            f"{len(ids)} documents without duplicates, from {len({date[:7] for date in dates})} month(s), leave none to {empty[0]} on",
            "give more papers, or set other months or shares, or corpus.split = 'random'",
        )
    return rule


def read_previous_split(corpus: Path, settings: CorpusSection) -> PreviousSplit:
    """The split of an earlier corpus.

    Raises:
        RunError: it is no complete corpus, or was split in another way.
    """
    import pyarrow.parquet as pq

    manifest = read_manifest(corpus, "corpus")
    found = manifest["split"]
    random = [split["kind"] == "random" for split in (found, {"kind": settings.split})]
    if random[0] != random[1]:
        raise RunError(
            f"{corpus} was split by {found['kind']}, not by {settings.split}", f"set corpus.split = {found['kind']!r}"
        )
    names = {split: f"{split}.parquet" for split in SPLITS if f"{split}.parquet" in manifest["files"]}
    verify_files(corpus, manifest, names.values())
    split_of_paper = {
        paper_and_version(document_id)[0]: split
        for split, name in names.items()
        for document_id in pq.read_table(corpus / name, columns=["id"])["id"].to_pylist()
    }
    hashes = {name: str(manifest["files"][name]["sha256"]) for name in names.values()}
    return PreviousSplit(found["kind"], found.get("validation_from"), found["held_out_from"], split_of_paper, hashes)


def _months(
    months: Sequence[str], settings: CorpusSection, previous: PreviousSplit | None
) -> tuple[str | None, str | None]:
    """The first months of validation and of the test."""
    if previous is not None:
        return previous.validation_from, previous.held_out_from
    if settings.split == "months":
        return settings.validation_from, settings.test_from
    held_out_from = _newest_months(months, settings.test_fraction * len(months))
    earlier = [month for month in months if month < held_out_from]
    if settings.validation_fraction == 0 or not earlier:
        return None, held_out_from
    validation_from = _newest_months(earlier, settings.validation_fraction * len(months))
    if validation_from == min(earlier):
        warn(f"no month is left for validation before {held_out_from}: validation.parquet is empty")
        return None, held_out_from
    return validation_from, held_out_from


def _newest_months(months: Sequence[str], least: float) -> str:
    """The newest month from which on there are at least `least` documents.

    Months are not divided: many arXiv dates tell no more than the month.
    """
    counts = Counter(months)
    held_out = 0
    for month in sorted(counts, reverse=True):
        held_out += counts[month]
        if held_out >= least:
            break
    return month


def _random_split(paper: str, settings: CorpusSection) -> Split:
    """By a hash of seed and identifier: low ones test, as in the paper, high ones validate."""
    digest = hashlib.blake2b(f"{settings.seed}:{paper}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    if share < settings.test_fraction:
        return "test"
    return "validation" if share >= 1 - settings.validation_fraction else "train"
