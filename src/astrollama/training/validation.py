"""The loss on validation documents during training, and when to stop for it."""

from __future__ import annotations

from dataclasses import dataclass

from astrollama.recipe import Recipe
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.packing import Packer
from astrollama.tokens.pairs import PairPacker
from astrollama.training.objective import Objective
from astrollama.training.schedule import Position
from astrollama.training.state import State


@dataclass(frozen=True)
class Validation:
    """Measures a model on the same sequences each time."""

    mixture: Mixture
    rows: list[Row]
    recipe: Recipe

    @classmethod
    def of(cls, packer: Packer | PairPacker, recipe: Recipe) -> Validation:
        """The first `validation.num_documents` documents, or pairs, in an order that the run's seed decides."""
        import numpy as np

        order = np.random.default_rng(recipe.train.seed).permutation(len(packer.shards)).tolist()
        rows = packer.sequences_of(order[: recipe.validation.num_documents])
        return cls(Mixture(packer), [Row(False, row) for row in rows], recipe)

    def is_due(self, step: int, *, is_last: bool) -> bool:
        """Whether the model is measured after this step."""
        return is_last or step % self.recipe.validation.every_steps == 0

    def measure(self, objective: Objective, state: State) -> float:
        """The mean loss in nats, of the averaged weights where there is an average; the best weights are kept."""
        with state.averaged():
            nll = objective.mean_loss(self.mixture, self.rows)
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
