"""Kills at random moments: the small version of `benchmarks/resume_kills.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "resume_kills.py"


def test_a_run_killed_six_times_ends_with_the_same_losses_and_weights(tiny_model: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--model", str(tiny_model), "--kills", "6", "--steps", "400"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    result = json.loads(done.stdout)
    assert result["kills"] == 6
    assert result["kills_by_moment"]["in a checkpoint"] >= 1
    assert result["kills_by_moment"]["before a step"] >= 1
    assert len(set(result["weights_sha256"].values())) == 1
    assert result["same_losses"]
    assert result["steps"] >= 400
    assert result["last_loss"] < result["first_loss"]
