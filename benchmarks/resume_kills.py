"""A training run killed at random moments ends with the same weights: `python benchmarks/resume_kills.py [--kills 25]`.

`astrollama train` is run once to its end, and once killed (SIGKILL) again and again and given again with `--resume`. A
third of the kills fall inside the writing of a checkpoint, which is seen by its partial folder, some fall before a resumed
run has done a step, and the others come at random times after one. In the end the hashes of the weights and the losses of
all steps are compared. Exit code 1 where they differ, or where no kill fell inside a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _training import pack_sample, passive_threads, write_llama
from astrollama.files import TEMPORARY_PREFIX, sha256_file
from astrollama.models.registry import find_model
from astrollama.provenance import hardware
from astrollama.training.metrics import read_metrics

LENGTH, TOKENS_A_STEP = 64, 256
TINY = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
WITHOUT_TIME = ("step", "epoch", "num_tokens", "loss", "lr", "grad_norm")
CHECKPOINT_SECONDS = 0.5
POLL_SECONDS = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--steps", type=int, default=200, help="of the run; more kills need more")
    parser.add_argument(
        "--model", help="what to train, smollm2-135m for one; without it a random LLaMA with its tokenizer"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    passive_threads()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = options.model or str(write_llama(folder / "tiny", find_model("smollm2-135m").path, **TINY))
        command = train_command(model, pack_sample(folder, model), options.steps)
        started = time.monotonic()
        run(command, folder / "straight")
        straight_seconds = time.monotonic() - started
        kills = kill_and_resume(command, folder / "killed", options.kills, random.Random(options.seed))
        seconds = time.monotonic() - started
        weights = {name: sha256_file(folder / name / "model" / "model.safetensors") for name in ("straight", "killed")}
        steps = {name: steps_without_time(folder / name) for name in weights}
    same = weights["straight"] == weights["killed"] and steps["straight"] == steps["killed"]
    result = {
        "kills": sum(kills.values()),
        "kills_by_moment": dict(kills),
        "steps": len(steps["killed"]),
        "first_loss": steps["killed"][0]["loss"],
        "last_loss": steps["killed"][-1]["loss"],
        "same_losses": steps["straight"] == steps["killed"],
        "weights_sha256": weights,
        "same_weights": weights["straight"] == weights["killed"],
        "straight_seconds": round(straight_seconds, 1),
        "seconds": round(seconds, 1),
        "seed": options.seed,
        "hardware": hardware(),
    }
    print(json.dumps(result, indent=2))
    sys.exit(0 if same and kills["in a checkpoint"] else 1)


def train_command(model: str, tokens: Path, steps: int) -> list[str]:
    settings = [
        f'model.base="{model}"',
        f"pack.sequence_length={LENGTH}",
        "pack.attention=packed",  # rows that are full: so many steps, so many tokens
        f"train.global_batch_tokens={TOKENS_A_STEP}",
        "train.micro_batch_size=2",
        "train.peak_lr=1e-3",
        f'train.budget="{steps * TOKENS_A_STEP} tokens"',
        f"train.checkpoint_minutes={CHECKPOINT_SECONDS / 60}",
    ]
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "astrollama.cli", "train", "smollm2-135m-cpu", "--tokens", str(tokens), "--resume"]
    return [*command, *options, "--out"]


def run(command: list[str], out: Path) -> None:
    done = subprocess.run([*command, str(out)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: training failed with status {done.returncode}: {done.stderr}")


def kill_and_resume(command: list[str], out: Path, num_kills: int, moments: random.Random) -> Counter[str]:
    """Kill the run at `num_kills` moments and let it end; returns how many kills fell when."""
    kills: Counter[str] = Counter()
    kinds = [wait_for_checkpoint, wait_past_step, wait_before_step]
    while (number := sum(kills.values())) < num_kills:
        with subprocess.Popen(
            [*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            attempt = Attempt(process, out, newest_checkpoint(out), time.time_ns())
            kinds[number % len(kinds)](attempt, moments)
            if process.poll() is not None:
                said = process.stderr.read() if process.stderr else ""
                sys.exit(f"error: the run ended after {number} kills, give it more --steps: {said}")
            process.kill()
            process.wait()
        kills[attempt.moment()] += 1
    run(command, out)
    return kills


@dataclass(frozen=True)
class Attempt:
    """A process that goes on from the checkpoint of step `resumed_at` (0: none); `started` is a time in nanoseconds."""

    process: subprocess.Popen[str]
    out: Path
    resumed_at: int
    started: int

    def moment(self) -> str:
        """When the process died."""
        if self.writes_checkpoint():
            return "in a checkpoint"
        return "after a step" if self.has_stepped() else "before a step"

    def writes_checkpoint(self) -> bool:
        """Whether a partial checkpoint is there that an earlier process did not leave."""
        try:
            partials = self.out.glob(f"checkpoints/{TEMPORARY_PREFIX}step-*")
            return any(partial.stat().st_mtime_ns > self.started for partial in partials)
        except FileNotFoundError:  # it was completed in between
            return False

    def has_stepped(self) -> bool:
        """Whether the metrics have a whole line of a step that this process has done."""
        path = self.out / "metrics.jsonl"
        if not path.is_file() or path.stat().st_mtime_ns < self.started:
            return False
        lines = path.read_text(encoding="utf-8").splitlines()
        return any(line.endswith("}") and json.loads(line)["step"] > self.resumed_at for line in lines[-2:])

    def wait(self, condition: Callable[[], bool]) -> None:
        while self.process.poll() is None and not condition():
            time.sleep(POLL_SECONDS)


def wait_for_checkpoint(attempt: Attempt, moments: random.Random) -> None:
    """Until a checkpoint is being written, the first of all at first, and then for a part of the time that it takes."""
    if attempt.resumed_at:
        wait_for_progress(attempt, moments)
    attempt.wait(lambda: attempt.has_stepped() and attempt.writes_checkpoint())
    time.sleep(moments.uniform(0.0, 0.005))  # writing may take no longer


def wait_past_step(attempt: Attempt, moments: random.Random) -> None:
    wait_for_progress(attempt, moments)
    attempt.wait(attempt.has_stepped)
    time.sleep(moments.uniform(0.0, 0.5))


def wait_before_step(attempt: Attempt, moments: random.Random) -> None:
    """Until the libraries, the model or the checkpoint are being loaded."""
    until = time.monotonic() + moments.uniform(0.0, 5.0)
    attempt.wait(lambda: time.monotonic() > until or attempt.has_stepped())


def wait_for_progress(attempt: Attempt, moments: random.Random) -> None:
    """Until none, one or two checkpoints were completed."""
    for _ in range(moments.randrange(3)):
        before = newest_checkpoint(attempt.out)
        attempt.wait(lambda before=before: newest_checkpoint(attempt.out) > before)  # type: ignore[misc]


def newest_checkpoint(out: Path) -> int:
    return max((int(folder.name.removeprefix("step-")) for folder in out.glob("checkpoints/step-*")), default=0)


def steps_without_time(run: Path) -> list[dict[str, Any]]:
    return [{key: step[key] for key in WITHOUT_TIME} for step in read_metrics(run)]


if __name__ == "__main__":
    main()
