"""The page of results: made from reports, beside the paper's figures, and found out where it was changed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astrollama.cli.main import run
from astrollama.evaluation import paper
from astrollama.evaluation.report.words import interval_text, value_text
from astrollama.provenance import without_places
from astrollama.release.markdown import escape
from tests.release.trained import trained


@pytest.fixture(scope="session")
def evaluation(tiny_model: Path, sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tiny_model, sample_corpus, tmp_path_factory.getbasetemp() / "release") / "evaluation"


@pytest.fixture
def page(evaluation: Path, tmp_path: Path) -> Path:
    assert run(["results", str(evaluation), "--out", str(tmp_path / "results.md")]) == 0
    return tmp_path / "results.md"


def report_of(evaluation: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((evaluation / "report.json").read_text(encoding="utf-8"))
    return report


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def given_alone(report: dict[str, Any], folder: Path) -> str:
    """A report without the directory that it was made in."""
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report))
    return str(folder / "report.json")


def test_the_paper_stands_beside_ours_with_how_it_is_known(page: Path, evaluation: Path) -> None:
    text = page.read_text(encoding="utf-8")
    figures = (*paper.PERPLEXITIES.values(), paper.REDUCTION, paper.GPT3_COSINES, *paper.SETTINGS.values())
    for figure in figures:
        assert f"{escape(figure.what)}" in text
        assert f"{figure.value} ({figure.known})" in text
    measured = report_of(evaluation)["tasks"]["perplexity"]["systems"]["adapted"]["metrics"]["packed_perplexity"]
    shown = f"{escape(value_text(measured['value'], 'number'))} {escape(interval_text(measured['ci95'], 'number'))}"
    row = next(line for line in text.splitlines() if line.startswith("| perplexity, adapted, packed"))
    assert row.endswith(f"| 6.55 (recalled) | {shown} |")
    for name, task in (
        ("packed_length", "perplexity"),
        ("num_embeddings", "embeddings"),
        ("temperature", "completion"),
    ):
        row = next(line for line in text.splitlines() if line.startswith(f"| {paper.SETTINGS[name].what} |"))
        assert row.endswith("| — |") == (task not in report_of(evaluation)["tasks"]), (
            "only what was measured has settings"
        )


def test_every_metric_of_every_system_is_there_with_its_interval(page: Path, evaluation: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for task in report_of(evaluation)["tasks"].values():
        for metric, info in task["infos"].items():
            line = next((own for own in text.splitlines() if own.startswith(f"| {escape(info['label'])} (")), "")
            for system in task["systems"].values():
                if metric in system["metrics"]:
                    measured = system["metrics"][metric]
                    assert escape(value_text(measured["value"], info["style"])) in line
                    assert escape(interval_text(measured["ci95"], info["style"])) in line


def test_how_it_was_made_is_told_without_places_of_this_machine(page: Path, evaluation: Path) -> None:
    text = page.read_text(encoding="utf-8")
    report = report_of(evaluation)
    for told in (
        report["models"]["adapted"]["digest"],
        report["corpus"]["files"]["test.parquet"],
        f"torch {report['versions']['torch']}",
        f"{report['train']['num_tokens']:,} tokens in {report['train']['steps']} steps",
        f"{report['hardware']['cores']} cores",
        "peak_lr = 0.003",
    ):
        assert told in text
    kept = (page.with_suffix("") / "evaluation.json").read_text(encoding="utf-8")
    for place in (evaluation.parent, Path.cwd(), Path.home()):
        assert str(place) not in text
        assert str(place) not in kept
    assert len(kept) < (evaluation / "report.json").stat().st_size


def test_what_was_not_measured_is_told_with_the_reason(evaluation: Path, tmp_path: Path) -> None:
    report = report_of(evaluation)
    report["tasks_left_out"] = {"knowledge": "no questions were given"}
    report["tasks"]["perplexity"]["systems"]["bm25"] = {"metrics": {}, "left_out": "BM25 cannot score", "seconds": None}
    report["quick"] = {"note": "Intervals are wider."}
    report["leak"] = {"num_documents": 2, "text": "2 papers were seen in training."}
    report["train"] = report["recipe"] = None
    report["models"]["adapted"]["name"] = "somebody/model"
    out = tmp_path / "results.md"
    assert run(["results", given_alone(report, tmp_path / "quick"), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "- The task knowledge: no questions were given." in text
    assert "- BM25 in “Perplexity of held-out documents”: BM25 cannot score." in text
    assert "- Intervals are wider." in text
    assert "**Leak.** 2 papers were seen in training." in text
    assert "not known: no run and no record of one is with the model" in text


@pytest.mark.parametrize("name", ["results", "folder.md", "."])
def test_a_page_without_a_name_of_its_own_is_refused_and_nothing_is_written(
    name: str, evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.md").mkdir()
    assert run(["results", str(evaluation), "--out", name]) == 2
    assert "is no name of a page: write it as a file that ends in .md" in error_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.md"]


def test_another_file_is_not_taken_for_a_page(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("# My own page\n", encoding="utf-8")
    assert run(["results", str(evaluation), "--out", str(mine)]) == 2
    assert error_line(capsys) == f"error: {mine} is no page of results and would be lost: choose another --out"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.md"]
    assert mine.read_text(encoding="utf-8") == "# My own page\n"


def test_a_page_that_was_changed_by_hand_is_found(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = ["results", "--out", str(page), "--check"]
    assert run(check) == 0
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("(recalled)", "(seen)", 1), encoding="utf-8")
    assert run(check) == 2
    assert f"{page} is not what {page.with_suffix('')} makes: make it again" in error_line(capsys)

    assert run(["results", "--out", str(page)]) == 0, "made again from what is kept"
    assert page.read_text(encoding="utf-8") == text
    kept = page.with_suffix("") / "evaluation.json"
    kept.write_text(kept.read_text(encoding="utf-8").replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    assert run(check) == 2
    page.unlink()
    assert run(check) == 2


def test_several_reports_stand_on_one_page(
    page: Path, evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = given_alone(report_of(evaluation), tmp_path / "encoder")
    capsys.readouterr()
    assert run(["results", encoder, "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"] == ["encoder", "evaluation"]
    text = page.read_text(encoding="utf-8")
    assert "|  | the paper | encoder | evaluation |" in text
    assert "## encoder\n" in text
    assert "## evaluation\n" in text
    size = len(text)
    assert run(["results", encoder, "--out", str(page)]) == 0
    assert len(page.read_text(encoding="utf-8")) == size, "a report of the same name takes its place"
    assert run(["results", str(evaluation), str(evaluation), "--out", str(page)]) == 2
    assert "two reports are named evaluation" in error_line(capsys)


def test_a_name_that_goes_on_where_another_ends_is_in_the_same_order_in_the_check(
    page: Path, evaluation: Path, tmp_path: Path
) -> None:
    longer = given_alone(report_of(evaluation), tmp_path / "evaluation-encoder")  # as files: - is before the . of .json
    assert run(["results", longer, "--out", str(page)]) == 0
    assert run(["results", "--out", str(page), "--check"]) == 0


def test_what_is_no_report_is_refused(evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "results.md")
    for report, message in (
        ({"tasks": {}}, "is no report of schema version"),
        (report_of(evaluation) | {"schema_version": 1}, "(it has 1): evaluate the model again"),
    ):
        folder = tmp_path / str(len(message))
        assert run(["results", given_alone(report, folder), "--out", out]) == 2
        assert message in error_line(capsys)
    for words, message in (
        ([str(tmp_path / "nothing")], "nothing: check the path"),
        ([str(tmp_path)], "has no manifest.json"),
        ([], "holds no report: name an evaluation directory"),
        (["--check"], "holds no report: make the page"),
        ([str(evaluation), "--check"], "--check reads the reports that are kept"),
    ):
        assert run(["results", *words, "--out", out]) == 2
        assert message in error_line(capsys)
    assert not Path(out).exists()


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/home/me/corpus", "corpus"),
        ("--set", "--set"),
        ("model.base=/data/llama", "model.base=llama"),
        ("model.base='/data/llama'", "model.base='llama'"),
        ("~/papers.jsonl", "papers.jsonl"),
        ("../papers.jsonl", "papers.jsonl"),
        ("org/name", "org/name"),
        ("/", "/"),
        ("a sentence with / and /home in it", "a sentence with / and /home in it"),
    ],
)
def test_of_paths_the_last_part_is_published(text: str, published: str) -> None:
    assert without_places({"words": [text]}) == {"words": [published]}
