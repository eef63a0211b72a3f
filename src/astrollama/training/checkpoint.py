"""Checkpoints: everything that a run needs to go on exactly, in safetensors and JSON, hashed and written atomically."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import warn
from astrollama.errors import AstroLlamaError, TrainingError
from astrollama.runs import atomic_path, read_json, sha256_file, write_json
from astrollama.training.schedule import Position

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FOLDER = "checkpoints"
KEPT = 2
_STATE = "state.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_checkpoint(
    run: Path, position: Position, parameters: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> Path:
    """Write a checkpoint; `KEPT` of them stay, and never more are on the disk."""
    import torch
    from safetensors.torch import save_file

    folder = run / FOLDER / f"step-{position.step:08d}"
    folder.parent.mkdir(exist_ok=True)
    for old in [other for other in checkpoints(run) if other != folder][: 1 - KEPT]:
        _remove(old)
    moments = {
        f"{name}:{moment}": value
        for name, parameter in parameters.items()
        for moment, value in optimizer.state[parameter].items()
    }
    generators = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        generators["cuda"] = torch.cuda.get_rng_state()
    with atomic_path(folder) as partial:
        partial.mkdir()
        save_file({name: p.detach().contiguous() for name, p in parameters.items()}, partial / "weights.safetensors")
        save_file({name: value.contiguous() for name, value in moments.items()}, partial / "optimizer.safetensors")
        save_file(generators, partial / "generators.safetensors")
        hashes = {file.name: sha256_file(file) for file in sorted(partial.iterdir())}
        write_json(partial / _STATE, {"position": asdict(position), "files": hashes})
    return folder


def load_checkpoint(run: Path, parameters: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> Position:
    """Put the newest undamaged checkpoint of a run into the model, the optimiser and the random generators.

    Raises:
        TrainingError: there is none.
    """
    damaged = []
    for folder in reversed(checkpoints(run)):
        try:
            state = _verified_state(folder)
        except AstroLlamaError as error:
            warn(f"{error.what}; taking the checkpoint before it")
            damaged.append(folder)
            continue
        _restore(folder, parameters, optimizer)
        for other in damaged:
            _remove(other)  # else it would count among those kept
        return Position(**state["position"])
    raise TrainingError(f"{run} has no checkpoint that can be read", "delete that directory and start again")


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / FOLDER).glob("step-*"))


def _verified_state(folder: Path) -> dict[str, Any]:
    state = read_json(folder / _STATE)
    for name, expected in state["files"].items():
        if not (folder / name).is_file() or sha256_file(folder / name) != expected:
            raise TrainingError(f"the checkpoint {folder} is damaged ({name})", "an older one may be whole")
    return state


def _restore(folder: Path, parameters: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / "weights.safetensors")
    moments = load_file(folder / "optimizer.safetensors")
    generators = load_file(folder / "generators.safetensors")
    assert weights.keys() == parameters.keys(), "the identity of a run fixes its parameters"
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
            optimizer.state[parameter] = {m: moments[f"{name}:{m}"].to(parameter.device) for m in _MOMENTS}
    torch.set_rng_state(generators["cpu"])
    if "cuda" in generators and torch.cuda.is_available():
        torch.cuda.set_rng_state(generators["cuda"])


def _remove(folder: Path) -> None:
    """Remove a checkpoint; first its state, so that one half removed is seen as damaged."""
    import shutil

    (folder / _STATE).unlink(missing_ok=True)
    shutil.rmtree(folder)
