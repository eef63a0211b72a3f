"""The loss on validation documents during training, and when to stop for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from astrollama.models.parallel import Parallel
from astrollama.recipe import Recipe
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.packing import Packer
from astrollama.tokens.shards import TokenShards
from astrollama.training.schedule import Position
from astrollama.training.state import State
from astrollama.training.step import NllModule, micro_batches


@dataclass(frozen=True)
class Validation:
    """Measures a model on the same sequences each time."""

    mixture: Mixture
    rows: list[Row]
    recipe: Recipe
    ranks: Parallel

    @classmethod
    def of(cls, shards: TokenShards, recipe: Recipe, ranks: Parallel) -> Validation:
        """The first `validation.num_documents` documents in an order that the run's seed decides."""
        import numpy as np

        packer = Packer(shards, recipe.pack.sequence_length, recipe.pack.attention, recipe.train.seed)
        order = np.random.default_rng(recipe.train.seed).permutation(len(shards)).tolist()
        rows = packer.sequences_of(order[: recipe.validation.num_documents])
        return cls(Mixture(packer), [Row(False, row) for row in rows], recipe, ranks)

    def is_due(self, step: int, *, is_last: bool) -> bool:
        """Whether the model is measured after this step."""
        return is_last or step % self.recipe.validation.every_steps == 0

    def measure(self, module: NllModule, state: State) -> float:
        """The loss in nats a token, of the averaged weights where there is an average; the best weights are kept."""
        with state.averaged():
            nll = self._nll(module)
            position = state.position
            if not position.best_step or nll < position.best_nll:
                position.best_nll, position.best_step, position.num_validations_since_best = nll, position.step, 0
                state.keep_as_best()
            else:
                position.num_validations_since_best += 1
        return nll

    def has_stopped_improving(self, position: Position) -> bool:
        """Whether `validation.patience` measurements in a row were no better than the best."""
        patience = self.recipe.validation.patience
        return 0 < patience <= position.num_validations_since_best

    @torch.no_grad()
    def _nll(self, module: NllModule) -> float:
        module.eval()
        total = 0.0
        for _, part, weight in micro_batches(self.rows, self.recipe, self.ranks):
            total += weight * module.nll(self.mixture.batch(part), self.ranks.device).item()
        module.train()
        self.ranks.forget_gathered(module)
        return self.ranks.sum(total) / sum(self.mixture.lengths(self.rows))
