"""Ctrl-C, SIGTERM and SIGHUP: the first lets the step end and saves, the second ends at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from astrollama.console import say
from astrollama.signals import handle_stopping


class Interruption:
    """Whether the run was asked to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def catch_interruptions() -> Iterator[Interruption]:
    """Note these signals within the block instead of being ended by them; a second one raises KeyboardInterrupt."""
    interruption = Interruption()

    def note(_number: int, _frame: FrameType | None) -> None:
        if interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True
        say("stopping after this step; once more to stop at once, without saving")

    with handle_stopping(note):
        yield interruption
