"""Ctrl-C, SIGTERM and SIGHUP: the first lets the step end and saves, a second Ctrl-C ends at once."""

from __future__ import annotations

import signal
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
    """Note these signals within the block instead of being ended by them; a second Ctrl-C raises KeyboardInterrupt.

    Schedulers send SIGTERM more than once, which still means: save.
    """
    interruption = Interruption()

    def note(number: int, _frame: FrameType | None) -> None:
        if interruption.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not interruption.requested:
            once_more = "; Ctrl-C once more stops at once, without saving" if number == signal.SIGINT else ""
            say(f"stopping after this step{once_more}")
        interruption.requested = True

    with handle_stopping(note):
        yield interruption
