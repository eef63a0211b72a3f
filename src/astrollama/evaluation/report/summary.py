"""The table on top of the report: a row a metric, a cell a system, and what the intervals allow to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astrollama.console import counted
from astrollama.evaluation.report.looks import short_name
from astrollama.evaluation.report.words import (
    DASH,
    NO_DIFFERENCE,
    difference_text,
    interval_text,
    value_text,
    verdict_words,
)

BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": "a property: neither way is better"}


@dataclass(frozen=True)
class Cell:
    """What stands in a cell.

    Attributes:
        value, interval: as text; a dash and nothing where the system has no such metric.
        reason: why there is none, or empty.
        verdict: the colour's class, of the subject only: `better`, `worse`, `undecided`, `untested` (no interval) or
            `neutral` (a property).
        words: the verdict in words, or empty.
        difference: from the base, or empty.
    """

    value: str = DASH
    interval: str = ""
    reason: str = ""
    verdict: str = ""
    words: str = ""
    difference: str = ""


@dataclass(frozen=True)
class Row:
    """A metric of a task; `cells` are by the system's key."""

    metric: str
    label: str
    better: str
    num_samples: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class TaskRows:
    """A task's primary metric, and its others."""

    name: str
    title: str
    primary: Row
    others: list[Row]


def base_key(report: Mapping[str, Any]) -> str | None:
    """The system that the subject is judged against; None where only the subject was measured."""
    keys = [system["key"] for system in report["systems"] if system["role"] == "base"]
    return next((key for key in keys if key != report["subject"]), None)


def summary_rows(report: Mapping[str, Any]) -> list[TaskRows]:
    """The rows of every task that was run."""
    rows = []
    for name, task in report["tasks"].items():
        primary = task["primary_metric"]
        others = [_row(report, task, metric) for metric in task["infos"] if metric != primary]
        rows.append(TaskRows(name, task["title"], _row(report, task, primary), others))
    return rows


def tally(rows: list[TaskRows], subject: str) -> str:
    """How the tasks went, by their primary metrics: `better in 4 tasks, worse in 1 task`; empty where none is compared."""
    found = Counter(row.primary.cells[subject].verdict for row in rows)
    words = {
        "better": "better in",
        "worse": "worse in",
        "undecided": f"{NO_DIFFERENCE} in",
        "untested": "too few samples in",
    }
    return ", ".join(f"{words[key]} {counted(found[key], 'task')}" for key in words if found[key])


def num_comparisons(rows: list[TaskRows], subject: str) -> int:
    """How many of the table's cells an interval could have coloured."""
    cells = [row.cells[subject] for task in rows for row in [task.primary, *task.others]]
    return sum(cell.verdict in ("better", "worse", "undecided") for cell in cells)


def chance_words(count: int) -> str:
    """What to expect of so many intervals at once; empty where there is none."""
    if not count:
        return ""
    return (
        f"The table makes {counted(count, 'comparison')} with the base, each with a 95\u00a0% interval that is not "
        f"corrected for their number: about {count / 20:.1f} would show a difference by chance alone, were there none."
    )


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """The primary metrics by system with verdicts, as lines of plain text for a terminal."""
    rows = summary_rows(report)
    lines = [f"leak: {report['leak']['text']}"] if report["leak"] else []
    for row in rows:
        lines.append(f"{row.title}: {row.primary.label} ({BETTER[row.primary.better]})")
        cells = [(short_name(system["label"]), row.primary.cells[system["key"]]) for system in report["systems"]]
        shown = [(name, cell.value, cell.interval, cell.words) for name, cell in cells if cell.value not in ("", DASH)]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        for words in shown:
            parts = (word.ljust(width) for word, width in zip(words, widths, strict=True))
            lines.append(f"  {'  '.join(parts)}".rstrip())
    lines += [f"{name} was left out: {reason}" for name, reason in report["tasks_left_out"].items()]
    lines += [f"{own['label']} is not there: {own['unavailable']}" for own in report["systems"] if own["unavailable"]]
    told = tally(rows, report["subject"])
    return [*lines, f"against the base: {told}"] if told else lines


def _row(report: Mapping[str, Any], task: Mapping[str, Any], metric: str) -> Row:
    info = task["infos"][metric]
    cells = {system["key"]: _cell(report, task, metric, system) for system in report["systems"]}
    counts = {own["metrics"][metric]["num_samples"] for own in task["systems"].values() if metric in own["metrics"]}
    samples = "" if not counts else f"n\u00a0=\u00a0{' or '.join(f'{count:,}' for count in sorted(counts))}"
    return Row(metric, info["label"], info["better"], samples, cells)


def _cell(report: Mapping[str, Any], task: Mapping[str, Any], metric: str, system: Mapping[str, Any]) -> Cell:
    own = task["systems"].get(system["key"], {"metrics": {}, "left_out": None})
    if metric not in own["metrics"]:
        if system["unavailable"]:
            return Cell(value="", reason="not there")
        return Cell(reason=own["left_out"] or ("its other metrics alone" if own["metrics"] else ""))
    measured, info = own["metrics"][metric], task["infos"][metric]
    if measured["value"] is None:
        return Cell(reason="no finite number")
    shown = Cell(value_text(measured["value"], info["style"]), interval_text(measured["ci95"], info["style"]))
    if system["key"] != report["subject"]:
        return shown
    return _judged(shown, _against_base(report, task, metric), info)


def _judged(cell: Cell, comparison: Mapping[str, Any] | None, info: Mapping[str, Any]) -> Cell:
    if comparison is None:
        return cell
    verdict = "untested" if comparison["ci95"] is None else comparison["verdict"]
    return Cell(
        cell.value,
        cell.interval,
        verdict="neutral" if info["better"] == "neither" else verdict,
        words=verdict_words(comparison),
        difference=difference_text(comparison, info),
    )


def _against_base(report: Mapping[str, Any], task: Mapping[str, Any], metric: str) -> Mapping[str, Any] | None:
    base = base_key(report)
    found = (own for own in task["comparisons"] if own["against"] == base and own["metric"] == metric)
    return next(found, None)
