"""The pictures of a corpus card: papers by year and by category, and lengths, each with the splits apart.

Colours are of Okabe and Ito's palette (2008), which people with a colour vision deficiency can tell apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.corpus.measures import NO_YEAR, Measures
from astrollama.files import atomic_path

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

FOLDER = "plots"
SPLIT_COLOURS = {"train": "#0072b2", "validation": "#e69f00", "test": "#009e73"}
CATEGORY_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
OTHER_COLOUR, INK = "#b3b3b3", "#1d2733"

_WIDTH = 9.0  # inches
_DPI = 100
_MAX_BARS = 15
_NUM_BINS = 60
_SHOWN_SHARE = 0.999  # of the lengths; one book among abstracts must not flatten the rest
_MAX_NAME = 28  # characters


def draw_plots(measures: Measures, folder: Path) -> list[str]:
    """Draw the pictures that `measures` allow to `folder`/plots, as PNG.

    Returns:
        The names of the files, relative to `folder`.
    """
    pictures: dict[str, Callable[[Measures], Figure]] = {
        "papers-by-year.png": _papers_by_year,
        "papers-by-category.png": _papers_by_category,
        "lengths-in-words.png": lambda own: _lengths(own, own.words_N, "words"),
    }
    if not any(year != NO_YEAR for year in measures.years()):
        del pictures["papers-by-year.png"]
    if measures.tokens_N is not None:
        tokens_N = measures.tokens_N
        pictures["lengths-in-tokens.png"] = lambda own: _lengths(own, tokens_N, "tokens")
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, draw in pictures.items():
        save_figure(draw(measures), folder / FOLDER / name, dpi=_DPI)
    return [f"{FOLDER}/{name}" for name in pictures]


def plain_name(name: str) -> str:
    """A name as matplotlib must get it, so as not to read mathematics in it."""
    return name.replace("$", r"\$")


def save_figure(figure: Figure, out: Path, dpi: int) -> None:
    """Write a figure to `out`, whose suffix chooses the format."""
    with atomic_path(out) as partial, warnings.catch_warnings():
        # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(partial, dpi=dpi)


def _papers_by_year(measures: Measures) -> Figure:
    """Papers a year by split, and below the share of each primary category in a year's papers."""
    import numpy as np

    figure, (counts, shares) = _figure(2, height=7.2, sharex=True)
    first, last = _first_and_last_year(measures)
    years = np.arange(first, last + 1)

    def per_year(members_N: np.ndarray) -> np.ndarray:
        return np.bincount(measures.year_N[members_N & (measures.year_N != NO_YEAR)] - first, minlength=len(years))

    _stack(
        counts,
        years,
        [(split, SPLIT_COLOURS[split], per_year(measures.in_split(split))) for split in measures.filled_splits()],
    )
    counts.set_ylim(top=1.06 * counts.get_ylim()[1])
    counts.yaxis.get_major_locator().set_params(integer=True)
    counts.set_title("Papers by year and split")
    counts.set_ylabel("papers")
    everything = per_year(np.ones(len(measures), bool))
    ranked = measures.by_frequency()
    parts = [
        (_short_name(name), colour, per_year(measures.primary_N == place))
        for (name, place), colour in zip(ranked, CATEGORY_COLOURS, strict=False)
    ]
    rest = everything - sum(part for _, _, part in parts)
    if len(ranked) > len(parts):
        parts.append((f"{len(ranked) - len(parts):,} others", OTHER_COLOUR, rest))
    _stack(shares, years, [(name, colour, 100 * part / np.maximum(everything, 1)) for name, colour, part in parts])
    shares.set_title("Primary categories, share of each year's papers")
    shares.set_ylabel("share, %")
    shares.set_xlabel("year")
    shares.set_xlim(first - 0.7, last + 0.7)
    shares.xaxis.get_major_locator().set_params(integer=True)
    undated = int((measures.year_N == NO_YEAR).sum())
    if undated:
        shares.set_xlabel(f"year ({undated:,} papers without a date are not shown)")
    return figure


def _papers_by_category(measures: Measures) -> Figure:
    """Papers by primary category and split, the largest on top and what is left in one bar."""
    import numpy as np

    ranked = measures.by_frequency()
    num_shown = len(ranked) if len(ranked) <= _MAX_BARS + 1 else _MAX_BARS
    row_of_place = np.full(len(ranked), num_shown)
    for row, (_, place) in enumerate(ranked[:num_shown]):
        row_of_place[place] = row
    names = [_short_name(name) for name, _ in ranked[:num_shown]]
    if num_shown < len(ranked):
        names.append(f"{len(ranked) - num_shown:,} others")
    rows = np.arange(len(names))
    figure, (axes,) = _figure(1, height=1.5 + 0.3 * len(names))
    lengths = np.zeros(len(names), np.int64)
    for split in measures.filled_splits():
        added = np.bincount(row_of_place[measures.primary_N[measures.in_split(split)]], minlength=len(names))
        axes.barh(rows, added, left=lengths, color=SPLIT_COLOURS[split], label=f"{split} ({added.sum():,})")
        lengths += added
    for row, length in enumerate(lengths):
        axes.annotate(f"{length:,}", (length, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * lengths.max())
    axes.xaxis.set_major_formatter(_thousands)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("papers")
    axes.set_title("Papers by primary category and split")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _lengths(measures: Measures, lengths_N: np.ndarray, unit: str) -> Figure:
    """A histogram of lengths for each split, on one scale, with the median marked."""
    import numpy as np

    splits = measures.filled_splits()
    figure, panels = _figure(len(splits), height=0.9 + 1.9 * len(splits), sharex=True)
    last = int(np.quantile(lengths_N, _SHOWN_SHARE, method="higher"))
    # whole numbers: every bin is as many lengths wide as the others, so that none stands out by rounding
    width = max(1, -(-(last + 1) // _NUM_BINS))
    edges = np.arange(0, last + width + 1, width) - 0.5
    for axes, split in zip(panels, splits, strict=True):
        own = lengths_N[measures.in_split(split)]
        median = float(np.median(own))
        axes.hist(own, bins=edges, color=SPLIT_COLOURS[split])
        axes.axvline(median, color=INK, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"median {median:,.0f} {unit}",
            (median, 0.94),
            (5, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
        )
        longer = int((own > edges[-1]).sum())
        note = f", {longer:,} longer not shown" if longer else ""
        axes.set_title(f"{split}: {len(own):,} papers{note}", loc="left")
        axes.set_ylabel("papers")
        axes.set_ylim(top=1.15 * axes.get_ylim()[1])
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter(_thousands)
    panels[-1].xaxis.set_major_formatter(_thousands)
    panels[-1].set_xlabel(f"{unit} a paper, {width} a bar" if width > 1 else f"{unit} a paper")
    return figure


def _stack(axes: Any, years: np.ndarray, parts: Sequence[tuple[str, str, np.ndarray]]) -> None:
    """Bars on top of each other, the first part lowest, with the legend beside them in the same order."""
    import numpy as np

    bottom = np.zeros(len(years))
    for name, colour, part in parts:
        axes.bar(years, part, bottom=bottom, color=colour, width=0.85, label=name)
        bottom = bottom + part
    axes.yaxis.set_major_formatter(_thousands)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)


def _figure(num_panels: int, height: float, *, sharex: bool = False) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    panels = list(figure.subplots(num_panels, 1, sharex=sharex, squeeze=False)[:, 0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure, panels


def _first_and_last_year(measures: Measures) -> tuple[int, int]:
    dated = [year for year in measures.years() if year != NO_YEAR]
    return dated[0], dated[-1]


def _short_name(name: str) -> str:
    """A name for a label: one line, not too long, no mathematics."""
    line = " ".join(name.split())
    return plain_name(line if len(line) <= _MAX_NAME else f"{line[: _MAX_NAME - 1]}…")


def _thousands(value: float, _: object) -> str:
    return f"{value:,.0f}"
