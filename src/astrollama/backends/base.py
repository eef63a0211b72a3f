"""The contract of a language model: what evaluation may ask of one, and exactly what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TextLikelihood:
    """How well a model predicts a text.

    Attributes:
        nll: summed negative log-likelihood of the text's tokens, in nats.
        num_tokens: how many tokens that are; BOS and EOS are not among them.
        num_bytes: of the text in UTF-8.
    """

    nll: float
    num_tokens: int
    num_bytes: int


class LanguageModel(Protocol):
    """A model that scores and continues text.

    Attributes:
        name: for reports.
        digest: SHA-256 of the weights, or None where they cannot be seen.
    """

    name: str
    digest: str | None

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[TextLikelihood]:
        """Score whole texts.

        Every token of a text is predicted once, from BOS and the tokens before it; of a text longer than the model's
        context each window begins with the last token of the one before. Whether the text ends is not scored.
        """
        ...

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        """Continue texts; what comes back is the continuation alone, up to EOS, `max_new_tokens` or the context's end.

        Args:
            temperature: below 0.01 the likeliest token is taken; otherwise tokens are drawn from the whole distribution.
            seed: the same seed, prompts and hardware give the same continuations.

        Raises:
            UserInputError: a prompt leaves no room in the model's context.
        """
        ...
