"""Papers that are nearest to a text, among vectors on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astrollama.backends.hf import HFLanguageModel
from astrollama.corpus.abstracts import Abstract
from astrollama.errors import RunError
from astrollama.models.load import load_model
from astrollama.search.embed import embed_papers
from astrollama.search.nearest import nearest
from astrollama.sources.sample import SAMPLE


@pytest.fixture(scope="module")
def papers() -> list[Abstract]:
    lines = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()[:20]]
    return [Abstract(own["id"], own["title"], own["abstract"]) for own in lines]


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> HFLanguageModel:
    return HFLanguageModel(load_model(str(tiny_model)))


@pytest.fixture(scope="module")
def vectors(papers: list[Abstract], encoder: HFLanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vectors") / "vectors.parquet"
    embed_papers(encoder, papers, out)
    return out


def test_a_paper_is_nearest_to_itself(papers: list[Abstract], encoder: HFLanguageModel, vectors: Path) -> None:
    first, *others = nearest(vectors, encoder, papers[7].text, 4)
    assert (first.id, first.title) == (papers[7].id, papers[7].title)
    assert first.cosine == pytest.approx(1, abs=1e-4)
    cosines = [first.cosine, *(own.cosine for own in others)]
    assert cosines == sorted(cosines, reverse=True)
    assert len(cosines) == 4


def test_vectors_of_another_encoder_are_refused(vectors: Path, other_tiny_model: Path) -> None:
    other = HFLanguageModel(load_model(str(other_tiny_model)))
    with pytest.raises(RunError, match="are another encoder's than"):
        nearest(vectors, other, "a star", 3)


def test_a_file_of_something_else_is_one_line(encoder: HFLanguageModel, tmp_path: Path) -> None:
    (tmp_path / "vectors.parquet").write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read"):
        nearest(tmp_path / "vectors.parquet", encoder, "a star", 3)
