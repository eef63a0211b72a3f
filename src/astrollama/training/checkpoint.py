"""Checkpoints: everything that a run needs to go on exactly, in safetensors and JSON, hashed and written atomically.

Each rank writes its slices with torch.distributed.checkpoint, which puts them together again for any number of ranks.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import warn
from astrollama.errors import AstroLlamaError, TrainingError
from astrollama.files import TEMPORARY_PREFIX, atomic_path, read_json, sha256_file, write_json
from astrollama.training.schedule import Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from astrollama.models.parallel import Parallel

FOLDER = "checkpoints"
KEPT = 2
_STATE = "state.json"
_DIGEST = "sha256"
_LEAST_FILE_BYTES = 2**26
_MOST_FILES = 64


def save_checkpoint(run: Path, position: Position, tensors: Mapping[str, Tensor], ranks: Parallel) -> None:
    """Write a checkpoint; `KEPT` of them stay, and never more are on the disk.

    Args:
        tensors: weights, moments and averages by name; with several ranks, each one's slices.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    folder = run / FOLDER / f"step-{position.step:08d}"
    if ranks.is_main:
        folder.parent.mkdir(exist_ok=True)
        for old in [other for other in checkpoints(run) if other != folder][: 1 - KEPT]:
            _remove(old)
    others = nullcontext(folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}").resolve())
    with atomic_path(folder) if ranks.is_main else others as partial:
        if ranks.is_main:
            partial.mkdir()
        ranks.barrier()
        writer = HuggingFaceStorageWriter(str(partial), _files(tensors), save_distributed=True)
        with _plain_failures():
            save(dict(tensors), storage_writer=writer, no_dist=ranks.size == 1)
        own = sorted(partial.iterdir())[ranks.rank :: ranks.size]
        hashes = {file.name: sha256_file(file) for file in own}
        hashes = {name: value for part in ranks.gather(hashes) for name, value in sorted(part.items())}
        if ranks.is_main:
            state = {"position": asdict(position), "files": hashes}
            write_json(partial / _STATE, state | {_DIGEST: _digest(state)})
    ranks.barrier()


def load_checkpoint(run: Path, tensors: Mapping[str, Tensor], ranks: Parallel) -> Position:
    """Read the newest undamaged checkpoint of a run into `tensors`, whichever number of ranks wrote it.

    Raises:
        TrainingError: there is none.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    newest = ranks.share(ranks.first(lambda: newest_checkpoint(run)))
    assert newest is not None
    folder, position = newest
    reader = HuggingFaceStorageReader(str(folder))
    with _plain_failures():
        load(dict(tensors), storage_reader=reader, no_dist=ranks.size == 1)
    return position


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / FOLDER).glob("step-*"))


def _files(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Which file each tensor goes to: a file is made in memory before it is written, so that one for all takes too much."""
    limit = max(_LEAST_FILE_BYTES, sum(tensor.nbytes for tensor in tensors.values()) // _MOST_FILES)
    files: dict[str, int] = {}
    number, room = 0, 0
    for name, tensor in tensors.items():
        if tensor.nbytes > room:
            number, room = number + 1, limit
        files[name] = number
        room -= tensor.nbytes
    return files


def newest_checkpoint(run: Path) -> tuple[Path, Position]:
    """The newest undamaged checkpoint and its position; those after it, and what was half written, are removed.

    Raises:
        TrainingError: there is none.
    """
    for partial in (run / FOLDER).glob(f"{TEMPORARY_PREFIX}*"):
        _remove(partial)
    damaged = []
    for folder in reversed(checkpoints(run)):
        try:
            state = _verified_state(folder)
        except AstroLlamaError as error:
            warn(f"{error.what}; taking the checkpoint before it")
            damaged.append(folder)
            continue
        for other in damaged:
            _remove(other)  # else it would count among those kept
        return folder, Position(**state["position"])
    raise TrainingError(f"{run} has no checkpoint that can be read", "delete that directory and start again")


def _verified_state(folder: Path) -> dict[str, Any]:
    state = read_json(folder / _STATE)
    if state.pop(_DIGEST, "") != _digest(state):
        raise TrainingError(f"the checkpoint {folder} is damaged ({_STATE})", "an older one may be whole")
    for name, expected in state["files"].items():
        if not (folder / name).is_file() or sha256_file(folder / name) != expected:
            raise TrainingError(f"the checkpoint {folder} is damaged ({name})", "an older one may be whole")
    return state


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Raise what failed itself, not torch's report of it; torch also warns of one process alone, which `no_dist` says."""
    from torch.distributed.checkpoint.api import CheckpointException

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except CheckpointException as report:
            failures = [failure for failure, _ in report.failures.values()]
            raise next((f for f in failures if isinstance(f, KeyboardInterrupt)), failures[0]) from None


def _remove(folder: Path) -> None:
    """Remove a checkpoint; first its state, so that one half removed is seen as damaged."""
    import shutil

    (folder / _STATE).unlink(missing_ok=True)
    shutil.rmtree(folder)
