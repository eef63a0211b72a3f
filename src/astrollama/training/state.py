"""What changes while a run goes on, which is what a checkpoint holds: weights, moments, averages and the position."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from astrollama.models.parallel import local
from astrollama.recipe import Recipe
from astrollama.training.schedule import Position

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class State:
    """The state of a run; with several ranks, this one's slices.

    Attributes:
        average: the running average of the weights, by name; empty without `train.ema_decay`.
        best: the weights with the lowest validation loss so far, by name; empty where `recipe.keeps_best` is not so.
    """

    position: Position
    parameters: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor]
    best: dict[str, Tensor]

    @classmethod
    def begin(cls, parameters: dict[str, Tensor], recipe: Recipe) -> State:
        """The state before the first step."""
        return cls(
            Position(),
            parameters,
            _make_optimizer(parameters, recipe),
            average=_copy(parameters) if recipe.train.ema_decay else {},
            best=_copy(parameters) if recipe.keeps_best else {},
        )

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the state by name."""
        groups = {"weights": self.parameters, "average": self.average, "best": self.best}
        for moment in _MOMENTS:
            groups[moment] = {name: self.optimizer.state[p][moment] for name, p in self.parameters.items()}
        return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}

    def go_on_at(self, position: Position) -> None:
        """Take the position that belongs to tensors that were read."""
        self.position = position
        for parameter in self.parameters.values():
            self.optimizer.state[parameter]["step"].fill_(position.step)

    def step(self, lr: float, ema_decay: float) -> None:
        """Take an optimiser step with the gradients that are there, and count it."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.position.step += 1
        if self.average:
            # young averages forget faster, or the first weights would weigh on a short run to its end
            decay = min(ema_decay, (1 + self.position.step) / (10 + self.position.step))
            torch._foreach_lerp_(_locals(self.average), _locals(self.parameters), 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the model has the averaged weights, where there is an average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def keep_as_best(self) -> None:
        """Remember the weights that the model has now, if the best are wanted."""
        if self.best:
            torch._foreach_copy_(_locals(self.best), _locals(self.parameters))

    def result(self) -> dict[str, Tensor]:
        """The weights that the run is for: the best, or the average, or the last."""
        if self.best and self.position.best_step:
            return self.best
        return self.average or self.parameters

    @torch.no_grad()
    def _swap(self) -> None:
        for name, average in self.average.items():
            held, own = local(average), local(self.parameters[name])
            before = own.clone()
            own.copy_(held)
            held.copy_(before)


def _make_optimizer(parameters: dict[str, Tensor], recipe: Recipe) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); weight decay on matrices, none on norms and biases."""
    settings = recipe.train
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    vectors = [p for p in parameters.values() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.peak_lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True,
    )
    for parameter in parameters.values():  # here already, so that there is something to read a checkpoint into
        optimizer.state[parameter] = {moment: torch.zeros_like(parameter) for moment in _MOMENTS}
        optimizer.state[parameter]["step"] = torch.zeros((), device=parameter.device)
    return optimizer


@torch.no_grad()
def _copy(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def _locals(tensors: dict[str, Tensor]) -> list[Tensor]:
    return [local(tensor.detach()) for tensor in tensors.values()]
