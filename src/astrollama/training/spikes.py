"""Loss spikes: a step whose loss stands far above those before it, reported while the run can still be looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

WINDOW = 64
MIN_HISTORY = 16
THRESHOLD = 6.0

_SIGMAS_PER_MAD = 1.4826  # of a normal distribution
_LEAST_DEVIATION = 1e-3  # as a share of the median: a loss that hardly moves makes no spike of rounding


class SpikeWatch:
    """Compares each loss with those of the `WINDOW` steps before it.

    Large runs meet spikes in spite of gradient clipping (PaLM, Chowdhery et al. 2022, arXiv:2204.02311, section 5.1, where
    the way out was to go back some hundred steps and leave the batches out). We only tell: what to do is a person's choice.

    Level and scale are the median and the median absolute deviation, not mean and standard deviation: a spike that has just
    entered the window would widen the standard deviation and so hide the next one. The level of a falling loss lags behind
    it, from above, so that the fall hides a small spike but never makes one.

    Args:
        losses: of the steps before, oldest first, where a run goes on; the last `WINDOW + 1` are enough for the same reports.
    """

    def __init__(self, losses: Iterable[float] = ()) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._above = False
        for loss in losses:
            self.seen(loss)

    def seen(self, loss: float) -> float | None:
        """Take the loss of the next step.

        Returns:
            By how many deviations it exceeds the median, at the first step of a spike; None at every other step, also
            before there are `MIN_HISTORY` losses to compare with.
        """
        excess = self._excess(loss) if len(self._losses) >= MIN_HISTORY else 0.0
        begins = excess > THRESHOLD and not self._above
        self._above = excess > THRESHOLD
        self._losses.append(loss)
        return excess if begins else None

    def _excess(self, loss: float) -> float:
        level = median(self._losses)
        mad = median(abs(other - level) for other in self._losses)
        return (loss - level) / max(_SIGMAS_PER_MAD * mad, _LEAST_DEVIATION * abs(level))
