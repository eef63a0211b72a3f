"""The page: no script, no font and no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrollama.console import counted, duration
from astrollama.evaluation.figures import SYSTEM_COLUMNS
from astrollama.evaluation.report.pictures import Picture
from astrollama.evaluation.report.summary import BETTER, chance_words, num_comparisons, summary_rows, tally
from astrollama.evaluation.report.words import (
    DASH,
    cell_text,
    difference_text,
    number,
    percent,
    trained_on_words,
    verdict,
    verdict_words,
)

_MAX_UNBROKEN = 24  # characters


def render_page(report: Mapping[str, Any], pictures: Mapping[str, Sequence[Picture]], training: Picture | None) -> str:
    """The whole page.

    Args:
        pictures: of each task's figures, in their order.
        training: the loss curve.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("astrollama.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    labels = {system["key"]: system["label"] for system in report["systems"]}
    environment.filters |= {
        "percent": percent,
        "number": number,
        "hundredths": lambda value: DASH if value is None else f"{value:.2f}",
        "cell": lambda value, among_fractions=False: cell_text(value, among_fractions=among_fractions),
        "duration": duration,
        "toml": _toml,
        "named": lambda key: labels.get(key, key),
        "with_labels": lambda table: _with_labels(table, labels),
        "difference": difference_text,
        "verdict_words": verdict_words,
        "trained_on": trained_on_words,
        "is_numeric": _numeric_columns,
        "has_fractions": _columns_with_fractions,
        "unbroken": lambda text: text.replace(" %", "\u00a0%"),
    }
    environment.tests["one_word"] = _is_one_word
    rows = summary_rows(report)
    perplexity = report["perplexity"]
    return environment.get_template("report.html.j2").render(
        report=report,
        rows=rows,
        tally=tally(rows, report["subject"]),
        chance=chance_words(num_comparisons(rows, report["subject"])),
        subject=labels[report["subject"]],
        perplexity=perplexity,
        verdict=verdict(perplexity) if perplexity else None,
        pictures=pictures,
        training=training,
        better=BETTER,
        counted=counted,
        dash=DASH,
    )


def _toml(settings: Mapping[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(_without_none(settings))


def _without_none(value: Any) -> Any:
    """TOML has no null: what is not set is left out."""
    if isinstance(value, Mapping):
        return {key: _without_none(own) for key, own in value.items() if own is not None}
    return value


def _with_labels(table: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A table with the labels of systems where it has their keys, by the rule of `figures.Table`."""
    columns = table["columns"]
    places = {place for place, name in enumerate(columns) if name in SYSTEM_COLUMNS}
    if not places:
        return {**table, "columns": [labels.get(name, name) for name in columns]}
    rows = [
        [labels.get(cell, cell) if place in places else cell for place, cell in enumerate(row)] for row in table["rows"]
    ]
    return {**table, "rows": rows}


def _is_one_word(value: object) -> bool:
    """Whether a cell can be kept in one line where a browser would break it, as `astro-ph.CO` at its hyphen."""
    return isinstance(value, str) and " " not in value and len(value) <= _MAX_UNBROKEN


def _numeric_columns(table: Mapping[str, Any]) -> list[bool]:
    """Which columns hold numbers only, to be set flush right."""
    return [
        all(row[place] is None or not isinstance(row[place], str) for row in table["rows"])
        for place in range(len(table["columns"]))
    ]


def _columns_with_fractions(table: Mapping[str, Any]) -> list[bool]:
    """Which columns hold a number that is no whole one."""
    return [
        any(isinstance(row[place], float) and not row[place].is_integer() for row in table["rows"])
        for place in range(len(table["columns"]))
    ]
