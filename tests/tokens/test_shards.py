from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from astrollama.corpus.build import import_corpus
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.models.load import load_tokenizer
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE
from astrollama.tokens import shard_writer
from astrollama.tokens import shards as shards_module
from astrollama.tokens.shards import INDEX, Part, TokenShards, pack_corpus
from astrollama.tokens.tokenizer import DocumentTokenizer

PARTS: list[Part] = ["train", "validation"]


@pytest.mark.parametrize("part", PARTS)
def test_every_document_stands_between_bos_and_eos_and_decodes_to_its_text(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path, part: Part
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "tokens")
    packed = TokenShards.open(tmp_path / "tokens", part)
    documents = list(read_documents(sample_corpus / f"{part}.parquet"))
    assert len(documents) > 1
    assert packed.ids == [document.id for document in documents]
    for document, tokens in zip(documents, packed, strict=True):
        assert tokens[0] == tokenizer.bos_id
        assert tokens[-1] == tokenizer.eos_id
        assert tokenizer.decode(tokens[1:-1].tolist()) == document.text


def test_the_manifest_counts_and_hashes_both_parts(sample_corpus: Path, tiny_model: Path, tmp_path: Path) -> None:
    manifest = pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", tmp_path / "tokens")
    train, validation = (TokenShards.open(tmp_path / "tokens", part) for part in PARTS)
    assert manifest["counts"] == {
        "documents": len(train),
        "tokens": train.lengths_N.sum(),
        "longest_document": train.lengths_N.max(),
        "validation_documents": len(validation),
        "validation_tokens": validation.lengths_N.sum(),
    }
    assert list(train.hashes) == [INDEX, "tokens-00000.bin"]
    assert list(validation.hashes) == ["validation.parquet", "validation-00000.bin"]
    hashes = {name: record["sha256"] for name, record in manifest["files"].items()}
    assert train.hashes | validation.hashes == hashes
    assert {*manifest["identity"]} == {"train.parquet", "validation.parquet", "tokenizer"}


def test_a_corpus_without_validation_documents_has_an_empty_validation_part(tiny_model: Path, tmp_path: Path) -> None:
    settings = CorpusSection(split="random", validation_fraction=0)
    import_corpus(FileSource([SAMPLE]), settings, tmp_path / "corpus")
    manifest = pack_corpus(tmp_path / "corpus", load_tokenizer(tiny_model), "tiny", tmp_path / "tokens")
    assert manifest["counts"]["validation_documents"] == manifest["counts"]["validation_tokens"] == 0
    packed = TokenShards.open(tmp_path / "tokens", "validation")
    assert len(packed) == 0
    assert list(packed) == []
    assert packed.lengths_N.shape == (0,)


def test_a_corpus_of_the_time_before_validation_is_packed(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "train.parquet").write_bytes((sample_corpus / "train.parquet").read_bytes())
    manifest = json.loads((sample_corpus / "manifest.json").read_text())
    del manifest["files"]["validation.parquet"], manifest["counts"]["validation"]
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    packed = pack_corpus(corpus, load_tokenizer(tiny_model), "tiny", tmp_path / "tokens")
    assert packed["counts"]["documents"] == manifest["counts"]["train"]
    assert len(TokenShards.open(tmp_path / "tokens", "validation")) == 0


def test_tokens_of_an_older_version_are_good_for_training_only(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    manifest = pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", tokens)
    for name in TokenShards.open(tokens, "validation").hashes:
        del manifest["files"][name]
        (tokens / name).unlink()
    (tokens / "manifest.json").write_text(json.dumps(manifest))
    assert len(TokenShards.open(tokens)) == manifest["counts"]["documents"]
    with pytest.raises(
        RunError,
        match=re.escape(
            f"{tokens} was packed by an older version, which left the validation documents out: "
            "delete that directory and run pack again"
        ),
    ):
        TokenShards.open(tokens, "validation")


def test_many_small_shards_hold_the_same_as_one(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "one")
    monkeypatch.setattr(shard_writer, "TOKENS_A_SHARD", 1024)
    pack_corpus(sample_corpus, tokenizer, "tiny", tmp_path / "many")
    for part in PARTS:
        one, many = TokenShards.open(tmp_path / "one", part), TokenShards.open(tmp_path / "many", part)
        assert len(many.hashes) > len(one.hashes)
        assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


# two documents a batch: the 199 for training take 100, the five for validation three
@pytest.mark.parametrize(("stop_at", "parts_begun"), [(1, []), (20, ["train"]), (101, ["train"]), (103, PARTS)])
def test_packing_that_was_interrupted_goes_on_behind_its_shards(
    sample_corpus: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
    parts_begun: list[Part],
) -> None:
    monkeypatch.setattr(shard_writer, "TOKENS_A_SHARD", 800)
    monkeypatch.setattr(shards_module, "_DOCUMENTS_A_BATCH", 2)
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
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.bin")}
    prefixes = {"train": "tokens", "validation": "validation"}
    assert {path.name.partition("-")[0] for path in before} == {prefixes[part] for part in parts_begun}
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
    assert len(TokenShards.open(tmp_path / "tokens", "validation")) > 0


def test_a_text_that_spells_a_special_token_stays_text(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    (tokens,) = tokenizer.encode_documents(["a </s> b"])
    assert tokens.count(tokenizer.eos_id) == 1
    assert tokenizer.decode(tokens[1:-1]) == "a </s> b"
