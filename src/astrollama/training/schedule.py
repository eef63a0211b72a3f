"""How far a run is in its budget, which sequences come next, and the learning rate that belongs there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from astrollama.sections import Budget, TrainSection
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.packing import Packer, Piece
from astrollama.tokens.pairs import PairPacker


@dataclass
class Position:
    """Where a run is; saved with every checkpoint.

    Attributes:
        num_tokens: tokens predicted so far, general text included.
        num_replay_tokens: those of them that are general text.
        epoch: the epoch of the corpus that its next sequence belongs to.
        next_sequence: its place in that epoch.
        replay_epoch: likewise of the general text.
        next_replay_sequence: likewise.
        num_sequences: sequences trained on so far.
        seconds: of training so far, checkpoints included, loading left out.
        best_nll: the lowest validation loss so far, in nats a token.
        best_step: the step that had it; 0 before the first.
        num_validations_since_best: measurements since then.
    """

    step: int = 0
    num_tokens: int = 0
    num_replay_tokens: int = 0
    epoch: int = 0
    next_sequence: int = 0
    replay_epoch: int = 0
    next_replay_sequence: int = 0
    num_sequences: int = 0
    seconds: float = 0.0
    best_nll: float = 0.0
    best_step: int = 0
    num_validations_since_best: int = 0


class Schedule:
    """Which sequences come next, until the budget is used up.

    Args:
        sequences_a_step: of which the last step of a budget in epochs may have fewer.
    """

    def __init__(self, mixture: Mixture, budget: Budget, sequences_a_step: int) -> None:
        self._mixture = mixture
        self._budget = budget
        self._sequences_a_step = sequences_a_step
        self._epochs: dict[bool, tuple[int, list[list[Piece]]]] = {}

    def progress(self, position: Position) -> float:
        """The share of the budget that is used, from 0 to 1."""
        if self._budget.unit == "tokens":
            return min(position.num_tokens / self._budget.amount, 1.0)
        if self._budget.unit == "minutes":
            return min(position.seconds / (60 * self._budget.amount), 1.0)
        if position.next_sequence >= self._end_of_epoch(position.epoch):
            return 1.0
        used = position.epoch + position.next_sequence / len(self._corpus(position.epoch))
        return min(used / self._budget.amount, 1.0)

    def next_rows(self, position: Position) -> list[Row]:
        """The sequences of the step at `position`, which is moved past them; no sequence is skipped or repeated."""
        rows: list[Row] = []
        while len(rows) < self._sequences_a_step:
            if self._mixture.is_replay_due(position.num_tokens, position.num_replay_tokens):
                row = Row(True, self._next_replay(position))
                position.num_replay_tokens += sum(self._mixture.lengths([row]))
            elif position.next_sequence < self._end_of_epoch(position.epoch):
                row = Row(False, self._next_of_corpus(position))
            else:
                break
            position.num_tokens += sum(self._mixture.lengths([row]))
            rows.append(row)
        position.num_sequences += len(rows)
        return rows

    def _next_of_corpus(self, position: Position) -> list[Piece]:
        sequences = self._corpus(position.epoch)
        row = sequences[position.next_sequence]
        position.next_sequence += 1
        if position.next_sequence == len(sequences):
            position.epoch, position.next_sequence = position.epoch + 1, 0
        return row

    def _next_replay(self, position: Position) -> list[Piece]:
        assert self._mixture.replay is not None
        sequences = self._sequences(self._mixture.replay, position.replay_epoch, is_replay=True)
        row = sequences[position.next_replay_sequence]
        position.next_replay_sequence += 1
        if position.next_replay_sequence == len(sequences):
            position.replay_epoch, position.next_replay_sequence = position.replay_epoch + 1, 0
        return row

    def _end_of_epoch(self, epoch: int) -> int:
        """Sequences of an epoch that the budget takes; at least one in all."""
        length = len(self._corpus(epoch))
        if self._budget.unit != "epochs":
            return length
        taken = round(length * min(1.0, max(0.0, self._budget.amount - epoch)))
        return max(taken, 1) if epoch == 0 else taken

    def _corpus(self, epoch: int) -> list[list[Piece]]:
        return self._sequences(self._mixture.corpus, epoch, is_replay=False)

    def _sequences(self, packer: Packer | PairPacker, epoch: int, *, is_replay: bool) -> list[list[Piece]]:
        if is_replay not in self._epochs or self._epochs[is_replay][0] != epoch:
            self._epochs[is_replay] = epoch, packer.sequences(epoch)
        return self._epochs[is_replay][1]


def learning_rate(progress: float, settings: TrainSection) -> float:
    """Linear warm-up from `start_lr_ratio` of `peak_lr` to all of it, then what `schedule` says, down to `min_lr_ratio` of it.

    `cosine` and `linear` fall from the end of the warm-up on: for a model that was pretrained before, whose rate had
    ended low, this is re-warming and re-decaying (Ibrahim et al. 2024, arXiv:2403.08763). `wsd` keeps the peak until
    `decay_fraction` before the end and then falls linearly (Hu et al. 2024, arXiv:2404.06395).

    Args:
        progress: the share of the budget that is used, from 0 to 1.
    """
    peak, floor = settings.peak_lr, settings.min_lr_ratio
    if progress < settings.warmup_fraction:
        through = progress / settings.warmup_fraction
        return peak * (settings.start_lr_ratio + (1 - settings.start_lr_ratio) * through)
    start = settings.warmup_fraction
    if settings.schedule == "wsd":
        start = max(start, 1 - settings.decay_fraction)
    through = max(0.0, (progress - start) / (1 - start))
    shape = 0.5 * (1 + math.cos(math.pi * through)) if settings.schedule == "cosine" else 1 - through
    return peak * (floor + (1 - floor) * shape)
