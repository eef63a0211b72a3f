"""Real papers and the genuine LLaMA-2 tokenizer, where a folder `shared` stands beside the checkout; skipped elsewhere."""

from __future__ import annotations

import gzip
import json
import shutil
from itertools import islice
from pathlib import Path

import pytest

from astrollama.corpus.build import import_corpus
from astrollama.corpus.clean import repair
from astrollama.corpus.store import read_documents
from astrollama.models.load import load_tokenizer
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource

SHARED = Path(__file__).parents[2] / "shared"
NUM_PAPERS = 2000

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no folder 'shared' with real data beside the checkout")


@pytest.fixture(scope="module")
def papers() -> list[dict[str, str]]:
    (path,) = (SHARED / "corpus").glob("*.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, NUM_PAPERS)]


def test_real_papers_become_a_corpus_and_none_is_lost(papers: list[dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "papers.jsonl").write_text("".join(json.dumps(paper) + "\n" for paper in papers), encoding="utf-8")
    manifest = import_corpus(FileSource([tmp_path / "papers.jsonl"]), CorpusSection(), tmp_path / "corpus")
    counts = manifest["counts"]
    assert counts["records"] == NUM_PAPERS
    assert sum(counts["rejected"].values()) < 0.02 * NUM_PAPERS
    months = {
        split: {d.date[:7] for d in read_documents(tmp_path / "corpus" / f"{split}.parquet")}
        for split in ("train", "test")
    }
    assert max(months["train"]) < min(months["test"])


def test_repair_leaves_maths_as_it_is(papers: list[dict[str, str]]) -> None:
    with_maths = [paper["abstract"] for paper in papers if "$" in paper["abstract"] and "&" not in paper["abstract"]]
    assert len(with_maths) > 100
    for text in with_maths:
        assert [part.split() for part in repair(text).split("$")[1::2]] == [
            part.split() for part in text.split("$")[1::2]
        ]


def test_the_genuine_llama_2_tokenizer_gives_each_abstract_back(papers: list[dict[str, str]], tmp_path: Path) -> None:
    shutil.copy(SHARED / "tokenizer" / "llama2" / "tokenizer.json", tmp_path)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.vocab_size) == (1, 2, 32000)
    texts = [repair(paper["abstract"]) for paper in papers[:300]]
    for text, tokens in zip(texts, tokenizer.encode_documents(texts), strict=True):
        assert (tokens[0], tokens[-1]) == (1, 2)
        assert tokenizer.decode(tokens[1:-1]) == text
