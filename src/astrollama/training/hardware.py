"""What a machine can do: its memory, its matrix products and its bandwidth, from a table or measured here."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from astrollama.errors import UserInputError

THIS_MACHINE = "this-machine"
_ROUNDS = 3
_COPY_BYTES = 2**27
# Sides of the square matrices: large enough to reach the best rate, small enough for a fraction of a second. CPUs without
# bfloat16 units are ten times slower with it.
_SIDES = {("cpu", "float32"): 2048, ("cpu", "bfloat16"): 1024, ("cuda", "float32"): 8192, ("cuda", "bfloat16"): 8192}
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Figure(NamedTuple):
    """A number, and whether somebody measured it or a maker's data sheet says so."""

    value: float
    source: Literal["measured", "datasheet"]


@dataclass(frozen=True)
class Hardware:
    """One device; a run may have many of a kind.

    Attributes:
        kind: what torch calls such a device.
        memory: bytes.
        rates: matrix products of a precision, in FLOP/s; dense, without TF32 for float32.
        bandwidth: of the memory, in bytes a second.
    """

    name: str
    kind: Literal["cpu", "cuda"]
    memory: Figure
    rates: Mapping[str, Figure]
    bandwidth: Figure


def find_hardware(name: str, device: str, precision: str) -> Hardware:
    """Hardware of the table, or `this-machine`, whose `device` is measured with `precision`.

    Raises:
        UserInputError: there is no such name.
    """
    if name == THIS_MACHINE:
        return _measured(device, precision)
    if name in _TABLE:
        return _TABLE[name]
    near = [known for known in _TABLE if known.startswith(name)] or difflib.get_close_matches(name, hardware_names())
    fix = f"did you mean {near[0]}?" if near else f"choose from {', '.join(hardware_names())}"
    raise UserInputError(f"there is no hardware {name!r}", fix)


def hardware_names() -> list[str]:
    """What `find_hardware` takes."""
    return [THIS_MACHINE, *_TABLE]


def matrix_product_rate(device: str, precision: str) -> float:
    """Matrix products of `device` (`cpu`, `cuda` or `cuda:1`) in `precision`, in FLOP/s: the best of a few on random data.

    Takes under half a second on two cores; a product of two n x n matrices has 2 n³ operations.
    """
    import torch

    side = _SIDES[device.split(":")[0], precision]
    left, right = torch.randn(2, side, side, device=device, dtype=getattr(torch, precision))
    return float(2 * side**3 / _best_seconds(lambda: torch.mm(left, right), device))


def copy_bandwidth(device: str) -> float:
    """Bytes a second that a large copy reads and writes together; the best of a few."""
    import torch

    source = torch.ones(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * _COPY_BYTES / _best_seconds(lambda: target.copy_(source), device)


def _measured(device: str, precision: str) -> Hardware:
    return Hardware(
        THIS_MACHINE,
        "cuda" if device == "cuda" else "cpu",
        Figure(_memory_bytes(device), "measured"),
        {precision: Figure(matrix_product_rate(device, precision), "measured")},
        Figure(copy_bandwidth(device), "measured"),
    )


def _best_seconds(work: Callable[[], object], device: str) -> float:
    import torch

    seconds = []
    for _ in range(1 + _ROUNDS):  # the first wakes threads and clocks
        started = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _memory_bytes(device: str) -> float:
    """A GPU's memory; of a CPU the machine's, or what a container may have of it."""
    if device == "cuda":
        import torch

        return float(torch.cuda.get_device_properties(0).total_memory)
    machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else "max"
    return machine if limit == "max" else min(machine, float(limit))


def _datasheet(name: str, gigabytes: float, bfloat16: float, float32: float, bandwidth: float) -> Hardware:
    """A GPU as its maker describes it: GB, dense TFLOP/s in bfloat16 (summed in float32) and float32, GB/s."""
    rates = {"bfloat16": Figure(bfloat16 * 1e12, "datasheet"), "float32": Figure(float32 * 1e12, "datasheet")}
    memory, speed = Figure(gigabytes * 1e9, "datasheet"), Figure(bandwidth * 1e9, "datasheet")
    return Hardware(name, "cuda", memory, rates, speed)


_TABLE = {
    hardware.name: hardware
    for hardware in (
        Hardware(
            "h200",
            "cuda",
            Figure(139 * 2**30, "measured"),
            # on random data, which draws more power than zeros do: the data sheet has 989
            {"bfloat16": Figure(790e12, "measured"), "float32": Figure(67e12, "datasheet")},
            Figure(4.3e12, "measured"),
        ),
        _datasheet("h100", 80, 989, 67, 3350),
        _datasheet("a100-80gb", 80, 312, 19.5, 2039),
        _datasheet("a100-40gb", 40, 312, 19.5, 1555),
        _datasheet("l40s", 48, 362, 91.6, 864),
        _datasheet("a6000", 48, 154.8, 38.7, 768),
        _datasheet("rtx-4090", 24, 165.2, 82.6, 1008),
        _datasheet("l4", 24, 121, 30.3, 300),
    )
}
