"""Write the report's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrollama.evaluation.report.page import render_page
from astrollama.evaluation.report.pictures import picture_of_training, pictures_of_tasks, save_pictures
from astrollama.evaluation.report.results import plain_json
from astrollama.files import atomic_path, write_json, write_text

REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
PLOTS = "plots"


def write_report(report: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """Write the JSON, the pictures and the page, each whole or not at all.

    Args:
        report: as `schema.Report` describes it.
        metrics: the steps in the run's `metrics.jsonl`, empty where there was no run.
        folder: it is there; its `plots` are replaced as a whole.

    Returns:
        The files' names, relative to `folder`.
    """
    report = plain_json(report)
    write_json(folder / REPORT_JSON, report)
    pictures, training = pictures_of_tasks(report), picture_of_training(metrics)
    drawn = [picture for own in pictures.values() for picture in own] + ([training] if training else [])
    with atomic_path(folder / PLOTS) as partial:
        partial.mkdir()
        names = save_pictures(drawn, partial)
    write_text(folder / REPORT_HTML, render_page(report, pictures, training))
    return [REPORT_JSON, REPORT_HTML, *(f"{PLOTS}/{name}" for name in names)]


def render_html(report: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """The page alone."""
    return render_page(report, pictures_of_tasks(report), picture_of_training(metrics))
