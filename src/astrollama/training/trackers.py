"""Trackers: where the metrics go besides `metrics.jsonl`, for the eye. None of them can stop a training run."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from astrollama.console import say, warn
from astrollama.errors import UserInputError

TENSORBOARD = "tensorboard"  # the folder in the run directory, too
PROJECT = "astrollama"
_REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")  # where trackio then sends the metrics


class Tracker(Protocol):
    """Somewhere to look at a run."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Take the numbers of a step, whose number is in `step`."""
        ...

    def close(self) -> None:
        """Write what is still held back."""
        ...


def require_trackers(names: Sequence[str]) -> None:
    """Check, before anything is computed, that the trackers can be used.

    Raises:
        UserInputError: a package is missing, or trackio is set up to send the metrics elsewhere.
    """
    for name in names:
        if find_spec(name) is None:
            raise UserInputError(
                f"train.trackers names {name!r}, whose package is not installed",
                "pip install 'astrollama[track]', or leave it out",
            )
    remote = [variable for variable in _REMOTE if os.environ.get(variable)]
    if "trackio" in names and remote:
        raise UserInputError(
            f"{remote[0]} is set, by which trackio would send the metrics elsewhere", f"unset {remote[0]}"
        )


@contextmanager
def open_trackers(
    names: Sequence[str], run: Path, last_step: int, name: str, config: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that gives a record to every tracker; one that fails is warned of once and then left out.

    Args:
        names: of `train.trackers`.
        last_step: of the checkpoint that the run goes on from, 0 for a new run; steps after it that a tracker has from
            before are not shown twice.
        name: what the run is shown as.
        config: what is shown beside it.
    """
    require_trackers(names)
    with ExitStack() as stack:
        trackers = [_Guarded(tracker, partial(_OPEN[tracker], run, last_step, name, config)) for tracker in names]
        for tracker in trackers:
            stack.callback(tracker.close)

        def track(record: Mapping[str, Any]) -> None:
            for tracker in trackers:
                tracker.log(record)

        yield track


class _Guarded:
    """A tracker whose failures, at the opening too, are told once and end nothing."""

    def __init__(self, name: str, open_tracker: Callable[[], Tracker]) -> None:
        self._name = name
        self._tracker: Tracker | None = None
        self._try(lambda: setattr(self, "_tracker", open_tracker()))

    def log(self, record: Mapping[str, Any]) -> None:
        if (tracker := self._tracker) is not None:
            self._try(lambda: tracker.log(record))

    def close(self) -> None:
        if (tracker := self._tracker) is not None:
            self._try(tracker.close)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001
            self._tracker = None
            warn(f"{self._name} has failed and is left out from here on ({type(error).__name__}: {error})")


class _TensorBoard:
    """Event files in `run/tensorboard`, one a start of the run."""

    def __init__(self, run: Path, last_step: int, name: str, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # what an earlier start has shown of later steps is taken back
        self._writer = SummaryWriter(str(run / TENSORBOARD), purge_step=last_step + 1)
        if last_step == 0:
            self._writer.add_text(name, f"```json\n{json.dumps(config, indent=2)}\n```")

    def log(self, record: Mapping[str, Any]) -> None:
        for key, value in record.items():
            if key != "step":
                self._writer.add_scalar(key, value, record["step"])
        self._writer.flush()  # a killed run must not lose the steps before its checkpoint, which are not done again

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    """A run of trackio's project `astrollama`, in trackio's own folder on this machine (`TRACKIO_DIR`).

    trackio cannot take a step back. A resumed run repeats the steps after its checkpoint exactly, so that those which
    trackio has already are not given to it again.
    """

    def __init__(self, run: Path, last_step: int, name: str, config: Mapping[str, Any]) -> None:
        with redirect_stdout(io.StringIO()):  # standard output is for results
            import trackio
            from trackio.sqlite_storage import SQLiteStorage

            self._run = trackio.init(
                project=PROJECT,
                name=run_name(name, run),
                config=dict(config),
                resume="allow" if last_step else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            self._shown = (SQLiteStorage.get_last_step(PROJECT, self._run.name, self._run.id) or 0) if last_step else 0
        say(f"trackio: the run is {self._run.name}; to see it: trackio show --project {PROJECT}")

    def log(self, record: Mapping[str, Any]) -> None:
        if record["step"] > self._shown:
            self._run.log({key: value for key, value in record.items() if key != "step"}, step=record["step"])

    def close(self) -> None:
        import trackio

        with redirect_stdout(io.StringIO()):
            trackio.finish()


def run_name(name: str, run: Path) -> str:
    """The name that trackio finds a run again by: of its recipe and of its directory, so that two runs never share one."""
    path = run.resolve()
    return f"{name}-{path.name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}"


_OPEN: dict[str, Callable[[Path, int, str, Mapping[str, Any]], Tracker]] = {
    "tensorboard": _TensorBoard,
    "trackio": _Trackio,
}
