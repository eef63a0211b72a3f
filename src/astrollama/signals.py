"""The signals that ask a program to stop: Ctrl-C, a scheduler's SIGTERM, a lost connection."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Windows knows no SIGHUP
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def handle_stopping(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call `handler` for these signals within the block.

    What is ignored stays so: under nohup a lost connection stops nothing.
    """
    heeded = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
