"""What calls to an API cost, and the ceiling that they stay below."""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import dataclass

from astrollama.errors import CostCeilingError, UserInputError
from astrollama.sections import ApiSection

_MILLION = 1_000_000
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # of TOML; any other name stands in quotes


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars a million tokens.

    Attributes:
        reading: for the tokens of what is asked.
        writing: for the tokens of what is answered, those of hidden reasoning among them.
    """

    reading: float
    writing: float

    def cost(self, num_read: int, num_written: int) -> float:
        """US dollars for so many tokens."""
        return (num_read * self.reading + num_written * self.writing) / _MILLION


# OpenAI's standard prices as price lists quoted them in the first half of 2026; none was read at OpenAI itself. Prices
# change, and a dated version of a model has its own: what is set in `api.prices` overrules them.
KNOWN_PRICES = {
    "gpt-3.5-turbo": Prices(0.50, 1.50),
    "gpt-4": Prices(30.0, 60.0),
    "gpt-4-turbo": Prices(10.0, 30.0),
    "gpt-4o": Prices(2.50, 10.0),
    "gpt-4o-mini": Prices(0.15, 0.60),
    "gpt-4.1": Prices(2.0, 8.0),
    "gpt-4.1-mini": Prices(0.40, 1.60),
    "text-embedding-ada-002": Prices(0.10, 0.0),
    "text-embedding-3-small": Prices(0.02, 0.0),
    "text-embedding-3-large": Prices(0.13, 0.0),
}


def prices_of(model: str, api: ApiSection, *, openai: bool) -> Prices:
    """The prices of a model: those of the settings, else those known.

    Args:
        openai: whether it is OpenAI itself that serves it; others have prices of their own.

    Raises:
        UserInputError: they are neither set nor known.
    """
    if model in api.prices:
        return Prices(*api.prices[model])
    if openai and model in KNOWN_PRICES:
        return KNOWN_PRICES[model]
    reason = (
        "is known at OpenAI alone, and another server is asked (api.base_url or OPENAI_BASE_URL)"
        if model in KNOWN_PRICES
        else "is not known"
    )
    key = model if _BARE_KEY.fullmatch(model) else json.dumps(model)
    raise UserInputError(
        f"the price of {model} {reason}, so no ceiling of its cost could be kept",
        f"give --set 'api.prices={{{key} = [READ, WRITTEN]}}', in US dollars a million tokens; [0, 0] where it costs nothing",
    )


class CostCeiling:
    """Admits calls only while all that they may cost stays within a ceiling; threads share one.

    Before a call its highest cost is reserved, after it what it did cost is counted. A call that fits only beside fewer
    others waits until those are over: which calls are made does not depend on how many are made at once.

    Attributes:
        max_cost: the ceiling in US dollars.
        spent: what new answers have cost so far, in US dollars.
    """

    def __init__(self, max_cost: float) -> None:
        self.max_cost = max_cost
        self.spent = 0.0
        self._reserved: list[float] = []
        self._changed = threading.Condition()

    def reserve(self, bound: float) -> None:
        """Admit a call that costs `bound` US dollars at most; `settle` must follow.

        Raises:
            CostCeilingError: it could cost more than is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._reserved or self._fits(bound))
            if not self._fits(bound):
                raise CostCeilingError(
                    f"${self.spent:.4f} of ${self.max_cost:g} are spent, and the next call may cost ${bound:.4f}",
                    "raise api.max_cost and give the command again: what was answered is kept",
                )
            self._reserved.append(bound)

    def settle(self, bound: float, cost: float) -> None:
        """Put the `cost` of a call that is over in the place of the `bound` that was reserved for it."""
        with self._changed:
            self._reserved.remove(bound)
            self.spent += cost
            self._changed.notify_all()

    def _fits(self, bound: float) -> bool:
        return math.fsum([self.spent, *self._reserved, bound]) <= self.max_cost
