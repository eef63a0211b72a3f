"""How numbers and verdicts are written, the same on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrollama.console import counted

NO_DIFFERENCE = "no difference shown"
DASH = "—"
_MINUS = "−"


def verdict(perplexity: Mapping[str, Any]) -> tuple[str, str]:
    """What the interval of the perplexities allows to say, and a class for its colour: `better`, `worse` or `undecided`."""
    interval = perplexity["relative_reduction_ci95"]
    if perplexity["relative_reduction"] is None:
        return "perplexities over different tokens, which cannot be compared", "undecided"
    if interval is None:
        return "too few documents for an interval", "undecided"
    low, high = interval
    if low > 0:
        return "lower perplexity than the base (the interval excludes zero)", "better"
    if high < 0:
        return "higher perplexity than the base (the interval excludes zero)", "worse"
    return f"{NO_DIFFERENCE} (the interval includes zero)", "undecided"


def verdict_words(comparison: Mapping[str, Any]) -> str:
    """A comparison's verdict in words that need no colour."""
    if comparison["verdict"] != "undecided":
        return str(comparison["verdict"])
    if comparison["ci95"] is None:
        return "too few samples to compare"
    low, high = comparison["ci95"]
    if low <= 0 <= high:
        return NO_DIFFERENCE
    return f"{'higher' if low > 0 else 'lower'}, neither good nor bad"


def trained_on_words(trained_on: Mapping[str, int] | None) -> str:
    """What a report's model was trained on: `209 documents, all that this corpus has to train on`."""
    if trained_on is None:
        return "not known: no list of the documents is with the model"
    own, shared, whole = (trained_on[f"num_{name}"] for name in ("documents", "of_corpus", "in_corpus"))
    if shared == whole == own:
        return f"{counted(own, 'document')}, all that this corpus has to train on"
    if shared == whole:
        return f"{counted(own, 'document')}, among them all {whole:,} that this corpus has to train on"
    return (
        f"{counted(own, 'document')}, {shared or 'none'} of them among the {whole:,} that this corpus has to train on"
    )


def value_text(value: float | None, style: str) -> str:
    """A metric's value: `21.87`, `0.034`, `38.2 %`."""
    if value is None:
        return DASH
    return percent(value) if style == "percent" else number(value)


def interval_text(ci95: Sequence[float] | None, style: str) -> str:
    """An interval: `[20.90, 22.84]`, `[34.1, 42.3] %`; empty where there is none."""
    if ci95 is None:
        return ""
    if style == "percent":
        return f"[{', '.join(_minus(f'{100 * bound:z.1f}') for bound in ci95)}]\u00a0%"
    return f"[{', '.join(map(number, ci95))}]"


def difference_text(comparison: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """A difference with its interval: `−32.5 % [−33.1, −31.9] %`, `+4.2 points [1.0, 7.4]`, `+0.012 [0.001, 0.023]`."""
    difference, ci95 = comparison["difference"], comparison["ci95"]
    if difference is None:
        return DASH
    sign = "+" if difference > 0 else ""
    if info["relative"]:
        return f"{sign}{percent(difference)} {interval_text(ci95, 'percent')}".rstrip()
    if info["style"] == "percent":
        bounds = interval_text(ci95, "percent").removesuffix("\u00a0%")
        return f"{sign}{_minus(f'{100 * difference:z.1f}')} points {bounds}".rstrip()
    return f"{sign}{number(difference)} {interval_text(ci95, 'number')}".rstrip()


def percent(value: float) -> str:
    """`12.3 %`."""
    return f"{_minus(f'{100 * value:z.1f}')}\u00a0%"


def number(value: float) -> str:
    """Three significant digits at least, and all of a whole number: `1,204`, `21.87`, `0.834`, `0.0340`."""
    size = abs(value)
    if float(value).is_integer() or size >= 1000:
        text = f"{value:z,.0f}" if size < 1e9 else f"{value:z.3g}"
    elif size >= 100:
        text = f"{value:z.1f}"
    elif size >= 10:
        text = f"{value:z.2f}"
    elif size >= 0.1:
        text = f"{value:z.3f}"
    else:
        text = f"{value:z.3g}" if size < 1e-4 else f"{value:z#.3g}"
    return _minus(text)


def cell_text(value: str | float | int | None, *, among_fractions: bool = False) -> str:
    """A cell of a table: text as it is, a number with three significant digits, a dash for None.

    Args:
        among_fractions: a share of 1 is printed `1.00`, as those above and below it are.
    """
    if value is None:
        return DASH
    if isinstance(value, str):
        return value
    if float(value).is_integer() and not (among_fractions and isinstance(value, float)):
        return number(value)
    return _minus(f"{value:z,.0f}" if abs(value) >= 1000 else f"{value:z#.3g}".removesuffix("."))


def _minus(text: str) -> str:
    return text.replace("-", _MINUS)
