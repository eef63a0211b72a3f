"""Models to compare without their bases, and the part of a corpus that they are tried on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from astrollama.backends.encoders import load_encoder
from astrollama.evaluation.data import EvaluationData, drawn
from astrollama.evaluation.systems import System
from astrollama.records import Document


class ValidationData(EvaluationData):
    """The validation part in place of the held-out one."""

    @cached_property
    def test(self) -> list[Document]:
        """The validation documents in the order drawn."""
        return drawn(self.corpus / "validation.parquet", self.seed)


def data_of(part: str, corpus: Path, seed: int, citations: Path | None = None) -> EvaluationData:
    """What the tasks read, with the validation part for the held-out one where `part` says so."""
    kind = ValidationData if part == "validation" else EvaluationData
    return kind(corpus, seed, citations=citations)


def model(name: str, vectors: Path) -> System:
    encoder = load_encoder(name)
    folder = vectors / (encoder.digest or name)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return System(
        name, encoder.name, name, "other", frozenset({"embed"}), encoder.digest or name, folder, opener=lambda: encoder
    )
