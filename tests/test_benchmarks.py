"""The benchmark for GPUs runs from end to end on the CPU at small size, so that it works where there is a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_gpu_benchmark_runs_on_a_cpu_at_small_size() -> None:
    command = [sys.executable, str(BENCHMARKS / "train_gpu.py"), "--device", "cpu", "--small"]
    cases = ["numerics-135m", "7b-full-checkpointing", "7b-lora"]
    done = subprocess.run([*command, "--cases", *cases], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed, _, tables = done.stdout.partition("\n}\n")
    results = json.loads(printed + "}")["cases"]
    assert list(results) == cases
    assert results["numerics-135m"]["agrees"]
    assert results["numerics-135m"]["documents"] > 1
    full, lora = results["7b-full-checkpointing"], results["7b-lora"]
    assert full["trained"] == full["parameters"] > lora["trained"] > 0
    for result in (full, lora):
        assert result["tokens/s"] > 0
        assert 0 < result["MFU"] < 1
    assert "| 7b-lora |" in tables
