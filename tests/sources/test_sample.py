from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from astrollama.corpus.dedup import signature, similar_pairs
from astrollama.corpus.split import SPLITS
from astrollama.records import ASTRO_PH_CATEGORIES, Paper
from astrollama.runs import read_manifest
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE


@pytest.fixture(scope="module")
def papers() -> list[Paper]:
    return [paper for paper in FileSource([SAMPLE]).papers() if isinstance(paper, Paper)]


def test_the_sample_is_240_numbered_papers_that_anyone_may_use(papers: list[Paper]) -> None:
    assert [paper.arxiv_id for paper in papers] == [f"sample:{number:04}" for number in range(1, 241)]
    assert {paper.licence for paper in papers} == {"CC0-1.0"}
    assert all(paper.title and paper.abstract for paper in papers)


def test_the_sample_covers_every_category_alike_and_three_decades(papers: list[Paper]) -> None:
    assert Counter(paper.primary_category for paper in papers) == dict.fromkeys(ASTRO_PH_CATEGORIES, 40)
    assert len({paper.date[:4] for paper in papers}) >= 30
    assert all(len(paper.date) == 10 for paper in papers)


def test_no_two_abstracts_of_the_sample_resemble_each_other(papers: list[Paper]) -> None:
    signatures = np.stack([signature(str(paper.abstract), seed=0) for paper in papers])
    assert list(similar_pairs(signatures, threshold=0.25)) == []


def test_importing_the_sample_keeps_all_of_it(sample_corpus: Path) -> None:
    counts = read_manifest(sample_corpus, "corpus")["counts"]
    assert counts["records"] == sum(counts[split] for split in SPLITS) == 240
    assert counts["rejected"] == {}
