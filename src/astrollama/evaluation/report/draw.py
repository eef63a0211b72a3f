"""Each kind of figure that a task can give, drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrollama.evaluation.report.looks import (
    BASE_COLOUR,
    COLUMN,
    FAINT,
    INK,
    PAGE,
    SUBJECT_COLOUR,
    Look,
    add_legend,
    looks_of_series,
    mixed_with_white,
    new_figure,
    short_name,
    text_width,
)
from astrollama.evaluation.report.words import cell_text

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]

_HEIGHT = 2.4  # inches
_MAX_BARS_OF_A_COLUMN = 14
_MAX_BARS_WITH_NUMBERS = 30
_MAX_GROUP_NAME = 36  # characters
_MAX_WHISKERS = 12
_MAX_MARKERS = 30
_MAX_TICKS = 6
_MARGIN = 0.75  # inches, of the vertical axis with its name
_MAX_THICKNESS = 0.35  # of the distance between two groups
_GAP = 0.08  # inches, between the names of two groups
_NUMBER = 0.4  # inches, of a value beside a bar
_ROUNDING = 1e-9  # a share of 1 may be a little more


def draw(figure: Numbers, looks: Mapping[str, Look]) -> Figure:
    """A figure of the report, as its JSON holds it."""
    if not any(series["y"] for series in figure["series"]):
        return _nothing(figure)
    kinds: dict[str, Callable[[Numbers, list[Look]], Figure]] = {
        "bars": _bars,
        "lines": _lines,
        "histogram": _histogram,
        "matrix": _matrix,
    }
    return kinds[figure["kind"]](figure, looks_of_series(figure["series"], looks))


def _nothing(numbers: Numbers) -> Figure:
    figure, axes = new_figure(COLUMN, _HEIGHT)
    axes.set(xlabel=numbers["x_label"], ylabel=numbers["y_label"], xticks=[], yticks=[])
    axes.text(0.5, 0.5, "nothing to show", ha="center", transform=axes.transAxes)
    return figure


def loss_curve(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Training loss against tokens, each step and a running mean."""
    import numpy as np

    figure, axes = new_figure(COLUMN, _HEIGHT)
    tokens = np.array([row["num_tokens"] for row in metrics])
    loss = np.array([row["loss"] for row in metrics])
    axes.plot(tokens, loss, color=BASE_COLOUR, linewidth=0.6, alpha=0.7, label="each step")
    width = max(1, len(loss) // 12)
    if width > 1:
        smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
        axes.plot(tokens[width - 1 :], smooth, color=SUBJECT_COLOUR, label=f"mean of {width} steps")
    axes.set(xlabel="tokens trained on", ylabel="loss (nats a token)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.get_major_locator().set_params(nbins=5)
    add_legend(figure, axes)
    return figure


def _bars(numbers: Numbers, looks: list[Look]) -> Figure:
    """Groups of bars with whiskers; upright where the groups' names have room, else lying."""
    groups = list(dict.fromkeys(str(name) for series in numbers["series"] for name in series["x"]))
    # one group that is named as the axis is no group
    names = ["" if groups == [numbers["y_label"]] else short_name(name, _MAX_GROUP_NAME) for name in groups]
    # a group's bars stand side by side in its middle, whatever other groups have
    members = {
        group: [place for place, own in enumerate(numbers["series"]) if group in map(str, own["x"])] for group in groups
    }
    most = max(map(len, members.values()))
    num_bars = len(groups) * most
    width = COLUMN if num_bars <= _MAX_BARS_OF_A_COLUMN else PAGE
    room = (width - _MARGIN) / max(1, len(groups))
    upright = max(map(text_width, names), default=0) + _GAP < room
    height = _HEIGHT if upright else 0.7 + 0.16 * num_bars + 0.08 * len(groups)
    figure, axes = new_figure(width if upright else COLUMN, height)
    with_numbers = num_bars <= (width / COLUMN * 7 if upright else _MAX_BARS_WITH_NUMBERS)
    thickness = min(0.8 / most, _MAX_THICKNESS)
    for place, (series, look) in enumerate(zip(numbers["series"], looks, strict=True)):
        columns = _columns(series)
        positions = [
            index + (members[group].index(place) - (len(members[group]) - 1) / 2) * thickness
            for index, group in enumerate(groups)
            if place in members[group]
        ]
        options = {"color": mixed_with_white(look), "label": look.name}
        if upright:
            axes.bar(positions, columns[0], width=0.92 * thickness, **options)
        else:
            axes.barh(positions, columns[0], height=0.92 * thickness, **options)
        for position, height_, low, high in zip(positions, *columns, strict=True):
            _whisker(axes, position, low, high, upright)
            if with_numbers and math.isfinite(height_):
                _number_at(axes, position, height_, low, high, upright)
    _name_groups(axes, names, numbers, upright)
    if upright:
        axes.margins(y=0.12)
    else:
        share = _NUMBER / max(2 * _NUMBER, COLUMN - 0.4 - max(map(text_width, names)))
        axes.margins(x=share / (1 - share))
    if not (axes.dataLim.height if upright else axes.dataLim.width):
        axes.set(**{"ylim" if upright else "xlim": (0, 1)})  # all are zero
    _drop_impossible_ticks(axes.yaxis if upright else axes.xaxis, numbers)
    add_legend(figure, axes)
    return figure


def _drop_impossible_ticks(axis: Any, numbers: Numbers) -> None:
    """Beyond the data is room for whiskers and numbers: no tick there below 0, or above 1 or 100 if all ends below it."""
    columns = [column for series in numbers["series"] for column in _columns(series)]
    ends = [float(value) for column in columns for value in column if math.isfinite(value)]
    if not ends:
        return
    lowest = 0.0 if min(ends) >= 0 else -math.inf
    highest = next((bound for bound in (1.0, 100.0) if max(ends) <= bound + _ROUNDING), math.inf)
    axis.get_major_locator().set_params(nbins=_MAX_TICKS)
    low, high = sorted(axis.get_view_interval())
    low, high = max(low, lowest), min(high, highest)
    axis.set_ticks([tick for tick in axis.get_majorticklocs() if low - _ROUNDING <= tick <= high + _ROUNDING])


def _whisker(axes: Any, position: float, low: float, high: float, upright: bool) -> None:
    ends, place = [low, high], [position, position]
    axes.plot(
        *((place, ends) if upright else (ends, place)),
        color=INK,
        linewidth=0.8,
        marker="_" if upright else "|",
        markersize=4,
    )


def _number_at(axes: Any, position: float, value: float, low: float, high: float, upright: bool) -> None:
    """The value beyond the whisker's end, on the side that the bar points to."""
    ends = [bound for bound in (value, low, high) if math.isfinite(bound)]
    end, side = (max(ends), 1) if value >= 0 else (min(ends), -1)
    axes.annotate(
        cell_text(value),
        (position, end) if upright else (end, position),
        (0, 2.5 * side) if upright else (3 * side, 0),
        textcoords="offset points",
        ha="center" if upright else ("left" if side > 0 else "right"),
        va=("bottom" if side > 0 else "top") if upright else "center",
        fontsize=6,
    )


def _name_groups(axes: Any, names: list[str], numbers: Numbers, upright: bool) -> None:
    """Of the groups' axis its names, of the other one its label and a line at zero."""
    if upright:
        axes.set_xticks(range(len(names)), names)
        axes.set(xlabel=numbers["x_label"], ylabel=numbers["y_label"], xlim=(-0.6, len(names) - 0.4))
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.tick_params(axis="x", length=0)
    else:
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=numbers["y_label"], ylabel=numbers["x_label"], ylim=(len(names) - 0.4, -0.6))
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.tick_params(axis="y", length=0)


def _lines(numbers: Numbers, looks: list[Look]) -> Figure:
    """Points and lines, with whiskers where there are few points and bands where there are many."""
    import numpy as np

    figure, axes = new_figure(COLUMN, COLUMN if numbers["diagonal"] else _HEIGHT)
    names = list(dict.fromkeys(x for series in numbers["series"] for x in series["x"] if isinstance(x, str)))
    for series, look in zip(numbers["series"], looks, strict=True):
        x = np.array([names.index(own) if isinstance(own, str) else own for own in series["x"]], dtype=float)
        y, low, high = _columns(series)
        marker = look.marker if len(x) <= _MAX_MARKERS else ""
        name = look.name if len(x) else f"{look.name}: nothing to show"
        # a mark on the edge is shown whole
        axes.plot(x, y, color=look.colour, linestyle=look.dash, marker=marker, label=name, clip_on=False)
        if len(x) <= _MAX_WHISKERS:
            axes.vlines(x, low, high, color=look.colour, linewidth=0.8, alpha=0.7, clip_on=False)
        else:
            axes.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0)
    if names:
        axes.set_xticks(range(len(names)), [short_name(name) for name in names])
    if numbers["diagonal"]:  # both are probabilities
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=":", zorder=0, label="y = x")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_major_locator().set_params(nbins=5)
    _drop_impossible_ticks(axes.yaxis, numbers)
    axes.set(xlabel=numbers["x_label"], ylabel=numbers["y_label"])
    axes.grid(color=FAINT, linewidth=0.4)
    add_legend(figure, axes)
    return figure


def _histogram(numbers: Numbers, looks: list[Look]) -> Figure:
    """Outlines, so that none hides another."""
    figure, axes = new_figure(COLUMN, _HEIGHT)
    for series, look in zip(numbers["series"], looks, strict=True):
        y, _, _ = _columns(series)
        axes.stairs(y, series["x"], color=look.colour, linestyle=look.dash, linewidth=1.2, label=look.name)
        if not look.shade:
            axes.stairs(y, series["x"], color=look.colour, alpha=0.08, fill=True)
    axes.set(xlabel=numbers["x_label"], ylabel=numbers["y_label"])
    axes.set_ylim(bottom=0)
    add_legend(figure, axes)
    return figure


def _matrix(numbers: Numbers, looks: list[Look]) -> Figure:
    """Numbers in cells, each darker the larger its share of its row."""
    import numpy as np

    values_RC = np.array([_columns(series)[0] for series in numbers["series"]])
    columns = [short_name(str(name)) for name in numbers["series"][0]["x"]]
    rows = [look.name for look in looks]
    margin = 0.5 + max(map(text_width, rows))
    size = min(0.42, (PAGE - margin) / len(columns))
    upright = max(map(text_width, columns)) > size
    below = 0.5 + (max(map(text_width, columns)) if upright else 0.15)
    figure, axes = new_figure(max(COLUMN, margin + size * len(columns)), below + 0.42 * len(rows))
    sums_R1 = np.nansum(np.abs(values_RC), axis=1, keepdims=True)
    shares_RC = np.nan_to_num(np.abs(values_RC) / np.where(sums_R1 > 0, sums_R1, 1))
    # squares, not an image: an SVG would hold pixels
    axes.pcolormesh(shares_RC, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    axes.invert_yaxis()
    for row, column in np.ndindex(values_RC.shape):
        if math.isfinite(values_RC[row, column]):
            colour = "white" if shares_RC[row, column] > 0.55 else INK
            text = cell_text(float(values_RC[row, column]))
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, fontsize=6.5)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90 if upright else 0)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=numbers["x_label"], ylabel=numbers["y_label"])
    return figure


def _columns(series: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights and the ends of their intervals; NaN, which draws nothing, where there is none."""
    import numpy as np

    y = np.array(series["y"], dtype=float)
    nothing = np.full(len(y), np.nan)
    low, high = (np.array(series[end], dtype=float) if series[end] else nothing for end in ("low", "high"))
    return y, low, high
