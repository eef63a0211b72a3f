"""The report: `report.json` for programs and one self-contained `report.html` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrollama.console import duration
from astrollama.evaluation import plots
from astrollama.runs import write_json, write_text

REPORT_JSON = "report.json"
REPORT_HTML = "report.html"


def write_report(report: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write both files; `metrics` are the lines of the run's `metrics.jsonl`, empty where there was no run."""
    write_json(folder / REPORT_JSON, report)
    write_text(folder / REPORT_HTML, render_html(report, metrics))


def render_html(report: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """The page: no script, no font and no picture from elsewhere."""
    import tomli_w
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("astrollama.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "number": _number, "duration": duration}
    perplexity = report.get("perplexity")
    return environment.get_template("report.html.j2").render(
        report=report,
        perplexity=perplexity,
        verdict=verdict(perplexity) if perplexity else None,
        completions=report.get("completions", []),
        recipe_toml=tomli_w.dumps(report["recipe"]) if report["recipe"] else None,
        loss_svg=plots.loss_curve(metrics) if metrics else None,
        perplexity_svg=plots.perplexity_bars(perplexity) if perplexity else None,
        year_svg=plots.reduction_by_group(perplexity["by_year"], perplexity["relative_reduction"])
        if perplexity
        else None,
        category_svg=plots.reduction_by_group(perplexity["by_category"], perplexity["relative_reduction"])
        if perplexity
        else None,
    )


def verdict(perplexity: Mapping[str, Any]) -> tuple[str, str]:
    """What the interval allows to say, and a class for its colour: `better`, `worse` or `undecided`."""
    interval = perplexity["relative_reduction_ci95"]
    if interval is None:
        return "too few documents for an interval", "undecided"
    low, high = interval
    if low > 0:
        return "lower perplexity than the base: the interval excludes zero", "better"
    if high < 0:
        return "higher perplexity than the base: the interval excludes zero", "worse"
    return "no difference shown: the interval includes zero", "undecided"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%".replace("-", "−")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.2f}"
