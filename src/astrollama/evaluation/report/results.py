"""A task's results as the report's JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from astrollama.evaluation.intervals import Estimate
from astrollama.evaluation.task import Comparison, TaskResult


def task_json(
    result: TaskResult,
    task_title: str,
    version: int,
    seconds_by_system: Mapping[str, float],
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """One entry of the report's `tasks`.

    Args:
        seconds_by_system: how long measuring took, by the system's key.
        left_out: why a system was not measured, by its key.
    """
    measured = {
        key: {"metrics": _metrics(estimates), "left_out": None, "seconds": seconds_by_system.get(key)}
        for key, estimates in result.estimates.items()
    }
    others: dict[str, Any] = {
        key: {"metrics": {}, "left_out": reason, "seconds": None}
        for key, reason in left_out.items()
        if key not in measured
    }
    return {
        "title": task_title,
        "version": version,
        "primary_metric": result.primary_metric,
        "systems": measured | others,
        **{
            name: plain_json(getattr(result, name))
            for name in ("infos", "figures", "tables", "examples", "notes", "details")
        },
        "comparisons": [_comparison(own) for own in result.comparisons],
    }


def plain_json(value: Any) -> Any:
    """A value as strict JSON has it: dataclasses as objects, arrays as lists, null for a number that is not finite.

    It is the last step of hours of measuring, which must not be lost to a number of NumPy's.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain_json(asdict(value))
    if isinstance(value, np.ndarray | np.generic):
        return plain_json(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain_json(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(own) for own in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _metrics(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        name: {"value": plain_json(own.value), "ci95": _finite_interval(own.ci95), "num_samples": own.num_samples}
        for name, own in estimates.items()
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    ci95 = _finite_interval(comparison.ci95)
    verdict = "undecided" if ci95 is None else comparison.verdict
    return {**plain_json(comparison), "ci95": ci95, "verdict": verdict}


def _finite_interval(ci95: list[float] | None) -> list[float] | None:
    return plain_json(ci95) if ci95 is not None and all(map(math.isfinite, ci95)) else None
