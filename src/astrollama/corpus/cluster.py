"""Parts by several processes or machines, through datatrove's executors (the extra `cluster`).

A part depends on its own records alone, so what comes out is what one process makes, byte for byte. `PartsBlock` is a block
of a datatrove pipeline: `LocalPipelineExecutor` runs it here, `SlurmPipelineExecutor` and `RayPipelineExecutor` elsewhere.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from astrollama.corpus.build import PartsMaker
from astrollama.corpus.parts import write_parts
from astrollama.errors import UserInputError
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource

_LOGS = "datatrove"


@dataclass(frozen=True)
class PartsBlock:
    """A pipeline block: makes the parts of a task's rank in `folder`, which all tasks must see.

    Attributes:
        parent: a process of this machine without which a task must not go on.
    """

    source: FileSource
    settings: CorpusSection
    folder: Path
    parent: int | None = None

    def __call__(self, _: object, rank: int = 0, world_size: int = 1) -> None:
        """Make the parts; what a block before this one would give is not looked at."""
        if self.parent is not None:
            _look_after(self.parent)
        write_parts(self.source, self.settings, self.folder, rank, world_size)


def parts_maker(workers: int) -> PartsMaker:
    """Makes parts in this process, or with several of this machine.

    Raises:
        UserInputError: several are asked for and datatrove is not installed.
    """
    if workers == 1:
        return write_parts
    executor = _local_executor()

    def write_with_workers(source: FileSource, settings: CorpusSection, folder: Path) -> None:
        logs = folder / _LOGS
        # which tasks are complete is told by the parts, not by an earlier run's markers, whose tasks may have been others
        shutil.rmtree(logs, ignore_errors=True)
        # datatrove's own helper process is a fork of this one
        os.register_at_fork(after_in_child=partial(_look_after, os.getpid()))
        executor(
            pipeline=[PartsBlock(source, settings, folder, parent=os.getpid())],
            tasks=workers,
            workers=workers,
            logging_dir=str(logs),
        ).run()
        shutil.rmtree(logs)

    return write_with_workers


def _look_after(parent: int) -> None:
    """A killed parent cannot end its workers, so they end with it themselves."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while True:
        try:
            os.kill(parent, 0)
        except OSError:
            os._exit(1)
        time.sleep(0.5)


def _local_executor() -> Any:
    try:
        from datatrove.executor import LocalPipelineExecutor
    except ImportError as error:
        raise UserInputError(
            "several workers need datatrove, which is not installed",
            "pip install 'astrollama[cluster]', or give --workers 1",
        ) from error

    class QuietExecutor(LocalPipelineExecutor):  # type: ignore[misc]
        """Says nothing of its own: errors are told once, by us, and progress is ours."""

        def run(self) -> Any:
            _silence()
            return super().run()

        def _run_for_rank(self, *arguments: Any, **more: Any) -> Any:
            _silence()
            return super()._run_for_rank(*arguments, **more)

    return QuietExecutor


def _silence() -> None:
    """Each process has its own logger."""
    from loguru import logger

    logger.disable("datatrove")
