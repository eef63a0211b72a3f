"""A tiny model that was trained, evaluated and exported by the commands, once a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astrollama.cli.main import run
from tests.conftest import tiny_recipe

FEW = {"num_documents": 8, "num_resamples": 200, "num_title_queries": 12, "num_half_queries": 6, "packed_length": 64}
TASKS = "perplexity,retrieval"


def trained(base: Path, corpus: Path, folder: Path) -> Path:
    """A folder with `run`, `evaluation` and `exported`; what is there already is not made again."""
    folder.mkdir(exist_ok=True)
    recipe, tokens, own_run = folder / "tiny.toml", folder / "tokens", folder / "run"
    recipe.write_text(tiny_recipe(base).to_toml(), encoding="utf-8")
    settings = [part for key, value in FEW.items() for part in ("--set", f"evaluate.{key}={value}")]
    for words in (
        ["pack", corpus, "--model", base, "--out", tokens],
        ["train", recipe, "--tokens", tokens, "--out", own_run],
        ["evaluate", own_run, "--corpus", corpus, "--out", folder / "evaluation", "--tasks", TASKS, *settings],
        ["export", own_run, "--format", "hf", "--out", folder / "exported"],
    ):
        assert run([str(word) for word in words]) == 0, words
    return folder


def report_of(evaluation: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((evaluation / "report.json").read_text(encoding="utf-8"))
    return report
