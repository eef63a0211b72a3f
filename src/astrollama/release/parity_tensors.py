"""The tensors of an exported model against its source's, value by value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrollama.models.folder import open_weights, weight_files
from astrollama.release.parity_rounding import rounding_bound


def compare_tensors(
    source: Path, exported: Path, names: Sequence[str], kind_of: Callable[[str], str]
) -> tuple[dict[str, Any], list[str]]:
    """Compare all tensors of two folders in float32.

    Args:
        names: those that there must be.
        kind_of: the type that a tensor was stored in on the way, which tells how far rounding may have moved it.

    Returns:
        The figures for the report, and what is wrong in a few words each.
    """
    found = {name for path in weight_files(exported) for name in open_weights(path).keys()}  # noqa: SIM118
    odd = sorted(found ^ set(names))
    if odd:
        return {"tensors": len(found)}, [f"the tensor {odd[0]} is {'missing' if odd[0] in names else 'one too many'}"]
    greatest, total, wrong = 0.0, 0, []
    for name in names:
        weights, stored = read_tensor(source, name), read_tensor(exported, name)
        total += weights.size
        if weights.shape != stored.shape:
            wrong.append(f"the tensor {name} has the shape {stored.shape}, not {weights.shape}")
            continue
        difference = np.abs(stored - weights)
        if not (difference <= rounding_bound(weights, kind_of(name))).all():
            wrong.append(f"the tensor {name} is off by {np.nanmax(difference):.3g}, more than rounding explains")
        greatest = max(greatest, float(difference.max()))
    return {"tensors": len(names), "values": total, "greatest_difference": greatest}, wrong


def read_tensor(folder: Path, name: str) -> np.ndarray:
    """A tensor of a model or adapter folder, in float32."""
    for path in weight_files(folder):
        with open_weights(path) as file:
            if name in file.keys():  # noqa: SIM118
                weights: np.ndarray = file.get_tensor(name).float().numpy()
                return weights
    raise KeyError(name)
