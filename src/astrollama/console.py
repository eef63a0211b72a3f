"""What a person sees while a stage works: lines and progress on standard error, so that results keep standard output.

On a terminal progress is a live bar with an estimate of the time left; elsewhere it is a plain line every ten seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_INTERVAL_SECONDS = 10.0

T = TypeVar("T")


class Progress(Protocol):
    """A measure of how far a stage is; amounts are in the unit that the stage counts in."""

    def update(self, completed: float, note: str = "") -> None:
        """Tell how much is done in all, with a short note (a loss, a speed)."""
        ...


def speaks() -> bool:
    """Whether this process tells what happens: of the ranks that torchrun started, the first speaks for all."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK") == "0"


def say(text: str) -> None:
    """Print one line for the person who watches."""
    if speaks():
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print one line about something that works but is probably not what was meant."""
    say(f"warning: {text}")


@contextmanager
def progress(
    description: str, total: float | None, completed: float = 0.0, *, shown: bool = True
) -> Iterator[Progress]:
    """Show progress towards `total` (None where it is not known beforehand), `completed` of which is done already.

    Of several processes that work on one thing, one shows it.
    """
    status = _Status(description, total, completed)
    if not shown:
        yield _Nothing()
    elif sys.stderr.isatty():
        with _live_bar(status) as bar:
            yield bar
    else:
        yield _Lines(status)


def track(
    items: Iterable[T], description: str, total: int | None = None, every: int = 256, completed: int = 0
) -> Iterator[T]:
    """Yield `items`, showing how many have gone by, `completed` of them before."""
    with progress(description, total, completed) as bar:
        for count, item in enumerate(items, start=completed + 1):
            yield item
            if count % every == 0 or count == total:
                bar.update(count)


def counted(number_of: int, noun: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{number_of:,} {noun}" if number_of == 1 else f"{number_of:,} {noun}s"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def _live_bar(status: _Status) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    line = TextColumn("{task.fields[line]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    with RichProgress(
        line, BarColumn(bar_width=None), console=Console(stderr=True), transient=True, expand=True
    ) as bar:
        yield _Bar(bar, bar.add_task("", total=status.total, line=status.description), status)


class _Status:
    """What a line says: how much, how long still, and a note."""

    def __init__(self, description: str, total: float | None, completed: float) -> None:
        self.description = description
        self.total = total
        self._before = completed
        self._started = time.monotonic()

    def line(self, completed: float, note: str) -> str:
        parts = [f"{completed:,.0f}"]
        if self.total:
            parts = [f"{min(completed / self.total, 1.0):4.0%}"]
            if completed > self._before:
                elapsed = time.monotonic() - self._started
                left = max(self.total - completed, 0.0)
                parts.append(f"{duration(elapsed * left / (completed - self._before))} left")
        return "  ".join([self.description, *parts, note]).rstrip()


class _Bar:
    def __init__(self, bar: RichProgress, task: TaskID, status: _Status) -> None:
        self._bar = bar
        self._task = task
        self._status = status

    def update(self, completed: float, note: str = "") -> None:
        self._bar.update(self._task, completed=completed, line=self._status.line(completed, note))


class _Nothing:
    def update(self, completed: float, note: str = "") -> None:
        pass


class _Lines:
    """A line every `LINE_INTERVAL_SECONDS`; where there was one, the end has one too."""

    def __init__(self, status: _Status) -> None:
        self._status = status
        self._printed = time.monotonic()
        self._owes_end = False

    def update(self, completed: float, note: str = "") -> None:
        now = time.monotonic()
        ended = self._status.total is not None and completed >= self._status.total
        if now - self._printed >= LINE_INTERVAL_SECONDS or (ended and self._owes_end):
            self._printed = now
            self._owes_end = not ended
            say(self._status.line(completed, note))
