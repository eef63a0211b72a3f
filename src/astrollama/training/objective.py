"""What a run minimises: how a step's gradients are added up, and how its loss is measured without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from astrollama.models.parallel import Parallel
from astrollama.recipe import Recipe
from astrollama.tokens.mixture import Mixture, Row
from astrollama.training.contrastive import Contrastive
from astrollama.training.prepare import Prepared
from astrollama.training.step import NllModule, accumulate_gradients, micro_batches


class Objective(Protocol):
    """What the loop asks of an objective.

    Attributes:
        module: what is trained, whose forward pass sharding wraps.
    """

    @property
    def module(self) -> torch.nn.Module:
        """As above; the loop switches it between training and evaluation."""
        ...

    def accumulate(self, mixture: Mixture, rows: Sequence[Row], step: int) -> tuple[float, int]:
        """Add up the gradients of a step's mean loss.

        Returns:
            The summed loss in nats, and how many predictions the sum is over, on all ranks.
        """
        ...

    def mean_loss(self, mixture: Mixture, rows: Sequence[Row]) -> float:
        """The mean loss in nats, without gradients."""
        ...


@dataclass(frozen=True)
class NextToken:
    """Language modelling: the negative log-likelihood of each token after those before it."""

    module: NllModule
    recipe: Recipe
    ranks: Parallel

    def accumulate(self, mixture: Mixture, rows: Sequence[Row], step: int) -> tuple[float, int]:
        """As the contract says; the sum is over tokens."""
        return accumulate_gradients(self.module, mixture, rows, step, self.recipe, self.ranks)

    @torch.no_grad()
    def mean_loss(self, mixture: Mixture, rows: Sequence[Row]) -> float:
        """As the contract says."""
        self.module.eval()
        total = 0.0
        for _, part, weight in micro_batches(rows, self.recipe, self.ranks):
            total += weight * self.module.nll(mixture.batch(part), self.ranks.device).item()
        self.module.train()
        self.ranks.forget_gathered(self.module)
        return self.ranks.sum(total) / sum(mixture.lengths(rows))


def make_objective(prepared: Prepared, model: Any, ranks: Parallel) -> Objective:
    """The objective that the recipe names, with the model made ready for it."""
    if prepared.pairs is not None:
        return Contrastive.of(model, prepared.pairs, prepared.recipe, ranks)
    return NextToken(NllModule(model, prepared.recipe, ranks), prepared.recipe, ranks)
