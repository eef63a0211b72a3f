"""Measure systems in tasks, one after the other, and keep each measurement as soon as it is made."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astrollama.console import duration, say, warn
from astrollama.errors import NetworkError, UserInputError
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.measurements import Kept, measurement_hash, read_measurement, write_measurement
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import EvaluationTask
from astrollama.sections import EvaluateSection


@dataclass
class Measured:
    """What there is of all systems.

    Attributes:
        kept: measurements, by the task's name and the system's key, in the systems' order.
        failed: why a system could not be measured in a task, by both.
        unreachable: whether a baseline is missing because its weights could not be fetched.
    """

    kept: dict[str, dict[str, Kept]]
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    unreachable: bool = False


def measure_all(
    tasks: Sequence[EvaluationTask],
    systems: Sequence[System],
    data: EvaluationData,
    settings: EvaluateSection,
    files: Mapping[DataFile, list[str]],
) -> Measured:
    """Measure every system in every task that it has an ability for; one model is in memory at a time.

    What was measured before is read, whether the system is there now or not. A further model that cannot do a task costs
    that task alone; the adapted model, its base and an API end the evaluation with their error.
    """
    measured = Measured({task.NAME: {} for task in tasks})
    # what may fail for reasons that lie elsewhere is asked first
    for system in sorted(systems, key=lambda system: system.role != "other"):
        for task in _tasks_of(system, tasks):
            inputs = _inputs(task, files)
            found = read_measurement(system, task, inputs)
            if found is None and system.unavailable is None:
                found = _measure(system, task, data, settings, measured)
                if found is not None:
                    write_measurement(system, task, inputs, found.measurement, found.seconds)
            if found is not None:
                measured.kept[task.NAME][system.key] = found
        system.close()
    order = [system.key for system in systems]
    for name, own in measured.kept.items():
        measured.kept[name] = dict(sorted(own.items(), key=lambda item: order.index(item[0])))
    return measured


def measurement_hashes(
    tasks: Sequence[EvaluationTask], systems: Sequence[System], files: Mapping[DataFile, list[str]]
) -> dict[str, str]:
    """The SHA-256 of each measurement that is kept already, by system and task.

    Raises:
        RunError: one was changed.
    """
    found = {
        f"{system.key}/{task.NAME}": measurement_hash(system, task, _inputs(task, files))
        for system in systems
        for task in _tasks_of(system, tasks)
    }
    return {name: digest for name, digest in found.items() if digest is not None}


def _tasks_of(system: System, tasks: Sequence[EvaluationTask]) -> list[EvaluationTask]:
    return [task for task in tasks if task.NEEDS & system.abilities]


def _inputs(task: EvaluationTask, files: Mapping[DataFile, list[str]]) -> dict[DataFile, list[str]]:
    return {kind: files[kind] for kind in sorted(task.FILES)}


def _measure(
    system: System, task: EvaluationTask, data: EvaluationData, settings: EvaluateSection, measured: Measured
) -> Kept | None:
    """A measurement, or None where the failure is told and the others go on."""
    say(f"{system.label}: {task.NAME}")
    started = time.monotonic()
    try:
        measurement = task.measure(system, data, settings)
    except NetworkError as error:
        if system.role != "baseline":
            raise
        system.unavailable = str(error)
        measured.unreachable = True
        warn(f"{system.label} is left out: {error}")
        return None
    except UserInputError as error:
        if system.role != "other" or "score" not in system.abilities:
            raise
        measured.failed[task.NAME, system.key] = str(error)
        warn(f"{system.label} is left out of {task.NAME}: {error}")
        return None
    measurement.details.update(system.answered())
    seconds = time.monotonic() - started
    say(f"{system.label}: {task.NAME} took {duration(seconds)}")
    return Kept(replace(measurement, label=system.label), round(seconds, 1))
