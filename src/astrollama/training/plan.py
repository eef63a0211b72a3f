"""What a run would do and cost, before it is started."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.console import duration
from astrollama.errors import UserInputError
from astrollama.models.architectures import count_parameters, find_config
from astrollama.models.load import resolve_device
from astrollama.models.registry import TRAIN_STAGE
from astrollama.recipe import Recipe
from astrollama.runs import stage_state
from astrollama.sections import Budget, budget_in_words
from astrollama.tokens.packing import Packer
from astrollama.training import checkpoint, estimate
from astrollama.training.extend import extends
from astrollama.training.hardware import THIS_MACHINE, Hardware, find_hardware
from astrollama.training.prepare import open_tokens, prepare, require_context

# The paper's median, recalled, and what best fit reaches with abstracts: what is assumed where no tokens are given.
TOKENS_A_DOCUMENT = 291
_FILL = {"document": 0.98, "packed": 1.0}
_STATES = {
    "new": "a new run",
    "unfinished": "an unfinished run, which --resume goes on with",
    "complete": "this run, complete",
    "shorter": "this run with a shorter budget, which --resume goes on with",
}
GIB = 2**30


@dataclass(frozen=True)
class Data:
    """What there is to train on.

    Attributes:
        num_documents, num_tokens: of an epoch of the corpus; tokens that are predicted. 0 where no epoch is known.
        fill: the share of a sequence that is predicted tokens.
        context: mean number of tokens that a predicted token sees.
        num_replay_tokens: of general text that is there; 0 where none was given.
        assumed: whether lengths were assumed, not read.
    """

    num_documents: int
    num_tokens: int
    fill: float
    context: float
    num_replay_tokens: int
    assumed: bool


@dataclass(frozen=True)
class Machines:
    """Where a run is to be.

    Attributes:
        utilisation: expected share of the rate of plain matrix products; None: `estimate.expected_utilisation`.
        price_per_hour: of one device, in any currency; None: unknown.
    """

    hardware: str = THIS_MACHINE
    num_devices: int = 1
    utilisation: float | None = None
    price_per_hour: float | None = None


THIS = Machines()


def read_data(recipe: Recipe, tokens: Path, replay: Path | None = None) -> Data:
    """The documents of a directory of the pack stage, and how well they fill sequences.

    Args:
        replay: another such directory, of general text.

    Raises:
        RunError: a directory is none, is damaged, or is empty.
    """
    shards = open_tokens(tokens)
    pack = recipe.pack
    lengths = [int(length) - 1 for length in shards.lengths_N]
    num_tokens = sum(lengths) if pack.attention == "document" else int(shards.lengths_N.sum()) - 1
    sequences = Packer(shards, pack.sequence_length, pack.attention, recipe.train.seed).sequences(0)
    return Data(
        num_documents=len(shards),
        num_tokens=num_tokens,
        fill=num_tokens / (len(sequences) * pack.sequence_length),
        context=estimate.mean_context(lengths, pack.sequence_length, pack.attention),
        num_replay_tokens=0 if replay is None else int(open_tokens(replay).lengths_N.sum()),
        assumed=False,
    )


def assume_data(recipe: Recipe, num_tokens: int = 0, tokens_a_document: int = TOKENS_A_DOCUMENT) -> Data:
    """Documents of one length, `num_tokens` in all; 0: no epoch is known."""
    pack = recipe.pack
    context = estimate.mean_context([tokens_a_document], pack.sequence_length, pack.attention)
    return Data(num_tokens // tokens_a_document, num_tokens, _FILL[pack.attention], context, 0, assumed=True)


def make_plan(
    recipe: Recipe, tokens: Path, out: Path, replay: Path | None = None, *, resume: bool = False
) -> dict[str, Any]:
    """Check a recipe against its tokens and its base as a run would, and estimate the run on this machine.

    Returns:
        As `plan_run`, with `out` and its `state`.

    Raises:
        AstroLlamaError: as `prepare` and `plan_run`.
        RunError: `out` holds something else.
    """
    _require_language(recipe)
    prepared = prepare(recipe, tokens, replay)
    identity = prepared.identity()
    is_longer = resume and extends(out, identity)
    state = "shorter" if is_longer else stage_state(out, TRAIN_STAGE, identity, checkpoint.FOLDER)
    plan = plan_run(prepared.recipe, read_data(prepared.recipe, tokens, replay))
    return {"out": str(out), "state": state, **plan}


def _require_language(recipe: Recipe) -> None:
    if recipe.train.objective == "contrastive":
        raise UserInputError("there is no plan of an encoder's training", "give train.budget in minutes to bound it")


def plan_run(recipe: Recipe, data: Data, machines: Machines = THIS) -> dict[str, Any]:
    """Count and estimate a run; no weights are read, and nothing is fetched.

    Returns:
        Sizes in tokens, sequences and steps, `flops` of the whole run, bytes by part on each device, bytes on disk,
        seconds and cost. `num_tokens` counts general text, too; `replay_passes` tells how often all of it is read, None
        where it is not known. `seconds` leave out loading and saving.

    Raises:
        ModelError: the base's shape is not known here.
        RecipeError: a target of the adapter is none.
        UserInputError: there is no such hardware, or a budget in epochs of unknown length; or it trains an encoder.
    """
    _require_language(recipe)
    config = find_config(recipe.model.base)
    require_context(recipe, config)
    device = "cuda"
    if machines.hardware == THIS_MACHINE:
        try:
            device = resolve_device(recipe.train.device)
        except UserInputError as error:
            raise UserInputError(error.what, "name the --hardware to plan for, for example h200") from None
    hardware = find_hardware(machines.hardware, device, recipe.train.precision)
    utilisation = machines.utilisation or estimate.expected_utilisation(hardware.kind, recipe.train.method)

    tokens_a_step = recipe.train.global_batch_tokens * data.fill
    flops = estimate.flops_a_token(config, recipe, data.context)
    flops_a_step = tokens_a_step * (flops.model + flops.recomputed)
    seconds_a_step = estimate.seconds_a_step(config, recipe, hardware, machines.num_devices, flops_a_step, utilisation)
    num_steps = _num_steps(recipe, data, tokens_a_step, seconds_a_step)
    num_tokens, seconds = round(num_steps * tokens_a_step), num_steps * seconds_a_step
    num_replayed = recipe.replay.share * num_tokens
    memory = estimate.memory_by_part(config, recipe, hardware.kind, machines.num_devices)
    return {
        "recipe": recipe.name,
        "base": recipe.model.base,
        "method": recipe.train.method,
        "parameters": count_parameters(config),
        "parameters_trained": estimate.trained_parameters(config, recipe),
        "lengths_assumed": data.assumed,
        "num_documents": data.num_documents,
        "num_tokens_an_epoch": data.num_tokens,
        "num_sequences_an_epoch": round(data.num_tokens / (data.fill * recipe.pack.sequence_length)),
        "fill": data.fill,
        "mean_context": data.context,
        "global_batch_tokens": recipe.train.global_batch_tokens,
        "num_sequences_a_step": recipe.sequences_a_step,
        "num_micro_batches_a_step": recipe.micro_batches_a_step,
        "budget": recipe.train.budget,
        "num_steps": num_steps,
        "num_tokens": num_tokens,
        "num_tokens_replayed": round(num_replayed),
        "replay_passes": num_replayed / data.num_replay_tokens if data.num_replay_tokens else None,
        "flops_a_token": flops.model,
        "flops_a_token_recomputed": flops.recomputed,
        "flops": num_steps * flops_a_step,
        "hardware": _described(hardware, recipe, machines.num_devices, utilisation),
        "memory_bytes": memory,
        "memory_bytes_total": sum(memory.values()),
        "fits": sum(memory.values()) <= hardware.memory.value,
        "disk_bytes": estimate.disk_bytes(config, recipe),
        "tokens_per_second": tokens_a_step / seconds_a_step,
        "seconds": seconds,
        "cost": None
        if machines.price_per_hour is None
        else machines.price_per_hour * machines.num_devices * seconds / 3600,
    }


def describe_plan(plan: dict[str, Any]) -> str:
    """The plan in lines for a person."""
    rows = [
        ("base", f"{plan['base']}, {plan['parameters']:,} parameters"),
        ("method", f"{plan['method']}, {plan['parameters_trained']:,} parameters trained"),
        ("tokens", _told_epoch(plan)),
        ("batch", _told_batch(plan)),
        ("budget", _told_budget(plan)),
        ("work", _told_work(plan)),
        *_told_hardware(plan),
        ("disk", f"{plan['disk_bytes'] / 1e9:.2f} GB for checkpoints and model"),
        ("time", f"about {duration(plan['seconds'])}, {plan['tokens_per_second']:,.0f} tokens/s"),
    ]
    if plan["cost"] is not None:
        rows.append(("cost", f"about {plan['cost']:,.2f}"))
    if "out" in plan:
        rows.append(("output", f"{plan['out']}: {_STATES[plan['state']]}"))
    return "\n".join([*(f"{name:<11} {text}" for name, text in rows), "nothing was written"])


def _num_steps(recipe: Recipe, data: Data, tokens_a_step: float, seconds_a_step: float) -> int:
    """Steps of the budget: epochs are of the corpus, tokens are of all, replay included."""
    budget = Budget.parse(recipe.train.budget)
    if budget.unit == "minutes":
        return max(1, int(60 * budget.amount / seconds_a_step))
    if budget.unit == "tokens":
        return math.ceil(budget.amount / tokens_a_step)
    if not data.num_tokens:
        raise UserInputError(
            f"how long {recipe.train.budget!r} are is not known without tokens",
            "give --tokens DIR, or --num-tokens N for an epoch of N tokens",
        )
    return math.ceil(budget.amount * data.num_tokens / (1 - recipe.replay.share) / tokens_a_step)


def _described(hardware: Hardware, recipe: Recipe, num_devices: int, utilisation: float) -> dict[str, Any]:
    rate = hardware.rates[recipe.train.precision]
    return {
        "name": hardware.name,
        "kind": hardware.kind,
        "num_devices": num_devices,
        "precision": recipe.train.precision,
        "flops": rate.value,
        "flops_source": rate.source,
        "memory_bytes": hardware.memory.value,
        "memory_source": hardware.memory.source,
        "bandwidth": hardware.bandwidth.value,
        "bandwidth_source": hardware.bandwidth.source,
        "utilisation": utilisation,
    }


def _told_epoch(plan: dict[str, Any]) -> str:
    if not plan["num_tokens_an_epoch"]:
        return f"an epoch's are not known; sequences are assumed to be {plan['fill']:.0%} full"
    source = "assumed lengths" if plan["lengths_assumed"] else "as packed"
    return (
        f"{plan['num_tokens_an_epoch']:,} an epoch, of {plan['num_documents']:,} documents ({source}): "
        f"{plan['num_sequences_an_epoch']:,} sequences, {plan['fill']:.1%} full"
    )


def _told_batch(plan: dict[str, Any]) -> str:
    sequences, parts = plan["num_sequences_a_step"], plan["num_micro_batches_a_step"]
    return f"{plan['global_batch_tokens']:,} tokens a step: {sequences:,} sequence(s) in {parts:,} micro-batch(es)"


def _told_budget(plan: dict[str, Any]) -> str:
    told = f"{budget_in_words(plan['budget'])}: about {plan['num_steps']:,} steps, {plan['num_tokens']:,} tokens"
    if plan["num_tokens_replayed"]:
        told += f", {plan['num_tokens_replayed']:,} of them general text"
        if plan["replay_passes"] is not None:
            told += f", {plan['replay_passes']:.2g} times all that was given"
    return told


def _told_work(plan: dict[str, Any]) -> str:
    model, recomputed = plan["flops_a_token"], plan["flops_a_token_recomputed"]
    again = f", {recomputed / 1e9:.2f} of it recomputed" if recomputed else ""
    return f"{plan['flops']:.3g} FLOP, {(model + recomputed) / 1e9:.2f} GFLOP a token{again}"


def _told_hardware(plan: dict[str, Any]) -> list[tuple[str, str]]:
    hardware = plan["hardware"]
    rate = f"{hardware['flops'] / 1e12:.3g} TFLOP/s in {hardware['precision']} ({hardware['flops_source']})"
    room = f"{hardware['memory_bytes'] / GIB:.1f} GiB ({hardware['memory_source']})"
    rows = [
        ("hardware", f"{hardware['num_devices']} x {hardware['name']}: {rate}, {hardware['utilisation']:.0%} expected"),
        ("memory", f"{plan['memory_bytes_total'] / GIB:.2f} GiB a device, of {room}"),
        ("", ", ".join(f"{name} {size / GIB:.2f}" for name, size in plan["memory_bytes"].items())),
    ]
    if not plan["fits"]:
        smaller = (
            "train.activation_checkpointing = true, train.micro_batch_size = 1, another train.method, more devices"
        )
        rows.append(("", f"DOES NOT FIT: try {smaller}"))
    return rows
