"""Two and four ranks on the CPU: the losses of one process, and checkpoints that any number of ranks reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import tiny_recipe

Losses = Callable[[Path], list[float]]
RANKS = Path(__file__).with_name("ranks.py")
ROOT = Path(__file__).parents[2]

RECIPES = {
    "full": ["train.ema_decay=0.9", "replay.share=0.3", "validation.every_steps=4", "validation.patience=9"],
    "lora": ["train.method=lora", "lora.dropout=0.1", "train.peak_lr=1e-2", "train.activation_checkpointing=true"],
    "bfloat16": ["train.precision=bfloat16"],
    # with one row a micro-batch the last step has fewer of them than there are ranks
    "epochs": ["train.micro_batch_size=1", 'train.budget="0.101 epochs"'],
}


@pytest.fixture(scope="module")
def runs(
    tokens: Path, general_tokens: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Each recipe on one, two and four ranks, and one that is stopped and gone on with on other numbers of ranks."""
    home = tmp_path_factory.mktemp("sharded")
    for name, settings in RECIPES.items():
        recipe = tiny_recipe(tiny_model, 'train.budget="3_000 tokens"', *settings)
        (home / f"{name}.toml").write_text(recipe.to_toml())

    def job(name: str, out: str, **more: Any) -> dict[str, Any]:
        replay = {"replay": str(general_tokens)} if name == "full" else {}
        recipe = str(home / f"{name}.toml")
        return {"recipe": recipe, "tokens": str(tokens), "out": str(home / out), **replay, **more}

    launch(1, [job(name, f"{name}-1") for name in RECIPES], home)
    launch(
        2, [*(job(name, f"{name}-2") for name in RECIPES), *(job("full", f"then-{n}", stop_at=4) for n in (1, 4))], home
    )
    launch(1, [job("full", "then-1")], home)
    launch(4, [*(job(name, f"{name}-4") for name in RECIPES), job("full", "then-4")], home)
    return {path.name: path for path in home.iterdir() if path.is_dir()}


def launch(ranks: int, jobs: list[dict[str, Any]], home: Path) -> None:
    """Run jobs on so many ranks, as torchrun starts them."""
    (home / "jobs.json").write_text(json.dumps(jobs))
    start = [sys.executable] if ranks == 1 else [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    start += [] if ranks == 1 else ["--nproc-per-node", str(ranks)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*start, str(RANKS), str(home / "jobs.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("name", RECIPES)
def test_ranks_have_the_losses_of_one_process(runs: dict[str, Path], losses: Losses, name: str, ranks: int) -> None:
    alone = losses(runs[f"{name}-1"])
    assert len(alone) > 5
    several = losses(runs[f"{name}-{ranks}"])
    assert several[:3] == pytest.approx(alone[:3], abs=2e-6)
    # what the order of a sum changes in the last digit of a weight, rounding to bfloat16 makes larger
    assert several == pytest.approx(alone, abs=5e-4 if name == "bfloat16" else 1e-5)
    for part in ("counts", "base"):
        manifests = [json.loads((runs[f"{name}-{n}"] / "manifest.json").read_text()) for n in (1, ranks)]
        assert manifests[1][part] == manifests[0][part]
    assert manifests[1]["ranks"] == ranks


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_checkpoint_of_two_ranks_goes_on_with_another_number(
    runs: dict[str, Path], losses: Losses, ranks: int
) -> None:
    assert losses(runs[f"then-{ranks}"]) == pytest.approx(losses(runs["full-1"]), abs=1e-5)
    whole, resumed = (load_file(runs[name] / "model" / "model.safetensors") for name in ("full-1", f"then-{ranks}"))
    assert whole.keys() == resumed.keys()
    for key, tensor in whole.items():
        torch.testing.assert_close(resumed[key], tensor, rtol=1e-3, atol=1e-4)


def test_validation_is_over_all_ranks(runs: dict[str, Path]) -> None:
    def measured(run: Path) -> list[float]:
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return [record["validation_nll"] for record in records if "validation_nll" in record]

    assert len(measured(runs["full-1"])) >= 3
    for ranks in (2, 4):
        assert measured(runs[f"full-{ranks}"]) == pytest.approx(measured(runs["full-1"]), abs=1e-5)


def test_an_error_ends_all_ranks_and_is_told_once(tmp_path: Path, tokens: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [
        "-m",
        "astrollama.cli",
        "train",
        "demo",
        "--tokens",
        str(tokens / "none"),
        "--out",
        str(tmp_path / "run"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told == [f"error: {tokens / 'none'} is not a directory: give the directory that the pack stage wrote"]
