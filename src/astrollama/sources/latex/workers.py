"""Conversions in processes of their own: one that takes too long, too much memory or falls over is replaced, and the rest goes on."""

from __future__ import annotations

import io
import multiprocessing
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from astrollama.sources.latex.archive import read_folder, read_package
from astrollama.sources.latex.convert import PaperText, convert
from astrollama.sources.latex.inventory import Item
from astrollama.sources.latex.limits import MAX_PACKAGE_BYTES, MIB
from astrollama.sources.latex.problems import ConversionError, NoTexError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext, SpawnProcess

_START_SECONDS = 30.0  # that a process may take before its first paper
MEMORY_LIMIT_BYTES = 2048 * MIB  # of a worker's address space


def convert_item(item: Item) -> PaperText:
    """Read and convert one paper; whatever is wrong with it becomes its status."""
    if item.problem:
        return _failed(item.problem)
    if item.size > MAX_PACKAGE_BYTES:
        return _failed(f"a package of more than {MAX_PACKAGE_BYTES // MIB} MiB")
    try:
        if item.path.is_dir():
            return convert(read_folder(item.path))
        with item.path.open("rb") as file:
            file.seek(item.offset)
            data = file.read(item.size)
        if len(data) < item.size:
            return _failed("a damaged archive", "it is cut off")
        return convert(read_package(io.BytesIO(data), item.size))
    except NoTexError as error:
        return PaperText("no_tex", (error.reason,), str(error))
    except ConversionError as error:
        return PaperText("failed", (error.reason,), str(error))
    except MemoryError:
        return _failed("out of memory")
    except OSError as error:
        return _failed("it cannot be read", str(error.strerror or error))
    except Exception as error:  # noqa: BLE001  one paper that we have a mistake for must not stop a million
        return _failed("a mistake of ours", f"{type(error).__name__}: {error}")


def _failed(reason: str, detail: str = "") -> PaperText:
    error = ConversionError(reason, detail)
    return PaperText("failed", (error.reason,), str(error))


class Workers:
    """Processes that convert papers, each one at a time.

    Args:
        count: how many.
        seconds: how long one paper may take.
    """

    def __init__(self, count: int, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._workers = [_Worker(context, seconds) for _ in range(count)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def convert(self, items: Sequence[Item]) -> list[PaperText]:
        """Convert papers; the results stand in the order of the items."""
        results: list[PaperText | None] = [None] * len(items)
        waiting = iter(enumerate(items))
        for worker in self._workers:
            worker.take(next(waiting, None))
        while busy := [worker for worker in self._workers if worker.index is not None]:
            timeout = max(min(worker.deadline for worker in busy) - time.monotonic(), 0.0)
            wait([worker.connection for worker in busy], timeout)
            for worker in busy:
                index = worker.index
                result = worker.result()
                if result is not None and index is not None:
                    results[index] = result
                    worker.take(next(waiting, None))
        done = [result for result in results if result is not None]
        assert len(done) == len(items)
        return done


class _Worker:
    """One process, replaced by a new one where it had to be ended."""

    def __init__(self, context: SpawnContext, seconds: float) -> None:
        self._context = context
        self._seconds = seconds
        self.index: int | None = None
        self.deadline = 0.0
        self._start()

    def _start(self) -> None:
        self.connection, other = self._context.Pipe()
        self._process: SpawnProcess = self._context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._is_fresh = True

    def take(self, task: tuple[int, Item] | None) -> None:
        """Begin with a paper, or rest if there is none."""
        if task is None:
            self.index = None
            return
        self.index, item = task
        # the first paper of a process waits until Python has started
        self.deadline = time.monotonic() + self._seconds + (_START_SECONDS if self._is_fresh else 0.0)
        self._is_fresh = False
        with suppress(OSError):  # a process that is gone shows when its result is asked for
            self.connection.send(item)

    def result(self) -> PaperText | None:
        """What became of the paper, None while it is still at work."""
        try:
            if self.connection.poll():
                received = self.connection.recv()
                assert isinstance(received, PaperText)
                return received
        except (EOFError, OSError):
            return self._replaced("the conversion fell over", self._exit())
        if time.monotonic() >= self.deadline:
            return self._replaced(f"time limit of {self._seconds:g} s")
        return None

    def stop(self) -> None:
        """End the process."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def _replaced(self, reason: str, detail: str = "") -> PaperText:
        self.stop()
        self._start()
        return _failed(reason, detail)

    def _exit(self) -> str:
        self._process.join(timeout=5)
        code = self._process.exitcode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"


def _serve(connection: Connection) -> None:
    """Convert what comes until nothing more does; runs in a process of its own."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches every process of a terminal; the first one ends the others
    _limit_memory()
    with suppress(EOFError, OSError):
        while True:
            connection.send(convert_item(connection.recv()))


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # no such limit on this system
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
