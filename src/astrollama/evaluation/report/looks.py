"""What every plot has in common: sizes for a paper's columns, one colour a system, names without mathematics.

Colours are of Okabe and Ito's palette (2008), which people with a colour vision deficiency can tell apart; markers and
dashes differ too, for print without colours.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # inches: the widths of one column and of both
INK, FAINT = "#1d2733", "#c9ced6"
SUBJECT_COLOUR, BASE_COLOUR = "#0072b2", "#7f7f7f"
OTHER_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

_MARKERS = "osD^vPX*<>"
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_MAX_NAME = 38  # characters
_LABEL_SIZE = 7  # points
_LEGEND_SAMPLE = 0.4  # inches, of the line or area before a name in a legend, and of the space behind the name
_LEGEND_ROW = 0.145  # inches
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    # names of systems and categories hold $ and _ that mean nothing
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": _LABEL_SIZE,
    "ytick.labelsize": _LABEL_SIZE,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": _LABEL_SIZE,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Look:
    """How a system's series is drawn; `shade` is the share of white in the colour of areas."""

    name: str
    colour: str
    marker: str
    dash: Any
    shade: float = 0.0


@contextmanager
def house_style() -> Iterator[None]:
    """Within it figures are made and saved."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def looks_of(systems: Sequence[Mapping[str, Any]], subject: str) -> dict[str, Look]:
    """One look a system: the subject blue, the base grey, the others in the order of the report."""
    looks: dict[str, Look] = {}
    num_others = 0
    for place, system in enumerate(systems):
        if system["key"] == subject:
            colour = SUBJECT_COLOUR
        elif system["role"] == "base":
            colour = BASE_COLOUR
        else:
            colour = OTHER_COLOURS[num_others % len(OTHER_COLOURS)]
            num_others += 1
        dash = "--" if system["role"] == "base" else _DASHES[num_others // len(OTHER_COLOURS) % len(_DASHES)]
        looks[system["key"]] = Look(short_name(system["label"]), colour, _MARKERS[place % len(_MARKERS)], dash)
    return looks


def looks_of_series(series: Sequence[Mapping[str, Any]], looks: Mapping[str, Look]) -> list[Look]:
    """A look for each series; a system's second series keeps its colour, with other dashes and a lighter area."""
    found: list[Look] = []
    for own in series:
        before = sum(other["system"] == own["system"] for other in series[: len(found)])
        look = looks.get(own["system"]) or Look(short_name(own["system"]), INK, "o", "-")
        if before:
            place = (_MARKERS.index(look.marker) + before) % len(_MARKERS)
            look = replace(
                look, dash=_DASHES[before % len(_DASHES)], marker=_MARKERS[place], shade=min(0.8, 0.35 * before)
            )
        found.append(replace(look, name=short_name(own["label"])) if own["label"] else look)
    return found


def mixed_with_white(look: Look) -> str:
    """The colour of a look's areas."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (channel + (1 - channel) * look.shade for channel in to_rgb(look.colour))
    return str(to_hex((red, green, blue)))


def short_name(name: str, max_length: int = _MAX_NAME) -> str:
    """A name for a label: one line of characters that can be drawn, without its middle where it is too long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in name).split())
    if len(line) <= max_length:
        return line
    half = max_length // 2
    return f"{line[: half - 1].rstrip()}…{line[-half:].lstrip()}"


def new_figure(width: float, height: float) -> tuple[Figure, Any]:
    """A figure with one panel; sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def add_legend(figure: Figure, axes: Any) -> None:
    """Names above the panel, where they cover nothing; the figure grows by what they take."""
    handles, names = axes.get_legend_handles_labels()
    width = max(map(text_width, names), default=0.0) + _LEGEND_SAMPLE
    columns = max(1, min(len(names), int(figure.get_figwidth() / width)))
    if names:
        rows = -(-len(names) // columns)
        figure.set_figheight(figure.get_figheight() + _LEGEND_ROW * (rows - 1))
        figure.legend(handles, names, loc="outside upper left", ncols=columns, columnspacing=1.2)


def text_width(text: str) -> float:
    """How wide a label of an axis or a legend is, inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    points, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=_LABEL_SIZE), ismath=False)
    return float(points) / 72
