"""One training step without its update: the loss of a batch and its gradients, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astrollama.models.attention import Documents, attend_within_documents
from astrollama.models.forward import hidden_states
from astrollama.models.loss import summed_nll
from astrollama.models.norm import use_lean_norms
from astrollama.models.parallel import Parallel
from astrollama.recipe import Recipe
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.packing import Batch


class NllModule(torch.nn.Module):
    """A model's summed loss as one forward pass, head included, which is what sharding wraps.

    Args:
        model: a `LlamaForCausalLM`, changed as `recipe.train` says and divided among the ranks.
    """

    def __init__(self, model: Any, recipe: Recipe, ranks: Parallel) -> None:
        super().__init__()
        self.model = model
        self._precision = recipe.train.precision
        self._longest = recipe.pack.sequence_length
        attend_within_documents(model)
        if ranks.device == "cpu" and not recipe.train.compile:  # a compiler does it, and better
            use_lean_norms(model)
        if recipe.train.activation_checkpointing:
            model.activation_checkpointing_enable()
        if recipe.train.compile:
            for layer in model.model.layers:
                layer.compile()
        ranks.shard(self, iter(model.model.layers))

    def forward(self, tokens_N: Tensor, targets_N: Tensor, positions_N: Tensor, documents: Documents) -> Tensor:
        """The summed loss of a batch in nats."""
        hidden_ND = hidden_states(self.model, tokens_N, positions_N, documents)
        return summed_nll(hidden_ND, self.model.lm_head.weight, targets_N)

    def nll(self, batch: Batch, device: str) -> Tensor:
        """The summed loss of a batch in nats, in the precision of the recipe."""
        tokens_N, targets_N, positions_N = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.tokens_N, batch.targets_N, batch.positions_N)
        )
        offsets_S = torch.tensor(list(accumulate(batch.lengths, initial=0)), dtype=torch.int32, device=device)
        documents = Documents(batch.lengths, offsets_S, self._longest)
        kind = device.split(":")[0]
        with torch.autocast(kind, torch.bfloat16, enabled=self._precision == "bfloat16"):
            nll: Tensor = self(tokens_N, targets_N, positions_N, documents)
        return nll


def accumulate_gradients(
    module: NllModule, mixture: Mixture, rows: Sequence[Row], step: int, recipe: Recipe, ranks: Parallel
) -> tuple[float, int]:
    """Add up the gradients of the mean loss over all tokens of a step.

    The step's sequences are divided into micro-batches, and these among the ranks, so that what a step holds does not
    depend on how many ranks there are; nor does dropout, whose generator is seeded for each micro-batch.

    Returns:
        The summed loss in nats and the number of tokens, over all ranks.
    """
    num_tokens = sum(mixture.lengths(rows))
    total = torch.zeros((), dtype=torch.float64, device=ranks.device)
    for index, part, weight in micro_batches(rows, recipe, ranks):
        torch.manual_seed(seed_of(recipe.train.seed, step, index))
        nll = module.nll(mixture.batch(part), ranks.device)
        # sharding averages gradients over the ranks
        (nll * (weight * ranks.size / num_tokens)).backward()  # type: ignore[no-untyped-call]
        total += weight * nll.detach()
    return ranks.sum(total.item()), num_tokens


def micro_batches(rows: Sequence[Row], recipe: Recipe, ranks: Parallel) -> Iterator[tuple[int, Sequence[Row], float]]:
    """The micro-batches of some sequences that this rank has: number, sequences, and a weight of 1.

    All ranks pass through the model equally often, as they gather its weights together: who has nothing left gets the
    last micro-batch once more, with a weight of 0.
    """
    size = recipe.train.micro_batch_size
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    for first in range(0, len(parts), ranks.size):
        index = first + ranks.rank
        weight = 1.0 if index < len(parts) else 0.0
        index = min(index, len(parts) - 1)
        yield index, parts[index], weight


def clip_gradients(parameters: Sequence[Tensor], max_norm: float) -> float:
    """Scale the gradients down to a global norm of `max_norm`; returns the norm before."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


def seed_of(*parts: int) -> int:
    """One seed from several numbers, such as a run's own, a step and a part of it."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
