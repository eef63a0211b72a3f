"""What is compared: models that are loaded when they are needed, and baselines that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from astrollama.backends.base import Ability, Encoder, Generator, Scorer
from astrollama.evaluation.vectors import VectorCache
from astrollama.models.pooling import Pooling

if TYPE_CHECKING:
    import numpy as np

SystemAbility = Ability | Literal["bm25", "tfidf", "keywords"]
Role = Literal["adapted", "base", "other", "baseline"]


@dataclass
class System:
    """One thing that is compared.

    Attributes:
        key: short and unique, as in the report's JSON: `adapted`, `base`, `gpt-4`, `bm25`, …
        label: as a person reads it.
        spec: what the user named it by; of a baseline its key.
        abilities: what it can do. The baselines `bm25`, `tfidf` and `keywords` are abilities that tasks bring along:
            there is no model behind them.
        identity: what decides its answers: weights, tokenizer, settings, and how we ask.
        digest: SHA-256 of the weights, or "" where there are none to be seen.
        unavailable: why it cannot be measured at all (a key is missing), or None.
        folder: where its vectors are kept.
        opener: loads the model behind it.
    """

    key: str
    label: str
    spec: str
    role: Role
    abilities: frozenset[SystemAbility]
    identity: str
    folder: Path
    digest: str = ""
    unavailable: str | None = None
    opener: Callable[[], Any] | None = None
    _model: Any = None

    def scorer(self) -> Scorer:
        """The model behind it, to score with."""
        scorer: Scorer = self._ready("score")
        return scorer

    def generator(self) -> Generator:
        """The model behind it, to generate with."""
        generator: Generator = self._ready("generate")
        return generator

    def encoder(self) -> Encoder:
        """The model behind it, to embed with, past the vectors on the disk."""
        encoder: Encoder = self._ready("embed")
        return encoder

    def embed(self, texts: Sequence[str], pooling: Pooling = "mean") -> np.ndarray:
        """As `Encoder.embed`; a text that was embedded before, in whichever task, is read from the disk.

        Raises:
            UnsupportedError: this encoder cannot pool in this way.
        """
        return VectorCache(self.folder / "vectors.sqlite", self.identity).embed(self.encoder(), texts, pooling)

    def answered(self) -> dict[str, list[str]]:
        """Of a model behind an API, which versions answered and which parameters they would not take; else nothing."""
        versions = sorted(getattr(self._model, "versions", ()))
        refused = sorted(getattr(self._model, "refused", ()))
        return {"answered_by": versions, "refused": refused} if versions else {}

    def close(self) -> None:
        """Let go of the model; it is loaded again when it is asked for."""
        self._model = None

    def _ready(self, ability: Ability) -> Any:
        assert ability in self.abilities
        if self._model is None:
            assert self.opener is not None
            self._model = self.opener()
        return self._model
