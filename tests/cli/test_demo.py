"""The whole path with the tiny model: `astrollama demo` as `make demo` calls it, and the report it leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.sources.sample import SAMPLE
from tests.conftest import make_tiny_model

SETTINGS = {
    "pack.sequence_length": 128,
    "train.global_batch_tokens": 256,
    "train.peak_lr": 1e-2,
    "train.budget": "12_000 tokens",
    "evaluate.max_new_tokens": 8,
    "evaluate.num_resamples": 500,
}


def arguments(model: Path, out: Path, *more: str) -> list[str]:
    settings = SETTINGS | {"model.base": str(model)}
    return [
        "demo",
        "--out",
        str(out),
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        *more,
    ]


@pytest.fixture(scope="module")
def out(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert run(arguments(tiny_model, folder)) == 0
    return folder


def test_the_report_has_what_was_measured(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    perplexity = report["perplexity"]
    low, high = perplexity["relative_reduction_ci95"]
    assert 0 < low <= perplexity["relative_reduction"] <= high < 1
    assert perplexity["relative_reduction"] == pytest.approx(1 - perplexity["adapted"] / perplexity["base"])
    assert report["num_documents"] == 36
    lines = [
        json.loads(line)
        for line in (out / "evaluation" / "measurements" / "adapted" / "perplexity.jsonl").read_text().splitlines()
    ]
    assert report["num_tokens"] == sum(line["num_tokens"] for line in lines)
    assert report["train"]["num_tokens"] >= 12_000
    assert report["train"]["tokens_per_second"] > 0
    assert len(report["completions"]) == 4
    held_out = {line["id"] for line in lines}
    assert {completion["id"] for completion in report["completions"]} <= held_out
    assert report["corpus"]["split"]["held_out_from"] == "2023-12"
    assert all(line["date"] >= "2023-12" for line in lines)


class Page(HTMLParser):
    """Text and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.addresses: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href") and tag not in ("use",)]
        assert tag not in ("script", "link", "iframe", "img")


def test_the_page_stands_alone_and_shows_everything(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    html = (out / "report.html").read_text()
    page = Page(html)
    assert all(address.startswith("#") for address in page.addresses)
    assert not re.search(r"url\((?!#)", html)
    for expected in (
        f"{100 * report['perplexity']['relative_reduction']:.1f}\u00a0%",
        f"{report['perplexity']['base']:.2f}",
        "36 documents",
        f"240 records: 199 to train on, 5 to validate (from {report['corpus']['split']['validation_from']} on), "
        "36 held out (from 2023-12 on), 0 rejected",
        report["models"]["base"]["digest"],
        report["corpus"]["files"]["test.parquet"],
        "[train]",
        'budget = "12_000 tokens"',
        *(completion["title"] for completion in report["completions"]),
        *report["perplexity"]["by_category"],
        *report["perplexity"]["by_year"],
    ):
        assert expected in page.text, expected
    assert html.count("<svg") == 1 + sum(len(task["figures"]) for task in report["tasks"].values())


def test_text_of_models_and_papers_cannot_become_markup(out: Path) -> None:
    from astrollama.evaluation.report import render_html

    report = json.loads((out / "report.json").read_text())
    report["tasks"]["completion"]["examples"][0]["answers"][0][1] = "<script>alert(1)</script>"
    assert "<script>alert(1)" not in render_html(report, [])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_a_browser_shows_the_page_without_a_complaint(out: Path, tmp_path: Path) -> None:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
    ]
    command += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=420,3000",
        "--dump-dom",
        (out / "report.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "AstroLLaMA report: demo" in done.stdout
    assert "CONSOLE" not in done.stderr


def test_a_second_time_nothing_is_done_and_the_report_is_named(
    out: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run(arguments(tiny_model, out)) == 0
    assert str(out / "report.html") in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_other_settings_in_the_same_folder_are_refused(
    out: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(tiny_model, out, "--set", "train.seed=5")) == 2
    assert "holds another run (recipe.train.seed is 0, now 5)" in capsys.readouterr().err


def test_the_adapter_goes_the_same_way(
    tiny_model: Path, other_tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lora"
    assert run(arguments(tiny_model, out, "--set", "train.method=lora", "--set", "evaluate.num_completions=0")) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["train"]["method"] == "lora"
    assert report["train"]["parameters_trained"] < report["train"]["parameters"] / 2
    assert report["perplexity"]["relative_reduction"] > 0
    capsys.readouterr()
    command = ["complete", "The dust", "--model", str(out / "run"), "--max-new-tokens", "4", "--json"]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(out / "run")


def test_a_stopped_demo_goes_on(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import astrollama.evaluation.runner

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(astrollama.evaluation.runner, "evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(arguments(tiny_model, out)) == 130
    trained = (out / "run" / "manifest.json").stat().st_mtime_ns
    assert not (out / "report.html").exists()
    assert run(arguments(tiny_model, out)) == 0
    assert (out / "run" / "manifest.json").stat().st_mtime_ns == trained
    assert (out / "report.html").is_file()


def test_documents_that_were_trained_on_are_no_held_out_ones(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(tmp_path / "random")
    assert run(["corpus", "import", str(SAMPLE), "--out", other, "--set", "corpus.split=random"]) == 0
    command = ["evaluate", str(out / "run"), "--corpus", other, "--out", str(tmp_path / "evaluation")]
    assert run(command) == 2
    assert "of the documents that" in capsys.readouterr().err
    assert not (tmp_path / "evaluation").exists()


def test_models_with_different_tokenizers_are_compared_by_bytes(
    out: Path, tmp_path: Path, sample_texts: list[str]
) -> None:
    other = make_tiny_model(tmp_path / "other", sample_texts[:60], seed=0)
    command = ["evaluate", out / "run", "--corpus", out / "corpus", "--out", tmp_path / "e", "--base", other]
    assert run([*map(str, command), "--tasks", "perplexity", "--set", "evaluate.num_resamples=500"]) == 0
    report = json.loads((tmp_path / "e" / "report.json").read_text())
    task = report["tasks"]["perplexity"]
    assert task["primary_metric"] == "bits_per_byte"
    assert "perplexity" not in {comparison["metric"] for comparison in task["comparisons"]}
    assert report["perplexity"]["relative_reduction"] is None


def test_an_adapter_is_refused_on_another_base(
    tiny_model: Path, other_tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lora"
    assert run(arguments(tiny_model, out, "--set", "train.method=lora", "--set", "train.budget=600 tokens")) == 0
    command = ["evaluate", str(out / "run"), "--corpus", str(out / "corpus"), "--out", str(tmp_path / "e")]
    assert run([*command, "--base", str(other_tiny_model)]) == 2
    assert "give the base that it was trained on" in capsys.readouterr().err


def test_a_category_that_looks_like_mathematics_is_drawn_as_it_is(
    tiny_model: Path, tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    records = [json.loads(line) | {"primary": "a $x_{ b$"} for line in SAMPLE.read_bytes().splitlines()]
    path = write_jsonl(*records)
    out = tmp_path / "odd"
    assert run(arguments(tiny_model, out, "--corpus", str(path), "--set", "train.budget=600 tokens")) == 0
    assert "a $x_{ b$" in (out / "report.html").read_text()
    assert run(["corpus", "stats", str(out / "corpus")]) == 0
