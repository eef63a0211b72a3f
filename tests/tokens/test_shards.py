from pathlib import Path

import numpy as np
import pytest

from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.models.load import load_tokenizer
from astrollama.tokens import shards as shards_module
from astrollama.tokens.shards import TokenShards, pack_corpus
from astrollama.tokens.tokenizer import DocumentTokenizer


def test_every_document_stands_between_bos_and_eos_and_decodes_to_its_text(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    manifest = pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "tokens")
    packed = TokenShards.open(tmp_path / "tokens")
    documents = list(read_documents(sample_corpus / "train.parquet"))
    assert packed.ids == [document.id for document in documents]
    assert manifest["counts"]["tokens"] == packed.lengths_N.sum()
    for document, tokens in zip(documents, packed, strict=True):
        assert tokens[0] == tokenizer.bos_id
        assert tokens[-1] == tokenizer.eos_id
        assert tokenizer.decode(tokens[1:-1].tolist()) == document.text


def test_many_small_shards_hold_the_same_as_one(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "one")
    monkeypatch.setattr(shards_module, "TOKENS_A_SHARD", 4096)
    manifest = pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "many")
    assert len(manifest["files"]) > 5
    one, many = TokenShards.open(tmp_path / "one"), TokenShards.open(tmp_path / "many")
    assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_packing_that_was_interrupted_goes_on_behind_its_shards(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    monkeypatch.setattr(shards_module, "TOKENS_A_SHARD", 4096)
    monkeypatch.setattr(shards_module, "_DOCUMENTS_A_BATCH", 32)
    tokenizer = load_tokenizer(tiny_model)
    pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "whole")
    encode, calls = DocumentTokenizer.encode_documents, 0

    def interrupted(self: DocumentTokenizer, texts: list[str]) -> list[list[int]]:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return encode(self, texts)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(DocumentTokenizer, "encode_documents", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pack_corpus(sample_corpus, tokenizer, "tiny", out)
    before = {path: path.stat().st_mtime_ns for path in out.glob("tokens-*.bin")}
    assert (stop_at > 1) == bool(before)
    pack_corpus(sample_corpus, tokenizer, "tiny", out)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {path.name for path in out.iterdir()}
    assert all((out / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names - {"manifest.json"})


def test_the_same_tokens_are_not_packed_twice(sample_corpus: Path, tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    first = pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "tokens")
    written = (tmp_path / "tokens" / "tokens-00000.bin").stat().st_mtime_ns
    assert pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "tokens") == first
    assert (tmp_path / "tokens" / "tokens-00000.bin").stat().st_mtime_ns == written


def test_a_cut_shard_is_refused(sample_corpus: Path, tiny_model: Path, tmp_path: Path) -> None:
    pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", tmp_path / "tokens")
    shard = tmp_path / "tokens" / "tokens-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(RunError, match=r"tokens-00000\.bin is missing or damaged"):
        TokenShards.open(tmp_path / "tokens")


def test_a_text_that_spells_a_special_token_stays_text(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    (tokens,) = tokenizer.encode_documents(["a </s> b"])
    assert tokens.count(tokenizer.eos_id) == 1
    assert tokenizer.decode(tokens[1:-1]) == "a </s> b"
