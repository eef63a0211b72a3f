"""The contract of a language model: what evaluation may ask of one, and exactly what the answer means.

Not every backend can do everything: what one can do stands in its `abilities`, and what it cannot raises `UnsupportedError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from astrollama.models.pooling import Pooling

if TYPE_CHECKING:
    import numpy as np

Ability = Literal["score", "generate", "embed"]

LEAST_TEMPERATURE = 0.01  # below it the likeliest token is taken


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


@dataclass(frozen=True, slots=True)
class ContinuationLikelihood:
    """How likely a text is behind another.

    Attributes:
        nll: summed negative log-likelihood of the continuation's tokens, in nats.
        num_tokens: how many tokens that are.
        greedy: whether each of them is the likeliest at its place.
    """

    nll: float
    num_tokens: int
    greedy: bool


@dataclass(frozen=True, slots=True)
class TokenPredictions:
    """What a model expected at each of a text's T tokens.

    Attributes:
        nll_T: negative log-likelihood of the token that stands there, in nats; float32.
        top_probability_T: the probability of the likeliest token; float32.
        top_correct_T: whether the likeliest token is the one that stands there; bool.
    """

    nll_T: np.ndarray
    top_probability_T: np.ndarray
    top_correct_T: np.ndarray


class Generator(Protocol):
    """A model that continues text: the ability `generate`.

    Attributes:
        name: for reports.
        digest: SHA-256 of the weights, or None where they cannot be seen.
        abilities: what of `LanguageModel` it can do.
    """

    name: str
    digest: str | None
    abilities: frozenset[Ability]

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        """Continue texts; what comes back is the continuation alone, up to EOS, `max_new_tokens` or the context's end.

        Args:
            temperature: below `LEAST_TEMPERATURE` the likeliest token is taken; otherwise tokens are drawn from the whole
                distribution.
            seed: the same seed, prompts and hardware give the same continuations.

        Raises:
            UserInputError: a prompt leaves no room in the model's context.
        """
        ...


class Encoder(Protocol):
    """A model that turns texts into vectors: the ability `embed`. Attributes as for `Generator`."""

    name: str
    digest: str | None
    abilities: frozenset[Ability]

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        """One vector a text, float32, of shape (N, D), in the order of the texts; of whatever length the model gives it.

        Args:
            pooling: `mean` of the last hidden states over the text's own tokens (no padding, BOS left out); the state of
                the `last` token; or `echo`: the text is given twice, and the mean is over the second copy
                (Springer et al. 2024, arXiv:2402.15449).

        Raises:
            UnsupportedError: the encoder has one way of pooling, and this is another.
            UserInputError: a text is empty.
        """
        ...


class Scorer(Protocol):
    """A model that tells how likely texts are: the ability `score`. Attributes as for `Generator`."""

    name: str
    digest: str | None
    abilities: frozenset[Ability]

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[TextLikelihood]:
        """Score whole texts.

        Every token of a text is predicted once, from BOS and the tokens before it; of a text longer than the model's
        context each window begins with the last token of the one before. Whether the text ends is not scored.
        """
        ...

    def token_predictions(self, texts: Sequence[str]) -> list[TokenPredictions]:
        """The same predictions token by token; the sums of `nll_T` are those of `loglikelihood_rolling`."""
        ...

    def loglikelihood_packed(self, texts: Sequence[str], sequence_length: int) -> list[TextLikelihood]:
        """Score texts as the AstroLLaMA paper did: BOS and EOS around each, end to end, cut into equal pieces.

        Each piece is one sequence whose tokens see all before them in it, other texts' too; its first token is not
        predicted. A last piece that is not full is left out, unless it is the only one.

        Returns:
            One result a piece. `num_tokens` are its predicted tokens, BOS and EOS among them; `num_bytes` those of the
            text that they decode to.
        """
        ...

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[ContinuationLikelihood]:
        """Score the second text of each pair behind the first.

        Context and continuation are tokenised as one text and divided where the context's own tokens end; spaces at the
        context's end count as the continuation's, as in lm-evaluation-harness. An empty context is BOS alone. What is
        longer than the model's context loses its beginning.

        Raises:
            UserInputError: a continuation adds no token.
        """
        ...


class LanguageModel(Scorer, Generator, Encoder, Protocol):
    """A model that can do all three."""
