"""Ctrl-C, SIGTERM and SIGHUP: the first lets the step end and saves, the second ends at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from astrollama.console import say

# Ctrl-C, a scheduler's wish, a lost connection; Windows knows no SIGHUP
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


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

    # what is ignored stays so: nohup means that a lost connection stops nothing
    heeded = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, note) for number in heeded}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
