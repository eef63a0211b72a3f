"""The training loop, for every method, device and number of ranks: read `fit` from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from astrollama.console import Progress, progress, say, warn
from astrollama.errors import TrainingError
from astrollama.models.adapters import Trainable
from astrollama.models.parallel import Parallel
from astrollama.recipe import Recipe
from astrollama.sections import Budget
from astrollama.tokens.mixture import Row
from astrollama.training.checkpoint import load_checkpoint, save_checkpoint
from astrollama.training.estimate import flops_a_token, mean_context
from astrollama.training.hardware import matrix_product_rate
from astrollama.training.interrupt import catch_interruptions
from astrollama.training.metrics import last_losses, metrics_log, peak_memory_bytes
from astrollama.training.objective import make_objective
from astrollama.training.prepare import Prepared
from astrollama.training.schedule import Position, Schedule, learning_rate
from astrollama.training.spikes import WINDOW, SpikeWatch
from astrollama.training.state import State
from astrollama.training.step import clip_gradients
from astrollama.training.validation import Validation

_DOCUMENTS_NAMED = 5
_MOST_NLL = 700.0  # beyond it the exponential is no float


def fit(prepared: Prepared, trainable: Trainable, out: Path, ranks: Parallel, *, resume: bool) -> State:
    """Train until the budget is used up, or validation stops improving.

    Args:
        out: the run directory: checkpoints and metrics are written there.
        resume: go on from its last checkpoint.

    Raises:
        KeyboardInterrupt: the user stopped the run; a checkpoint was saved.
        TrainingError: loss or gradients are not finite; the state before that step was saved.
    """
    recipe, mixture = prepared.recipe, prepared.mixture
    objective = make_objective(prepared, trainable.model, ranks)
    state = State.begin(trainable.parameters(), recipe)
    if resume:
        state.go_on_at(load_checkpoint(out, state.tensors(), ranks))
        say(f"going on after step {state.position.step} ({state.position.num_tokens:,} tokens)")
    position = state.position
    schedule = Schedule(mixture, Budget.parse(recipe.train.budget), recipe.sequences_a_step)
    validation = None
    if prepared.validation is not None:
        validation = Validation.of(prepared.packer(prepared.validation), recipe)
    meter = _Meter(prepared, ranks)
    save = partial(save_checkpoint, out, tensors=state.tensors(), ranks=ranks)
    objective.module.train()

    with (
        _observers(out, prepared, position, ranks) as (write, watch),
        progress("training", 1.0, schedule.progress(position), shown=ranks.is_main) as bar,
        catch_interruptions() as interruption,
    ):
        clock = _Clock(position.seconds)
        saved_at, saved_step, is_stopped = position.seconds, position.step, False
        share = schedule.progress(position)
        while share < 1.0 and not is_stopped and not (validation and validation.has_stopped_improving(position)):
            before, began = replace(position), clock.seconds()
            rows = schedule.next_rows(position)
            lr = learning_rate(share, recipe.train)
            nll, num_predictions = objective.accumulate(mixture, rows, before.step)
            loss = nll / num_predictions
            grad_norm = clip_gradients(list(state.parameters.values()), recipe.train.max_grad_norm)
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                if before.step > saved_step:
                    save(before)
                raise _not_finite(loss, grad_norm, before.step + 1, mixture.document_ids(rows))
            state.step(lr, recipe.train.ema_decay)

            position.seconds, stop = ranks.max(clock.seconds(), float(interruption.requested))
            share, is_stopped = schedule.progress(position), bool(stop)
            write(meter.record(position, loss, lr, grad_norm, rows, clock.seconds() - began))
            watch(loss, position.step, rows)
            _show(bar, share, loss, position)
            if validation and validation.is_due(position.step, is_last=share >= 1.0):
                write(_validation_record(position.step, validation.measure(objective, state), recipe))
            if position.seconds - saved_at > 60 * recipe.train.checkpoint_minutes and share < 1.0:
                save(position)
                saved_at, saved_step = position.seconds, position.step
        if validation and validation.has_stopped_improving(position):
            say(f"stopping early: step {position.best_step} had the lowest validation loss, {position.best_nll:.4f}")
        # also at the end: a crash while the model is written then costs no step
        if position.step > saved_step:
            save(position)
        if is_stopped:
            raise KeyboardInterrupt
    return state


class _Clock:
    """Seconds of training, counted on from those before."""

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before

    def seconds(self) -> float:
        return time.monotonic() - self._start


class _Meter:
    """Turns a step into a record of `metrics.jsonl`."""

    def __init__(self, prepared: Prepared, ranks: Parallel) -> None:
        self._prepared = prepared
        self._ranks = ranks
        self.rate = ranks.size * matrix_product_rate(ranks.device, prepared.recipe.train.precision)

    def record(
        self, position: Position, loss: float, lr: float, grad_norm: float, rows: Sequence[Row], seconds: float
    ) -> dict[str, Any]:
        """The record of a step that took `seconds`; `mfu` is the share of the matrix products' measured rate (Chowdhery
        et al. 2022, arXiv:2204.02311, appendix B) and `memory_gib` the peak of this process so far.
        """
        recipe = self._prepared.recipe
        lengths = self._prepared.mixture.lengths(rows)
        context = mean_context(lengths, recipe.pack.sequence_length, "document")  # no part is longer than a sequence
        if recipe.train.objective == "contrastive" and recipe.encoder.attention == "bidirectional":
            context = 2 * context - 1  # a token sees all of its text
        flops = flops_a_token(self._prepared.base.model.config, recipe, context).model * sum(lengths)
        return {
            "step": position.step,
            "epoch": position.epoch,
            "num_tokens": position.num_tokens,
            "num_replay_tokens": position.num_replay_tokens,
            "loss": round(loss, 6),
            "lr": lr,
            "grad_norm": round(grad_norm, 6),
            "tokens_per_second": round(sum(lengths) / seconds, 2),
            "mfu": round(flops / seconds / self.rate, 4),
            "memory_gib": round(peak_memory_bytes(self._ranks.device) / 2**30, 3),
            "seconds": round(position.seconds, 3),
        }


@contextmanager
def _observers(
    out: Path, prepared: Prepared, position: Position, ranks: Parallel
) -> Iterator[tuple[Callable[[Mapping[str, Any]], None], Callable[[float, int, Sequence[Row]], None]]]:
    """What writes metrics and what watches for spikes; they do nothing on other ranks than 0."""
    if not ranks.is_main:
        yield lambda _record: None, lambda _loss, _step, _rows: None
        return
    recipe = prepared.recipe
    with metrics_log(out, position.step, recipe.train.trackers, recipe.name, recipe.model_dump(mode="json")) as write:
        watch = SpikeWatch(last_losses(out, WINDOW + 1))

        def tell(loss: float, step: int, rows: Sequence[Row]) -> None:
            deviations = watch.seen(loss)
            if deviations is not None:
                documents = _named(prepared.mixture.document_ids(rows))
                warn(
                    f"loss {loss:.3f} at step {step} is a spike, {deviations:.0f} deviations up (documents {documents})"
                )

        yield write, tell


def _not_finite(loss: float, grad_norm: float, step: int, documents: Sequence[str]) -> TrainingError:
    kept = "the state before it is kept" if step > 1 else "nothing was kept"
    return TrainingError(
        f"loss {loss:.6g} and gradient norm {grad_norm:.6g} at step {step} (documents {_named(documents)}), {kept}",
        "lower train.peak_lr in a run of its own (another --out), or look at these documents; --resume meets them again",
    )


def _named(documents: Sequence[str]) -> str:
    more = ", …" if len(documents) > _DOCUMENTS_NAMED else ""
    return ", ".join(documents[:_DOCUMENTS_NAMED]) + more


def _validation_record(step: int, nll: float, recipe: Recipe) -> dict[str, Any]:
    if recipe.train.objective == "contrastive":
        say(f"step {step}: validation loss {nll:.4f}")
        return {"step": step, "validation_nll": round(nll, 6)}
    perplexity = math.exp(nll) if nll < _MOST_NLL else math.inf
    say(f"step {step}: validation loss {nll:.4f}, perplexity {perplexity:.2f}")
    told = {"validation_nll": round(nll, 6), "validation_perplexity": round(perplexity, 4)}
    return {"step": step, **{key: value if math.isfinite(value) else None for key, value in told.items()}}


def _show(bar: Progress, share: float, loss: float, position: Position) -> None:
    speed = position.num_tokens / position.seconds
    bar.update(share, f"step {position.step}  loss {loss:.3f}  {position.num_tokens:,} tokens  {speed:,.0f} tokens/s")
