"""What a run tells of itself: a line a step in `metrics.jsonl`, the same records to the trackers, the peak of memory."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import warn
from astrollama.files import atomic_path
from astrollama.training.trackers import open_trackers

if TYPE_CHECKING:
    import torch

METRICS = "metrics.jsonl"


@contextmanager
def metrics_log(
    run: Path, last_step: int, trackers: Sequence[str], name: str, config: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that appends a record to `metrics.jsonl` and passes it on to the trackers; for one process of a run.

    A record with `loss` tells of a training step, one with `validation_nll` of a measurement after it; both have `step`.
    A line is on the disk when the function returns: a checkpoint never outlives the lines before it.

    Args:
        last_step: of the checkpoint that the run goes on from, 0 for a new run; lines after it, whose work is lost, are
            taken out, and a warning tells of lines that are missing before it.
        trackers: names of `train.trackers`.
        name: what the trackers show the run as.
        config: the recipe, which the trackers show beside it.
    """
    path = run / METRICS
    _drop_lines_after(path, last_step)
    with open_trackers(trackers, run, last_step, name, config) as track, path.open("a", encoding="utf-8") as file:

        def write(record: Mapping[str, Any]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
            track(record)

        yield write


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """All records of a run in their order; a million steps take a gigabyte of memory."""
    return list(_records(run / METRICS))


def last_losses(run: Path, count: int) -> list[float]:
    """The losses of the last `count` training steps, oldest first (nats a token)."""
    return list(deque((record["loss"] for record in _records(run / METRICS) if "loss" in record), maxlen=count))


def peak_memory_bytes(device: str | torch.device) -> int:
    """The most memory that this process has held: allocated by torch on a GPU, resident on a CPU."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if (status := Path("/proc/self/status")).is_file():
        # not getrusage, whose peak on Linux takes in the process that started this one
        [peak_kib] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return 1024 * int(peak_kib)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def _drop_lines_after(path: Path, last_step: int) -> None:
    """Leave the whole lines of steps up to `last_step`; the file is read and written as a stream."""
    num_lines = num_kept = num_steps = 0
    for record in _lines(path):
        num_lines += 1
        if _is_kept(record, last_step):
            num_kept += 1
            num_steps += "loss" in record
    if num_steps != last_step:
        warn(
            f"{path} has {num_steps} of the {last_step} steps before the checkpoint: their losses are lost, the weights are not"
        )
    if num_kept == num_lines:
        return
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in _lines(path) if _is_kept(record, last_step))


def _is_kept(record: Mapping[str, Any], last_step: int) -> bool:
    return "step" in record and record["step"] <= last_step


def _records(path: Path) -> Iterator[dict[str, Any]]:
    return (record for record in _lines(path) if record)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The record of each line; an empty one for a line that was torn when the process or the machine died."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line) if line.endswith(b"}\n") else {}
            except ValueError:
                record = {}
            yield record
