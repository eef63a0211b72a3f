"""Who cites whom, as a gold standard for retrieval: a paper's references are what a search with it should find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrollama.corpus.store import damaged
from astrollama.evaluation.data import EvaluationData
from astrollama.records import paper_and_version
from astrollama.sources.citations import read_citations

SPLITS = ("train", "validation", "test")
_SEED = 1  # tells the choice of citing papers from other draws with the same seed


@dataclass(frozen=True)
class CitationGold:
    """Citing papers of a corpus, and the pool in which their references are looked for.

    Attributes:
        queries: places in the pool of the citing papers.
        gold: for each the places in the pool of its references.
        ids, texts: of the pool: the citing papers and all their references.
        num_citing: how many citing papers with a reference in the corpus there are to choose from.
        num_absent: references of the chosen papers that are not in the corpus.
    """

    queries: list[int]
    gold: list[list[int]]
    ids: list[str]
    texts: list[str]
    num_citing: int
    num_absent: int


def citation_gold(path: Path, data: EvaluationData, num_citing: int) -> CitationGold:
    """Draw citing papers that are in the corpus with at least one reference, in whichever part of it.

    Raises:
        SourceError: as `read_citations`.
        RunError: a file of the corpus is damaged.
    """
    citations = read_citations(path)
    places = _places(data.corpus)
    found = {
        paper: [reference for reference in references if reference in places]
        for paper, references in citations.items()
        if paper in places
    }
    candidates = sorted(paper for paper, references in found.items() if references)
    order = np.random.default_rng([data.seed, _SEED]).permutation(len(candidates))
    chosen = [candidates[index] for index in order[:num_citing].tolist()]
    ids = sorted({*chosen, *(reference for paper in chosen for reference in found[paper])})
    place_in_pool = {paper: place for place, paper in enumerate(ids)}
    return CitationGold(
        queries=[place_in_pool[paper] for paper in chosen],
        gold=[[place_in_pool[reference] for reference in found[paper]] for paper in chosen],
        ids=ids,
        texts=_texts(data.corpus, [places[paper] for paper in ids]),
        num_citing=len(candidates),
        num_absent=sum(len(citations[paper]) - len(found[paper]) for paper in chosen),
    )


def _places(corpus: Path) -> dict[str, tuple[str, int]]:
    """Split and row of each paper, by its identifier without a version; of several the first."""
    places: dict[str, tuple[str, int]] = {}
    for split in SPLITS:
        for row, document_id in enumerate(_column(corpus / f"{split}.parquet", "id")):
            places.setdefault(paper_and_version(document_id)[0], (split, row))
    return places


def _texts(corpus: Path, places: list[tuple[str, int]]) -> list[str]:
    texts: dict[tuple[str, int], str] = {}
    for split in SPLITS:
        rows = [row for own, row in places if own == split]
        for row, text in zip(rows, _column(corpus / f"{split}.parquet", "text", rows), strict=True):
            texts[split, row] = text
    return [texts[place] for place in places]


def _column(path: Path, name: str, rows: list[int] | None = None) -> list[str]:
    """A column of a corpus's file; all of it, or some rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pq.read_table(path, columns=[name])[name]
        values: list[str] = (column if rows is None else column.take(pa.array(rows, pa.int64()))).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise damaged(path, error) from error
    return values
