"""What a run would do, before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astrollama.models.adapters import make_trainable
from astrollama.models.registry import TRAIN_STAGE
from astrollama.recipe import Recipe
from astrollama.runs import stage_state
from astrollama.sections import Budget
from astrollama.tokens.packing import Packer
from astrollama.training import checkpoint
from astrollama.training.loop import run_identity
from astrollama.training.prepare import prepare

FLOAT32_BYTES = 4
_STATES = {
    "new": "a new run",
    "unfinished": "an unfinished run, which --resume goes on with",
    "complete": "this run, complete",
}


def make_plan(recipe: Recipe, tokens: Path, out: Path) -> dict[str, Any]:
    """Check a recipe against its tokens and its base, and count what it would train on.

    Returns:
        Sizes in tokens, sequences and steps; `num_steps` is None for a budget in minutes, which no count decides.
        `state_bytes` are weights, gradients and AdamW's two moments; activations come on top.

    Raises:
        AstroLlamaError: as `prepare`.
        RunError: `out` holds something else.
    """
    prepared = prepare(recipe, tokens)
    recipe, shards, base = prepared.recipe, prepared.shards, prepared.base
    state = stage_state(out, TRAIN_STAGE, run_identity(prepared), checkpoint.FOLDER)
    trainable = make_trainable(base, recipe.train.method, recipe.lora)
    parameters = sum(p.numel() for p in trainable.model.parameters())
    trained = sum(p.numel() for p in trainable.parameters().values())
    sequences = Packer(shards, recipe.pack.sequence_length, recipe.pack.attention, recipe.train.seed).sequences(0)
    targets = int(shards.lengths_N.sum()) - (len(shards) if recipe.pack.attention == "document" else 1)
    budget = Budget.parse(recipe.train.budget)
    return {
        "out": str(out),
        "state": state,
        "base": base.name,
        "method": recipe.train.method,
        "device": recipe.train.device,
        "parameters": parameters,
        "parameters_trained": trained,
        "num_documents": len(shards),
        "num_tokens_an_epoch": targets,
        "num_sequences_an_epoch": len(sequences),
        "fill": targets / (len(sequences) * recipe.pack.sequence_length),
        "global_batch_tokens": recipe.train.global_batch_tokens,
        "gradient_accumulation_steps": recipe.train.global_batch_tokens
        // (recipe.pack.sequence_length * recipe.train.micro_batch_size),
        "budget": recipe.train.budget,
        "num_steps": _num_steps(budget, recipe, len(sequences), targets),
        "state_bytes": FLOAT32_BYTES * (parameters + 3 * trained),
    }


def describe_plan(plan: dict[str, Any]) -> str:
    """The plan in lines for a person."""
    steps = "as many steps as fit" if plan["num_steps"] is None else f"about {plan['num_steps']:,} steps"
    return "\n".join(
        [
            f"base        {plan['base']}, {plan['parameters']:,} parameters",
            f"method      {plan['method']}, {plan['parameters_trained']:,} parameters trained, on {plan['device']}",
            f"tokens      {plan['num_tokens_an_epoch']:,} an epoch, of {plan['num_documents']:,} documents",
            f"sequences   {plan['num_sequences_an_epoch']:,} an epoch, {plan['fill']:.1%} full",
            f"batch       {plan['global_batch_tokens']:,} tokens a step, in {plan['gradient_accumulation_steps']} part(s)",
            f"budget      {plan['budget']}: {steps}",
            f"memory      {plan['state_bytes'] / 1e9:.2f} GB for weights, gradients and optimiser; activations come on top",
            f"output      {plan['out']}: {_STATES[plan['state']]}",
            "nothing was written",
        ]
    )


def _num_steps(budget: Budget, recipe: Recipe, num_sequences: int, num_targets: int) -> int | None:
    sequences_a_step = recipe.train.global_batch_tokens / recipe.pack.sequence_length
    if budget.unit == "minutes":
        return None
    if budget.unit == "epochs":
        return max(1, round(budget.amount * num_sequences / sequences_a_step))
    tokens_a_step = sequences_a_step * num_targets / num_sequences
    return max(1, round(budget.amount / tokens_a_step))
