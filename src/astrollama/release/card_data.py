"""The corpus of an evaluation, and whether the model was trained on it, as a card tells of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.corpus.store import STAGE_NAME
from astrollama.errors import UserInputError
from astrollama.records import date_of_arxiv_id
from astrollama.runs import read_manifest, verify_files

_SPLITS = ("train", "validation", "test")
_MAX_LICENCES = 8


@dataclass(frozen=True)
class CorpusFacts:
    """What the files of a corpus tell beside its manifest.

    Attributes:
        splits: [split, papers, date of the first, date of the last] rows of text.
        licences: [licence as the source states it, papers] rows of text, the most frequent first.
        from_arxiv: most of its identifiers are arXiv's.
        of_astronomy: most of its papers have a primary category of astro-ph.
        licence: of the collection, as its recipe states it, or "".
    """

    splits: list[list[str]]
    licences: list[list[str]]
    from_arxiv: bool
    of_astronomy: bool
    licence: str


def corpus_facts(corpus: Path, report: Mapping[str, Any]) -> CorpusFacts:
    """Read a corpus, which must be the one of an evaluation.

    Raises:
        RunError: it is no complete corpus, or is damaged.
        UserInputError: it is another corpus.
    """
    import pyarrow.parquet as pq

    manifest = read_manifest(corpus, STAGE_NAME)
    for name in (f"{split}.parquet" for split in _SPLITS):
        if manifest["files"][name]["sha256"] != report["corpus"]["files"][name]:
            raise UserInputError(
                f"{corpus} is not the corpus of the evaluation: its {name} is another",
                "give the one that it was made on",
            )
    verify_files(corpus, manifest, [f"{split}.parquet" for split in _SPLITS])
    splits, licences, ids, categories = [], Counter[str](), [], []
    for split in _SPLITS:
        table = pq.read_table(corpus / f"{split}.parquet", columns=["id", "date", "licence", "primary_category"])
        told = sorted(filter(None, table["date"].to_pylist()))
        splits.append([split, f"{len(table):,}", told[0] if told else "", told[-1] if told else ""])
        licences.update(licence or "not stated" for licence in table["licence"].to_pylist())
        ids += table["id"].to_pylist()
        categories += table["primary_category"].to_pylist()
    rows = [[name, f"{count:,}"] for name, count in licences.most_common()]
    if len(rows) > _MAX_LICENCES:
        rest = sum(count for _, count in licences.most_common()[_MAX_LICENCES:])
        rows = [*rows[:_MAX_LICENCES], [f"{len(rows) - _MAX_LICENCES} others", f"{rest:,}"]]
    return CorpusFacts(
        splits,
        rows,
        from_arxiv=_most(bool(date_of_arxiv_id(own)) for own in ids),
        of_astronomy=_most(own.startswith("astro-ph") for own in categories),
        licence=_licence(report),
    )


def is_of_corpus(trained_on: Mapping[str, int] | None) -> bool:
    """Whether what is told of a corpus is told of a model's training data: it had all of the training part, and more at most."""
    return trained_on is not None and trained_on["num_of_corpus"] == trained_on["num_in_corpus"]


def _most(answers: Iterable[bool]) -> bool:
    counted = Counter(answers)
    return counted[True] > counted[False]


def _licence(report: Mapping[str, Any]) -> str:
    """What the recipe states for the collection; `other` is what stands there where nobody stated anything."""
    licence = ((report["recipe"] or {}).get("card") or {}).get("licence", "")
    return "" if licence == "other" else str(licence)
