"""The report: `report.json` for programs, one self-contained `report.html` for people, and its plots as files."""

from astrollama.evaluation.report.results import plain_json, task_json
from astrollama.evaluation.report.schema import SCHEMA_VERSION
from astrollama.evaluation.report.summary import summary_lines
from astrollama.evaluation.report.words import verdict
from astrollama.evaluation.report.write import PLOTS, REPORT_HTML, REPORT_JSON, render_html, write_report

__all__ = [
    "PLOTS",
    "REPORT_HTML",
    "REPORT_JSON",
    "SCHEMA_VERSION",
    "plain_json",
    "render_html",
    "summary_lines",
    "task_json",
    "verdict",
    "write_report",
]
