"""The examples for clusters: their commands and options exist, and the Slurm script does what it says on every way out."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from astrollama.cli.main import app

EXAMPLES = Path(__file__).parents[1] / "examples"
SLURM = EXAMPLES / "train_on_slurm.sh"
SKYPILOT = EXAMPLES / "train_on_skypilot.yaml"


def task() -> dict[str, Any]:
    import yaml

    loaded: dict[str, Any] = yaml.safe_load(SKYPILOT.read_text(encoding="utf-8"))
    return loaded


def torchrun_command(script: str) -> list[str]:
    """The words of the one torchrun command in a shell script, each variable replaced by 1."""
    [line] = [
        line for line in script.replace("\\\n", " ").splitlines() if "torchrun " in line and not line.startswith("#")
    ]
    line = re.sub(r"\$\{[^}]*\}|\$\w+", "1", line.replace('"$@"', ""))
    words = shlex.split(re.split(r" \|\| | &$", line)[0])
    return words[words.index("torchrun") + 1 :]


@pytest.mark.parametrize("example", [SLURM, SKYPILOT], ids=lambda path: path.name)
def test_the_commands_of_the_examples_exist_with_their_options(example: Path) -> None:
    from torch.distributed.run import get_args_parser

    script = task()["run"] if example == SKYPILOT else example.read_text(encoding="utf-8")
    parsed = get_args_parser().parse_args(torchrun_command(script))
    assert parsed.module
    assert parsed.training_script == "astrollama.cli"
    command, *arguments = parsed.training_script_args
    assert command == "train"
    train = get_command(app).commands["train"]  # type: ignore[attr-defined]
    context = train.make_context("train", list(arguments))  # refuses what it does not know
    assert context.params["resume"]
    assert {"tokens", "out", "recipe"} <= context.params.keys()


def test_the_skypilot_task_has_only_documented_keys() -> None:
    loaded = task()
    assert loaded.keys() == {"name", "workdir", "resources", "envs", "file_mounts", "setup", "run"}
    assert loaded["resources"].keys() <= {"infra", "accelerators", "use_spot", "disk_size", "job_recovery"}
    assert loaded["resources"]["job_recovery"].keys() <= {"strategy", "max_restarts_on_errors", "recover_on_exit_codes"}
    for mount in loaded["file_mounts"].values():
        assert mount.keys() == {"source", "mode"}
        assert mount["mode"] in {"MOUNT", "COPY", "MOUNT_CACHED"}


@pytest.mark.parametrize("example", [SLURM, SKYPILOT], ids=lambda path: path.name)
def test_the_shell_parts_are_valid(example: Path) -> None:
    parts = [task()["setup"], task()["run"]] if example == SKYPILOT else [example.read_text(encoding="utf-8")]
    for part in parts:
        done = subprocess.run(["bash", "-n"], input=part, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


# What Slurm and torchrun do as far as the script sees it. torchrun that gets SIGTERM waits for its processes and exits with 1.
_STUBS = {
    "scontrol": 'if [ "$1" = show ]; then echo node1; echo node2; else echo "$*" > requeued; fi',
    "squeue": 'echo "$STATE"',
    "scancel": '[ "$*" = "--signal=TERM 7" ] && kill -TERM "$(cat step)"',
    "srun": 'echo "$*" > command; echo $$ > step; shift; exec "$@"',
    "torchrun": """
        trap 'sleep 0.5; touch saved; exit 1' TERM
        touch begun
        for _ in $(seq "$TENTHS"); do sleep 0.1; done
        exit "$CODE"
    """,
}


def start(folder: Path, *, code: int, tenths: int, state: str = "RUNNING") -> subprocess.Popen[bytes]:
    """Start the script as Slurm would, with the stubs in `folder`; the step takes so many tenths of a second."""
    commands = folder / "bin"
    commands.mkdir()
    for name, body in _STUBS.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "STATE": state,
        "CODE": str(code),
        "TENTHS": str(tenths),
    }
    words = ["bash", str(SLURM), "a recipe.toml", "tokens", "run", "--set", "train.seed=1"]
    return subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("code", [0, 1])
def test_a_slurm_job_that_ends_by_itself_has_its_exit_code_and_is_not_queued_again(tmp_path: Path, code: int) -> None:
    assert start(tmp_path, code=code, tenths=0).wait(20) == code
    assert not (tmp_path / "requeued").exists()
    words = (tmp_path / "command").read_text()
    assert "--rdzv-endpoint node1:20007 --rdzv-id 7.0 -m astrollama.cli train a recipe.toml" in words
    assert words.endswith("--tokens tokens --out run --resume --set train.seed=1\n")


@pytest.mark.parametrize(("state", "requeued"), [("RUNNING", True), ("COMPLETING", False)])
def test_a_slurm_job_that_is_told_to_stop_saves_and_is_queued_again(tmp_path: Path, state: str, requeued: bool) -> None:
    process = start(tmp_path, code=0, tenths=300, state=state)
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_a_slurm_job_whose_run_is_complete_is_not_queued_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    process = start(tmp_path, code=0, tenths=300)
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert (tmp_path / "saved").exists()
    assert not (tmp_path / "requeued").exists()
