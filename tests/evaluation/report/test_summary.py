from __future__ import annotations

from typing import Any

import pytest

from astrollama.evaluation.report import summary_lines
from astrollama.evaluation.report.summary import chance_words, num_comparisons, summary_rows, tally
from tests.evaluation.report.fakes import SYSTEMS, fake_report


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return fake_report()


def cells(report: dict[str, Any], system: str) -> dict[str, Any]:
    return {row.name: row.primary.cells[system] for row in summary_rows(report)}


def test_the_subject_is_judged_against_the_base_in_every_task(report: dict[str, Any]) -> None:
    found = {name: (cell.verdict, cell.words) for name, cell in cells(report, "adapted").items()}
    assert found == {
        "perplexity": ("better", "better"),
        "completion": ("undecided", "no difference shown"),
        "embeddings": ("neutral", "higher, neither good nor bad"),
        "retrieval": ("worse", "worse"),
        "categorisation": ("undecided", "no difference shown"),
        "knowledge": ("worse", "worse"),
        "calibration": ("untested", "too few samples to compare"),
    }
    assert cells(report, "adapted")["perplexity"].difference.startswith("−29.7\u00a0% [−3")
    assert all(cell.verdict == cell.words == "" for cell in cells(report, "base").values())


def test_an_empty_cell_says_why(report: dict[str, Any]) -> None:
    assert {cell.reason for cell in cells(report, "gpt-4").values()} == {"not there"}
    assert cells(report, "minilm")["perplexity"].reason == "MiniLM cannot tell how likely a text is"
    assert cells(report, "llama")["knowledge"].reason == "no finite number"
    assert cells(report, "bm25")["knowledge"].value == "—"


def test_what_was_measured_before_is_shown_though_its_system_is_not_there_now() -> None:
    report = fake_report()
    report["systems"] = [
        system | ({"unavailable": "its folder has gone"} if system["key"] == "llama" else {})
        for system in report["systems"]
    ]
    assert cells(report, "llama")["perplexity"].value == "18"
    assert cells(report, "llama")["calibration"].reason == "not there"
    assert any(" 18 " in line for line in summary_lines(report))


def test_other_metrics_stand_below_the_primary_one(report: dict[str, Any]) -> None:
    rows = {row.name: row for row in summary_rows(report)}
    assert [row.metric for row in rows["perplexity"].others] == ["bits_per_byte"]
    assert rows["perplexity"].others[0].cells["adapted"].verdict == "better"
    assert rows["knowledge"].others == []
    assert rows["knowledge"].primary.num_samples == "n\u00a0=\u00a0120 or 152"


def test_comparisons_are_counted_for_what_chance_would_show(report: dict[str, Any]) -> None:
    rows = summary_rows(report)
    # perplexity and bits a byte, completion, retrieval, categorisation, knowledge; embeddings have no better side and
    # calibration no interval
    assert num_comparisons(rows, "adapted") == 6
    told = "better in 1 task, worse in 2 tasks, no difference shown in 2 tasks, too few samples in 1 task"
    assert tally(rows, "adapted") == told
    assert "6 comparisons" in chance_words(6)
    assert "about 0.3" in chance_words(6)
    assert chance_words(0) == ""


def test_the_terminal_has_every_primary_metric_with_its_verdict(report: dict[str, Any]) -> None:
    lines = summary_lines(report | {"leak": {"num_documents": 1, "text": "one document was trained on"}})
    text = "\n".join(lines)
    assert lines[0] == "leak: one document was trained on"
    assert lines[1] == "Perplexity: perplexity (lower is better)"
    assert lines[2].split("  ")[1] == "SmolLM2-135M + 45…astro-ph abstracts"
    assert "21.87" in lines[2]
    assert lines[2].endswith("better")
    assert "forgetting was left out: no file of general text was given with --general" in lines
    assert "GPT-4 is not there: the environment has no OPENAI_API_KEY" in lines
    assert lines[-1].startswith("against the base: better in 1 task")
    assert "too few samples to compare" in text
    assert max(len(line) for line in lines if line.startswith("  ")) <= 100
    assert not any(line != line.rstrip() or "\x1b" in line for line in lines)


def test_without_a_base_nothing_is_judged(report: dict[str, Any]) -> None:
    alone = report | {"systems": [system for system in report["systems"] if system["role"] != "base"]}
    assert {cell.verdict for cell in cells(alone, "adapted").values()} == {""}
    assert not any("against the base" in line for line in summary_lines(alone))


def test_without_tasks_there_is_nothing_but_the_reasons(report: dict[str, Any]) -> None:
    nothing = report | {"tasks": {}}
    assert summary_rows(nothing) == []
    assert summary_lines(nothing) == [
        "forgetting was left out: no file of general text was given with --general",
        "GPT-4 is not there: the environment has no OPENAI_API_KEY",
    ]


def test_no_system_is_forgotten(report: dict[str, Any]) -> None:
    for row in summary_rows(report):
        assert list(row.primary.cells) == [key for key, *_ in SYSTEMS]


def test_a_system_with_other_metrics_alone_is_told_so() -> None:
    report = fake_report()
    systems = report["tasks"]["perplexity"]["systems"]
    systems["llama"] = {
        **systems["llama"],
        "metrics": {"bits_per_byte": systems["adapted"]["metrics"]["bits_per_byte"]},
    }
    assert cells(report, "llama")["perplexity"].reason == "its other metrics alone"
