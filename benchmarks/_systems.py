"""Models to compare without their bases, the part of a corpus that they are tried on, and what both benchmarks ask for."""

from __future__ import annotations

import argparse
from functools import cached_property
from pathlib import Path
from typing import Any

from astrollama.backends.encoders import load_encoder
from astrollama.evaluation.data import EvaluationData, drawn
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.records import Document
from astrollama.sections import EvaluateSection


class ValidationData(EvaluationData):
    """The validation part in place of the held-out one."""

    @cached_property
    def test(self) -> list[Document]:
        """The validation documents in the order drawn."""
        return drawn(self.corpus / "validation.parquet", self.seed)


def parser(description: str, vectors: str) -> argparse.ArgumentParser:
    """The options that both benchmarks have; `vectors` says what else that folder is for."""
    shared = argparse.ArgumentParser(description=description)
    shared.add_argument("models", nargs="+", metavar="MODEL", help="what `astrollama embed --model` takes")
    shared.add_argument("--corpus", type=Path, required=True)
    shared.add_argument("--vectors", type=Path, required=True, help=f"a folder for what is embedded{vectors}")
    shared.add_argument("--part", choices=("test", "validation"), default="test", help="whose papers are asked about")
    shared.add_argument("--seed", type=int, default=0, help="of the choice of papers")
    return shared


def measured(
    task: Any, options: argparse.Namespace, data: EvaluationData, settings: EvaluateSection, *baselines: System
) -> dict[str, Measurement]:
    """What a task measures of the models, of which none is in memory beside another, and of the baselines."""
    of_models = {name: task.measure(_model(name, options.vectors), data, settings) for name in options.models}
    return of_models | {baseline.key: task.measure(baseline, data, settings) for baseline in baselines}


def data_of(part: str, corpus: Path, seed: int, citations: Path | None = None) -> EvaluationData:
    """What the tasks read, with the validation part for the held-out one where `part` says so."""
    kind = ValidationData if part == "validation" else EvaluationData
    return kind(corpus, seed, citations=citations)


def _model(name: str, vectors: Path) -> System:
    encoder = load_encoder(name)
    folder = vectors / (encoder.digest or name)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return System(
        name, encoder.name, name, "other", frozenset({"embed"}), encoder.digest or name, folder, opener=lambda: encoder
    )
