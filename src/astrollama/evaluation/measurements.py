"""Measurements on disk: one system in one task, kept as soon as it is made, so that a crash loses one at most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.errors import RunError
from astrollama.evaluation.data import DataFile
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import EvaluationTask, Measurement
from astrollama.files import read_json, sha256_file, write_json, write_text

FOLDER = "measurements"


@dataclass(frozen=True)
class Kept:
    """A measurement and how long it took."""

    measurement: Measurement
    seconds: float


def read_measurement(system: System, task: EvaluationTask, inputs: Mapping[DataFile, list[str]]) -> Kept | None:
    """What was measured before of this very system, with this version of the task and these files; None if nothing was.

    Raises:
        RunError: it is damaged, or was changed.
    """
    kept = _described(system, task, inputs)
    if kept is None:
        return None
    _, samples = _paths(system, task)
    _require_unchanged(samples, kept)
    try:
        # not splitlines: a text may hold characters that it takes for ends of lines
        records = [json.loads(line) for line in samples.read_text(encoding="utf-8").split("\n") if line]
    except ValueError as error:
        raise RunError(f"{samples} is damaged ({error})", "delete it, and give the command again") from error
    if len(records) != kept["num_samples"]:
        raise RunError(
            f"{samples} holds {len(records)} records, not {kept['num_samples']}",
            "delete it, and give the command again",
        )
    return Kept(Measurement(records, kept["details"], system.label), kept["seconds"])


def measurement_hash(system: System, task: EvaluationTask, inputs: Mapping[DataFile, list[str]]) -> str | None:
    """The SHA-256 of the samples that `read_measurement` would read; None where it finds nothing.

    Raises:
        RunError: they were changed.
    """
    kept = _described(system, task, inputs)
    return None if kept is None else _require_unchanged(_paths(system, task)[1], kept)


def write_measurement(
    system: System, task: EvaluationTask, inputs: Mapping[DataFile, list[str]], measurement: Measurement, seconds: float
) -> None:
    """Keep a measurement: the samples first, then the file that says that they are whole."""
    described, samples = _paths(system, task)
    samples.parent.mkdir(parents=True, exist_ok=True)
    described.unlink(missing_ok=True)
    write_text(samples, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in measurement.samples))
    write_json(
        described,
        {
            "identity": _identity(system, task, inputs),
            "num_samples": len(measurement.samples),
            "sha256": sha256_file(samples),
            "seconds": seconds,
            "details": measurement.details,
        },
    )


def _described(system: System, task: EvaluationTask, inputs: Mapping[DataFile, list[str]]) -> dict[str, Any] | None:
    """What is kept beside the samples; None if they are not there, or are of another system, version or file."""
    described, samples = _paths(system, task)
    if not described.is_file() or not samples.is_file():
        return None
    kept = read_json(described)
    return kept if kept["identity"] == _identity(system, task, inputs) else None


def _require_unchanged(samples: Path, kept: Mapping[str, Any]) -> str:
    found = sha256_file(samples)
    if kept.get("sha256", found) != found:  # an older version kept none
        raise RunError(
            f"{samples} was changed since it was measured",
            "restore it, or delete it to have it measured anew, and give the command again",
        )
    return found


def _paths(system: System, task: EvaluationTask) -> tuple[Path, Path]:
    return system.folder / f"{task.NAME}.json", system.folder / f"{task.NAME}.jsonl"


def _identity(system: System, task: EvaluationTask, inputs: Mapping[DataFile, list[str]]) -> dict[str, Any]:
    return {"system": system.identity, "task": task.NAME, "version": task.VERSION, "inputs": dict(inputs)}
