"""`astrollama classify` with heads that an evaluation of the tiny model kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from astrollama.backends.hf import HFLanguageModel
from astrollama.cli.main import run
from astrollama.corpus.store import read_documents
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System
from astrollama.evaluation.tasks import categorisation
from astrollama.models.load import load_model
from astrollama.sections import EvaluateSection
from tests.cli.test_main import error_line

TEXT = "Solar flares and the magnetic field of the corona."
SETTINGS = EvaluateSection(
    num_train_labelled=30, num_test_labelled=10, num_zero_shot=0, head_epochs=1, head_length=16, num_resamples=100
)


@pytest.fixture(scope="module")
def evaluation(sample_corpus: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("classify") / "runs" / "evaluation"
    local = System(
        "base",
        "base",
        str(tiny_model),
        "base",
        frozenset({"score", "generate", "embed"}),
        "",
        home / "measurements" / "base",
        opener=lambda: HFLanguageModel(load_model(str(tiny_model))),
    )
    categorisation.measure(local, EvaluationData(sample_corpus, seed=0), SETTINGS)
    return home


@pytest.mark.parametrize("kind", ["probe", "lora", "words"])
def test_a_text_has_its_likeliest_categories(kind: str, evaluation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = str(evaluation / "measurements" / "base" / "heads" / kind)
    assert run(["classify", TEXT, "--head", head]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert run(["classify", TEXT, "--head", head, "--json", "--top", "6"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["head"] == head
    assert sum(own["probability"] for own in found["categories"]) == pytest.approx(1, abs=1e-5)
    for line, own in zip(lines, found["categories"], strict=False):
        share, _, category, name = line.split(maxsplit=3)
        assert (category, name) == (own["category"], own["name"])
        assert float(share) == pytest.approx(100 * own["probability"], abs=0.06)


def test_the_best_head_of_an_evaluation_is_used_and_told(
    evaluation: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["classify", TEXT, "--head", str(evaluation)]) == 0
    told = capsys.readouterr().err
    scores = {
        kind: json.loads((evaluation / "measurements" / "base" / "heads" / kind / "head.json").read_text())["macro_f1"]
        for kind in ("probe", "lora", "words")
    }
    assert f"macro-F1 {max(scores.values()):.3f}" in told
    monkeypatch.chdir(evaluation.parent.parent)
    assert run(["classify", TEXT, "--head", "runs"]) == 0
    assert "runs/evaluation/measurements/base/heads/" in capsys.readouterr().err


def test_many_papers_are_a_line_each(
    evaluation: Path, write_jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_jsonl({"id": "2301.00001", "abstract": TEXT}, {"id": "2301.00002", "abstract": "Galaxies."}))
    assert run(["classify", "--file", path, "--head", str(evaluation), "--top", "1"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["id"] for record in records] == ["2301.00001", "2301.00002"]
    assert all(len(record["categories"]) == 1 for record in records)


def test_a_paper_without_abstract_is_one_line(
    evaluation: Path, write_jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_jsonl({"id": "2301.00001", "abstract": TEXT}, {"id": "2301.00002", "title": "x"}))
    assert run(["classify", "--file", path, "--head", str(evaluation)]) == 2
    assert "papers.jsonl:2 has no abstract: leave it out, as --on-error skip does, or give" in error_line(capsys)


def test_what_cannot_be_classified_is_left_out_and_told(
    evaluation: Path, write_jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_jsonl({"id": "a", "abstract": TEXT}, b"{", {"id": "c", "title": "x"}))
    assert run(["classify", "--file", path, "--head", str(evaluation)]) == 2
    assert "papers.jsonl, record 2: broken json" in error_line(capsys)
    assert run(["classify", "--file", path, "--head", str(evaluation), "--on-error", "skip"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["id"] for line in captured.out.splitlines()] == ["a"]
    first, second, last, _ = captured.err.splitlines()
    assert first.startswith("left out: papers.jsonl:2: broken json (")
    assert second == "left out: papers.jsonl:3: it has no abstract"
    assert last == f"left out: 2 of the 3 records of {path}"


def test_a_corpus_is_classified_by_its_texts(
    evaluation: Path, sample_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["classify", "--file", str(sample_corpus / "test.parquet"), "--head", str(evaluation)]) == 0
    found = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert found == [document.id for document in read_documents(sample_corpus / "test.parquet")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["  "], "text 1 of 1 is empty: give at least one word"),
        ([], "a text or a file is needed, and not both"),
        ([TEXT, "--file", "x.jsonl"], "a text or a file is needed, and not both"),
        ([TEXT, "--top", "0"], "Invalid value for '--top': '0' should be greater than or equal to 1"),
        ([TEXT, "--model", "nowhere"], "there is no model 'nowhere'"),
        ([TEXT, "--model", "minilm"], "not on all-MiniLM-L6-v2 (53aa51172d14…): give the model that it was trained on"),
        ([TEXT, "--on-error", "skip"], "--on-error has no effect without --file"),
        ([""], "text 1 of 1 is empty: give at least one word"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, evaluation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["classify", *arguments, "--head", str(evaluation)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1, "nothing is told before it"


def test_a_folder_without_any_head_is_told_with_the_command_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["classify", TEXT, "--head", str(tmp_path)]) == 2
    assert "holds no trained head: give another folder, or make one: astrollama evaluate" in error_line(capsys)


def test_a_folder_that_is_not_there_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classify", TEXT, "--head", str(tmp_path / "nowhere")]) == 2
    assert f"there is no folder {tmp_path / 'nowhere'}" in error_line(capsys)


def test_a_damaged_head_and_another_model_are_one_line(
    evaluation: Path, other_tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = shutil.copytree(evaluation / "measurements" / "base" / "heads" / "probe", tmp_path / "probe")
    assert run(["classify", TEXT, "--head", str(head), "--model", str(other_tiny_model)]) == 2
    assert "the head was trained on" in error_line(capsys)
    (head / "head.safetensors").write_bytes(b"")
    assert run(["classify", TEXT, "--head", str(head)]) == 2
    assert "head.safetensors is missing or damaged" in error_line(capsys)
