import json
from collections.abc import Callable
from pathlib import Path

import pytest

from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.retrieval.citations import citation_gold
from astrollama.sources.citations import read_citations

Write = Callable[..., Path]
SHARED = Path(__file__).parents[4] / "shared"


@pytest.fixture
def citations(sample_corpus: Path, write_jsonl: Write) -> tuple[Path, list[str], list[str]]:
    """Papers that cite others across the parts of the corpus, one that is not in it, and one without known references."""
    held_out = [document.id for document in read_documents(sample_corpus / "test.parquet")]
    trained = [document.id for document in read_documents(sample_corpus / "train.parquet")]
    path = write_jsonl(
        {"id": held_out[0], "refs": [trained[0], trained[1], "9999.99999"]},
        {"id": trained[2], "refs": [held_out[0], trained[3]]},
        {"id": "9999.99998", "refs": [trained[4]]},
        {"id": held_out[1], "refs": ["9999.99997"]},
    )
    return path, held_out, trained


def test_the_pool_has_the_citing_papers_and_their_references_from_all_parts(
    sample_corpus: Path, citations: tuple[Path, list[str], list[str]]
) -> None:
    path, held_out, trained = citations
    gold = citation_gold(path, EvaluationData(sample_corpus, 0), num_citing=60)
    assert sorted(gold.ids) == sorted([held_out[0], *trained[:4]])
    found = {
        gold.ids[query]: {gold.ids[place] for place in own} for query, own in zip(gold.queries, gold.gold, strict=True)
    }
    assert found == {held_out[0]: {trained[0], trained[1]}, trained[2]: {held_out[0], trained[3]}}
    assert (gold.num_citing, gold.num_absent) == (2, 1)
    texts = {
        document.id: document.text
        for split in ("train", "test")
        for document in read_documents(sample_corpus / f"{split}.parquet")
    }
    assert gold.texts == [texts[paper] for paper in gold.ids]


def test_the_seed_decides_which_citing_papers_are_drawn(
    sample_corpus: Path, citations: tuple[Path, list[str], list[str]]
) -> None:
    def drawn(seed: int) -> list[str]:
        gold = citation_gold(citations[0], EvaluationData(sample_corpus, seed), num_citing=1)
        return [gold.ids[query] for query in gold.queries]

    assert drawn(0) == drawn(0)
    assert len({tuple(drawn(seed)) for seed in range(10)}) == 2


def test_a_damaged_corpus_is_told(tmp_path: Path, write_jsonl: Write) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(RunError, match=r"train\.parquet cannot be read"):
        citation_gold(write_jsonl({"id": "a", "refs": ["b"]}), EvaluationData(tmp_path, 0), 10)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder 'shared' with real data beside the checkout")
def test_the_real_citations_are_read() -> None:
    (path,) = (SHARED / "labels").glob("citations.jsonl.gz")
    citations = read_citations(path)
    assert len(citations) == 693
    assert json.dumps(citations["astro-ph/9303019"]) == '["gr-qc/9302019"]'
