"""The training loop, for every method and device: read `train` from top to bottom."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from astrollama.console import Progress, progress, say, warn
from astrollama.errors import InterruptedRunError, RunError, TrainingError
from astrollama.models.adapters import Trainable, make_trainable
from astrollama.models.forward import hidden_states
from astrollama.models.loss import summed_nll
from astrollama.models.registry import TRAIN_STAGE
from astrollama.models.registry import WEIGHTS as MODEL
from astrollama.recipe import Recipe
from astrollama.runs import StageDirectory, copy_file, read_manifest, stage_directory, write_text
from astrollama.sections import Budget
from astrollama.tokens.packing import NO_TARGET, Packer, Piece
from astrollama.tokens.shards import INDEX, TokenShards
from astrollama.training import checkpoint
from astrollama.training.interrupt import catch_interruptions
from astrollama.training.prepare import Prepared, prepare, require_space
from astrollama.training.schedule import Position, Schedule, learning_rate

if TYPE_CHECKING:
    from torch import Tensor

METRICS = "metrics.jsonl"
RECIPE = "recipe.toml"
DOCUMENTS = INDEX  # which documents were trained on, so that they are never taken for held-out ones


def train(
    recipe: Recipe,
    tokens: Path,
    out: Path,
    *,
    resume: bool,
    how_to_resume: str = "give the same command with --resume to go on",
) -> dict[str, Any]:
    """Train `recipe.model.base` on packed documents and write the run directory `out`.

    Args:
        resume: go on from the last checkpoint where `out` holds an unfinished run; without it such a run is refused.
        how_to_resume: what an interrupted user is told to do.

    Returns:
        The run's manifest. Where `out` holds this very run already, nothing is done.

    Raises:
        AstroLlamaError: as `prepare`; or the disk has too little room.
        RunError: `out` holds something else.
        TrainingError: the loss is not finite.
        InterruptedRunError: the user stopped the run, which has a checkpoint.
    """
    prepared = prepare(recipe, tokens)
    stage = stage_directory(
        out,
        TRAIN_STAGE,
        run_identity(prepared),
        disposable=[METRICS, RECIPE, DOCUMENTS, MODEL],
        keeps=checkpoint.FOLDER,
    )
    try:
        with stage as directory:
            if directory.state == "complete":
                say(f"{out}: the run is already complete")
                shutil.rmtree(out / checkpoint.FOLDER, ignore_errors=True)
                return read_manifest(out, TRAIN_STAGE)
            if directory.state == "unfinished" and not resume:
                raise RunError(
                    f"{out} holds an unfinished run", "add --resume to go on with it, or choose another --out"
                )
            return _train(prepared, tokens, directory)
    except KeyboardInterrupt:
        if not checkpoint.checkpoints(out):
            raise
        raise InterruptedRunError(f"stopped; {out} has a checkpoint", how_to_resume) from None


def _train(prepared: Prepared, tokens: Path, stage: StageDirectory) -> dict[str, Any]:
    """Train, save the model, and complete the directory."""
    recipe, base, out = prepared.recipe, prepared.base, stage.path
    if stage.state == "new":
        require_space(out, recipe, base.model)
    write_text(out / RECIPE, recipe.to_toml())
    torch.manual_seed(recipe.train.seed)
    trainable = make_trainable(base, recipe.train.method, recipe.lora)
    position = _run(recipe, trainable, prepared.shards, stage)
    trainable.save(out / MODEL)
    copy_file(tokens / DOCUMENTS, out / DOCUMENTS)
    manifest = stage.finish(
        [RECIPE, METRICS, DOCUMENTS, *(str(p.relative_to(out)) for p in sorted((out / MODEL).iterdir()))],
        _counts(position, trainable),
        recipe=recipe.model_dump(mode="json"),
        base={"name": base.name, "digest": base.digest},
        tokenizer_digest=base.tokenizer.digest,
        train_seconds=round(position.seconds, 1),
        tokens_per_second=round(position.num_tokens / position.seconds, 1),
    )
    shutil.rmtree(out / checkpoint.FOLDER)
    return manifest


def run_identity(prepared: Prepared) -> dict[str, Any]:
    """What makes two runs the same: base, tokens, and every setting that changes the result."""
    recipe, shards, base = prepared.recipe, prepared.shards, prepared.base
    sections = {"pack", "train"} | ({"lora"} if recipe.train.method == "lora" else set())
    return {
        "base": {"name": base.name, "digest": base.digest},
        "tokens": {name: record["sha256"] for name, record in shards.manifest["files"].items()},
        **recipe.model_dump(mode="json", include=sections, exclude={"train": {"checkpoint_minutes", "device"}}),
    }


def _run(recipe: Recipe, trainable: Trainable, shards: TokenShards, stage: StageDirectory) -> Position:
    """Train until the budget is used up; on an interruption, save and raise."""
    settings = recipe.train
    parameters = trainable.parameters()
    optimizer = _make_optimizer(parameters, recipe)
    packer = Packer(shards, recipe.pack.sequence_length, recipe.pack.attention, settings.seed)
    schedule = Schedule(
        packer, Budget.parse(settings.budget), settings.global_batch_tokens // recipe.pack.sequence_length
    )
    position = Position()
    if stage.state == "unfinished":
        position = checkpoint.load_checkpoint(stage.path, parameters, optimizer)
        say(f"going on after step {position.step} ({position.num_tokens:,} tokens)")
    trainable.model.train()

    with (
        _metrics_file(stage.path / METRICS, position.step) as write_metrics,
        progress("training", 1.0, schedule.progress(position)) as bar,
        catch_interruptions() as interruption,
    ):
        clock = _Clock(position)
        last_save = time.monotonic()
        while (share := schedule.progress(position)) < 1.0:
            lr = learning_rate(share, settings)
            for group in optimizer.param_groups:
                group["lr"] = lr
            rows = schedule.next_rows(position)
            nll, num_tokens = _accumulate_gradients(recipe, trainable, packer, rows)
            loss = nll / num_tokens
            grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters.values(), settings.max_grad_norm))
            _require_finite(loss, grad_norm, position.step + 1, rows, shards)
            optimizer.step()
            optimizer.zero_grad()

            position.step += 1
            position.num_tokens += num_tokens
            clock.tick()
            write_metrics(_metrics(position, loss, lr, grad_norm, num_tokens, clock.last_tick))
            _show(bar, schedule.progress(position), loss, position)
            if interruption.requested:
                break
            if time.monotonic() - last_save > 60 * settings.checkpoint_minutes and schedule.progress(position) < 1.0:
                checkpoint.save_checkpoint(stage.path, position, parameters, optimizer)
                last_save = time.monotonic()
                clock.tick()
        # also at the end: a crash while the model is written then costs no step
        checkpoint.save_checkpoint(stage.path, position, parameters, optimizer)
        if interruption.requested:
            raise KeyboardInterrupt
    return position


def _accumulate_gradients(
    recipe: Recipe, trainable: Trainable, packer: Packer, rows: list[list[Piece]]
) -> tuple[float, int]:
    """Add up the gradients of the mean loss over all tokens of a step; returns the summed loss and the tokens."""
    device = recipe.train.device
    size = recipe.train.micro_batch_size
    batches = [packer.batch(rows[start : start + size]) for start in range(0, len(rows), size)]
    num_tokens = sum(batch.num_targets for batch in batches)
    total = 0.0
    for batch in batches:
        tokens_BT, targets_BT, positions_BT, segments_BT = (
            None if array is None else torch.from_numpy(array).to(device)
            for array in (batch.tokens_BT, batch.targets_BT, batch.positions_BT, batch.segments_BT)
        )
        assert tokens_BT is not None
        assert targets_BT is not None
        assert positions_BT is not None
        with torch.autocast(device, torch.bfloat16, enabled=recipe.train.precision == "bfloat16"):
            hidden_BTD = hidden_states(trainable.model, tokens_BT, positions_BT, segments_BT)
            valid_BT = targets_BT != NO_TARGET
            nll = summed_nll(hidden_BTD[valid_BT], trainable.model.lm_head.weight, targets_BT[valid_BT])
        (nll / num_tokens).backward()  # type: ignore[no-untyped-call]
        total += nll.item()
    return total, num_tokens


def _make_optimizer(parameters: dict[str, Tensor], recipe: Recipe) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); weight decay on matrices, none on norms and biases."""
    settings = recipe.train
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    vectors = [p for p in parameters.values() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.peak_lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True,
    )


class _Clock:
    """Adds the time that passes to the position, so that a resumed run counts on."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._last = time.monotonic()
        self.last_tick = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        self.last_tick = now - self._last
        self._position.seconds += self.last_tick
        self._last = now


def _require_finite(loss: float, grad_norm: float, step: int, rows: list[list[Piece]], shards: TokenShards) -> None:
    if math.isfinite(loss) and math.isfinite(grad_norm):
        return
    documents = ", ".join(sorted({shards.ids[piece.document] for row in rows for piece in row})[:5])
    raise TrainingError(
        f"loss {loss} and gradient norm {grad_norm} at step {step} (documents {documents}, …)",
        "nothing of this step was kept: look at these documents, or lower train.peak_lr in a run of its own (another --out)",
    )


def _metrics(
    position: Position, loss: float, lr: float, grad_norm: float, num_tokens: int, seconds: float
) -> dict[str, Any]:
    return {
        "step": position.step,
        "epoch": position.epoch,
        "num_tokens": position.num_tokens,
        "loss": round(loss, 6),
        "lr": lr,
        "grad_norm": round(grad_norm, 6),
        "tokens_per_second": round(num_tokens / seconds, 2),
        "seconds": round(position.seconds, 3),
    }


def _show(bar: Progress, share: float, loss: float, position: Position) -> None:
    speed = position.num_tokens / position.seconds
    bar.update(share, f"step {position.step}  loss {loss:.3f}  {position.num_tokens:,} tokens  {speed:,.0f} tokens/s")


@contextmanager
def _metrics_file(path: Path, last_step: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Append lines to `metrics.jsonl`, from which those after `last_step`, whose work is lost, are taken out first."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= last_step]
    if len(kept) != last_step:
        warn(
            f"{path} has {len(kept)} lines of the {last_step} steps before the checkpoint: the rest is lost, the weights are not"
        )
    write_text(path, "".join(f"{line}\n" for line in kept))
    with path.open("a", encoding="utf-8") as file:

        def write(metrics: dict[str, Any]) -> None:
            file.write(json.dumps(metrics) + "\n")
            file.flush()
            os.fsync(file.fileno())  # a checkpoint must not outlive the lines before it

        yield write


def _counts(position: Position, trainable: Trainable) -> dict[str, Any]:
    return {
        "steps": position.step,
        "tokens": position.num_tokens,
        "sequences": position.num_sequences,
        "epochs_begun": position.epoch + (position.next_sequence > 0),
        "parameters_trained": sum(p.numel() for p in trainable.parameters().values()),
        "parameters": sum(p.numel() for p in trainable.model.parameters()),
    }
