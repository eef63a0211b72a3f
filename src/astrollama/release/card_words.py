"""What a card says of an evaluation in words: the results' table, what fails, and what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astrollama.evaluation.report.summary import BETTER, base_key
from astrollama.evaluation.report.words import DASH, NO_DIFFERENCE, difference_text, verdict_words
from astrollama.release.card_metrics import shown_metrics
from astrollama.release.results_page import against_all, value_with_interval

Report = Mapping[str, Any]

_FORGETTING = "forgetting"
_COMPLETION = "completion"
_OF_INVENTION = ("invented_share", "invented_numbers_share", "invented_objects_share", "off_topic_rate")


def result_rows(report: Report) -> list[list[str]]:
    """[task, metric, samples, subject, base, change, against all] of each metric of the card."""
    base, subject = base_key(report) or "", report["subject"]
    rows = []
    for task, metric in shown_metrics(report):
        own = report["tasks"][task]
        info = own["infos"][metric]
        comparison = _against(own, metric, base)
        rows.append(
            [
                own["title"],
                f"{info['label']} ({BETTER[info['better']].split(':')[0]})",
                f"{own['systems'][subject]['metrics'][metric]['num_samples']:,}",
                value_with_interval(report, task, subject, metric),
                value_with_interval(report, task, base, metric),
                difference_text(comparison, info) if comparison else DASH,
                against_all(report, task, metric) or DASH,
            ]
        )
    return rows


def failures(report: Report) -> list[str]:
    """Where the model is worse than something, where nothing was shown, and what it invents: a sentence each."""
    labels = {system["key"]: system["label"] for system in report["systems"]}
    base, subject = base_key(report) or "", report["subject"]
    worse, undecided = [], []
    for task, metric in shown_metrics(report):
        own = report["tasks"][task]
        name = f"{own['title']}, {own['infos'][metric]['label']}"
        better = [c["against"] for c in own["comparisons"] if c["metric"] == metric and c["verdict"] == "worse"]
        if better:
            others = ", ".join(f"{labels[key]} ({value_with_interval(report, task, key, metric)})" for key in better)
            worse.append(f"{name}: {value_with_interval(report, task, subject, metric)}, worse than {others}.")
        comparison = _against(own, metric, base)
        if comparison and verdict_words(comparison) == NO_DIFFERENCE:
            undecided.append(name)
    for metric in _OF_INVENTION:
        value = value_with_interval(report, _COMPLETION, subject, metric)
        if value != DASH:
            info = report["tasks"][_COMPLETION]["infos"][metric]
            worse.append(f"Completion, {info['label']}: {value}. {info['about']}")
    if undecided:
        worse.append(
            f"No difference from the base was shown, which is no proof of equality, in: {'; '.join(undecided)}."
        )
    return worse


def forgotten(report: Report) -> list[str]:
    """What the task of forgetting shows, a sentence a metric; nothing where it was not run."""
    base, subject = base_key(report) or "", report["subject"]
    own = report["tasks"].get(_FORGETTING)
    told = []
    for task, metric in shown_metrics(report) if own else ():
        comparison = _against(own, metric, base) if task == _FORGETTING and own else None
        if comparison and own:
            told.append(
                f"{own['infos'][metric]['label']}: {value_with_interval(report, task, base, metric)} before, "
                f"{value_with_interval(report, task, subject, metric)} after: {verdict_words(comparison)}."
            )
    return told


def notes(report: Report) -> list[str]:
    """What a reader must know to read the numbers rightly."""
    told = [f"Leak: {report['leak']['text']}"] if report["leak"] else []
    for own in report["tasks"].values():
        told += [f"{own['title']}: {note}" for note in own["notes"]]
    return told


def _against(task: Mapping[str, Any], metric: str, key: str) -> Mapping[str, Any] | None:
    found = (own for own in task["comparisons"] if own["against"] == key and own["metric"] == metric)
    return next(found, None)
