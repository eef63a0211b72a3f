"""Which documents are held out: the newest whole months, or a random share; and how that stays as a corpus grows.

A paper that was held out once must never be trained on later. Fixed months and the random split, a hash of the identifier,
keep a paper in place by themselves; where months are chosen by share, an earlier corpus does (`corpus.previous`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

from astrollama.console import warn
from astrollama.errors import CorpusError
from astrollama.records import paper_and_version
from astrollama.sections import CorpusSection

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


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

    def split_of(self, document_id: str, day: str) -> Split:
        """The split of a document by its identifier and its date (`YYYY-MM` or `YYYY-MM-DD`)."""
        paper, _ = paper_and_version(document_id)
        if previous := self.split_of_paper.get(paper):
            return previous
        if self.settings.split == "random":
            return _random_split(paper, self.settings)
        if day[:7] >= str(self.held_out_from):
            return "test"
        return "validation" if self.validation_from and day[:7] >= self.validation_from else "train"


def split_rule(
    ids: Sequence[str],
    dates: Sequence[str],
    settings: CorpusSection,
    earlier_months: tuple[str | None, str | None] | None = None,
    split_of_paper: Mapping[str, Split] | None = None,
) -> SplitRule:
    """The rule for documents of these identifiers and dates.

    Args:
        earlier_months: the first months of validation and of the test of an earlier corpus, which stay.
        split_of_paper: where an earlier corpus has its papers, by identifier without version.

    Raises:
        CorpusError: nothing would be left to train on, or to test on.
    """
    validation_from = held_out_from = None
    if settings.split != "random":
        validation_from, held_out_from = earlier_months or _months([day[:7] for day in dates], settings)
    rule = SplitRule(settings, validation_from, held_out_from, split_of_paper or {})
    counts = Counter(rule.split_of(*document) for document in zip(ids, dates, strict=True))
    empty = [split for split in SPLITS if split != "validation" and not counts[split]]
    if empty:
        raise _one_side_is_empty(empty[0], dates, rule)
    if not counts["validation"] and settings.validation_fraction:
        warn("validation.parquet is empty: too few papers, or months, are left for it")
    this_month = date.today().isoformat()[:7]
    late = sum(day[:7] > this_month for day in dates)
    if late:
        warn(
            f"{late:,} of the papers are dated later than this month, the last in {max(dates)[:7]}: they are held out first"
        )
    return rule


def _one_side_is_empty(split: Split, dates: Sequence[str], rule: SplitRule) -> CorpusError:
    what = f"{len(dates)} documents without duplicates"
    if rule.settings.split == "random":
        return CorpusError(f"{what} leave none to {split} on", "give more papers, or set corpus.test_fraction")
    months = sorted({day[:7] for day in dates})
    span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    return CorpusError(
        f"{what}, of {span}, leave none to {split} on when the test begins in {rule.held_out_from}",
        "give more papers, or set other months or shares, or corpus.split = 'random'",
    )


def _months(months: Sequence[str], settings: CorpusSection) -> tuple[str | None, str | None]:
    """The first months of validation and of the test."""
    if settings.split == "months":
        return settings.validation_from, settings.test_from
    held_out_from = _newest_months(months, settings.test_fraction * len(months))
    earlier = [month for month in months if month < held_out_from]
    if settings.validation_fraction == 0 or not earlier:
        return None, held_out_from
    validation_from = _newest_months(earlier, settings.validation_fraction * len(months))
    if validation_from == min(earlier):
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
