"""How far a run is in its budget, and the learning rate that belongs there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from astrollama.sections import Budget, TrainSection
from astrollama.tokens.packing import Packer, Piece


@dataclass
class Position:
    """Where a run is; saved with every checkpoint.

    Attributes:
        num_tokens: tokens predicted so far.
        epoch: the epoch that the next sequence belongs to.
        next_sequence: its place in that epoch.
        num_sequences: sequences trained on so far.
        seconds: of training so far, checkpoints included, loading left out.
    """

    step: int = 0
    num_tokens: int = 0
    epoch: int = 0
    next_sequence: int = 0
    num_sequences: int = 0
    seconds: float = 0.0


class Schedule:
    """Which sequences come next, until the budget is used up.

    Args:
        sequences_a_step: of which the last step of a budget in epochs may have fewer.
    """

    def __init__(self, packer: Packer, budget: Budget, sequences_a_step: int) -> None:
        self._packer = packer
        self._budget = budget
        self._sequences_a_step = sequences_a_step
        self._epoch: tuple[int, list[list[Piece]]] | None = None

    def progress(self, position: Position) -> float:
        """The share of the budget that is used, from 0 to 1."""
        if self._budget.unit == "tokens":
            return min(position.num_tokens / self._budget.amount, 1.0)
        if self._budget.unit == "minutes":
            return min(position.seconds / (60 * self._budget.amount), 1.0)
        if position.next_sequence >= self._end_of_epoch(position.epoch):
            return 1.0
        used = position.epoch + position.next_sequence / len(self._sequences(position.epoch))
        return min(used / self._budget.amount, 1.0)

    def next_rows(self, position: Position) -> list[list[Piece]]:
        """The sequences of the step at `position`, which is moved past them; no sequence is skipped or repeated."""
        rows: list[list[Piece]] = []
        while len(rows) < self._sequences_a_step:
            sequences = self._sequences(position.epoch)
            stop = min(position.next_sequence + self._sequences_a_step - len(rows), self._end_of_epoch(position.epoch))
            if stop <= position.next_sequence:
                break
            rows += sequences[position.next_sequence : stop]
            position.next_sequence = stop
            if stop == len(sequences):
                position.epoch += 1
                position.next_sequence = 0
        position.num_sequences += len(rows)
        return rows

    def _end_of_epoch(self, epoch: int) -> int:
        """Sequences of an epoch that the budget takes; at least one in all."""
        length = len(self._sequences(epoch))
        if self._budget.unit != "epochs":
            return length
        taken = round(length * min(1.0, max(0.0, self._budget.amount - epoch)))
        return max(taken, 1) if epoch == 0 else taken

    def _sequences(self, epoch: int) -> list[list[Piece]]:
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._packer.sequences(epoch)
        return self._epoch[1]


def learning_rate(progress: float, settings: TrainSection) -> float:
    """Linear warm-up to `peak_lr` over the first `warmup_fraction` of the budget, then a cosine to `min_lr_ratio` of it.

    The warm-up starts at a hundredth of the peak, so that the first step is not lost.
    """
    warmup = settings.warmup_fraction
    if progress < warmup:
        return settings.peak_lr * max(progress / warmup, 0.01)
    through = (progress - warmup) / (1 - warmup)
    floor = settings.min_lr_ratio
    return settings.peak_lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * through)))
