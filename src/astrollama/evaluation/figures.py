"""What a task gives the report to show: figures, tables and examples as plain data, drawn by `astrollama.evaluation.report`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bars", "lines", "histogram", "matrix"]
Cell = str | float | int | None

# The columns of a table that hold systems' keys.
SYSTEM_COLUMNS = ("system", "against")


@dataclass(frozen=True)
class Series:
    """The values of one system in a figure.

    Attributes:
        system: its key, which decides name and colour.
        x: positions, as many as `y`; of `bars` the names of groups; of a `histogram` the edges of the bins, one more than `y`.
        y: heights.
        low, high: the 95 % interval of each `y`, not a number where one has none; or empty.
        label: shown instead of the system's name where a system has several series.
    """

    system: str
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    label: str = ""


@dataclass(frozen=True)
class Figure:
    """A plot.

    Attributes:
        name: of its files, such as `reliability`; unique within a task.
        kind: `bars` with intervals, one group a name; `lines` with points; a `histogram`; or a `matrix`, of which each
            series is a row (`label` its name) and `x` the columns' names.
        diagonal: both axes are probabilities, from 0 to 1, and y = x is drawn: a reliability diagram.
        note: one or two sentences on what is seen, with the numbers of samples.
    """

    name: str
    title: str
    kind: Kind
    x_label: str
    y_label: str
    series: Sequence[Series]
    diagonal: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table; numbers are printed with three significant digits, None as a dash.

    A system's key stands for its name in the columns headed as in `SYSTEM_COLUMNS`. A table without any of these has its
    systems beside each other: there a key stands for the name in the headings. Anywhere else a text is only a text.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Example:
    """Something to read: a text, and what stands beside it.

    Attributes:
        title: of the paper, or of the pair.
        text: what all had before them, such as the prompt; "" where there is none.
        answers: (name, text) pairs to be read side by side; a system's key stands for its name.
    """

    title: str
    text: str
    answers: Sequence[tuple[str, str]]


def bounds(intervals: Iterable[Sequence[float] | None]) -> tuple[list[float], list[float]]:
    """`low` and `high` of a series from intervals [low, high], of which some may be missing."""
    ends = [interval or (math.nan, math.nan) for interval in intervals]
    return [low for low, _ in ends], [high for _, high in ends]
