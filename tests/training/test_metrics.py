"""The record of a run: whole lines, nothing twice, nothing lost; and the peak of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from astrollama.training.metrics import METRICS, last_losses, metrics_log, peak_memory_bytes, read_metrics


def step(number: int) -> dict[str, Any]:
    return {"step": number, "loss": 5.0 - number / 10, "lr": 1e-3}


def validation(number: int) -> dict[str, Any]:
    return {"step": number, "validation_nll": 3.0, "validation_perplexity": 20.1}


def log(run: Path, last_step: int, *records: dict[str, Any]) -> None:
    with metrics_log(run, last_step, (), "test", {}) as write:
        for record in records:
            write(record)


def test_each_record_is_a_line_on_the_disk_at_once(tmp_path: Path) -> None:
    with metrics_log(tmp_path, 0, (), "test", {}) as write:
        write(step(1))
        assert (tmp_path / METRICS).read_text() == json.dumps(step(1)) + "\n"
        write(validation(1))
        assert read_metrics(tmp_path) == [step(1), validation(1)]


def test_a_resumed_run_drops_the_lines_after_its_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log(tmp_path, 0, step(1), step(2), validation(2), step(3), validation(3))
    log(tmp_path, 2, step(3))
    assert read_metrics(tmp_path) == [step(1), step(2), validation(2), step(3)]
    assert capsys.readouterr().err == ""


def test_a_new_run_starts_with_an_empty_file(tmp_path: Path) -> None:
    log(tmp_path, 0, step(1))
    log(tmp_path, 0, step(1), step(2))
    assert read_metrics(tmp_path) == [step(1), step(2)]


@pytest.mark.parametrize(
    "torn", [b'{"step": 3, "lo', b'{"step": 3, "loss": 4.7}', b"\0\0\0\0", b"[3]\n", b"\xff\xfe}\n"]
)
def test_a_torn_line_is_taken_out(tmp_path: Path, torn: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    log(tmp_path, 0, step(1), step(2))
    with (tmp_path / METRICS).open("ab") as file:
        file.write(torn)
    assert read_metrics(tmp_path) == [step(1), step(2)]
    log(tmp_path, 2, step(3))
    assert read_metrics(tmp_path) == [step(1), step(2), step(3)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("left", "num_left"), [(None, 0), (b"", 0), (b'{"step": 1, "loss": 4.9}\ndamage\n', 1)])
def test_missing_lines_are_told_of(
    tmp_path: Path, left: bytes | None, num_left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if left is not None:
        (tmp_path / METRICS).write_bytes(left)
    log(tmp_path, 2, step(3))
    assert f"has {num_left} of the 2 steps before the checkpoint" in capsys.readouterr().err
    assert read_metrics(tmp_path)[-1] == step(3)


def test_a_file_without_anything_to_drop_is_not_written_anew(tmp_path: Path) -> None:
    log(tmp_path, 0, step(1), step(2))
    before = (tmp_path / METRICS).stat()
    log(tmp_path, 2, step(3))
    after = (tmp_path / METRICS).stat()
    assert after.st_ino == before.st_ino
    assert after.st_size > before.st_size


def test_the_last_losses_are_those_of_training_steps(tmp_path: Path) -> None:
    log(tmp_path, 0, *(record for number in range(1, 8) for record in (step(number), validation(number))))
    assert last_losses(tmp_path, 3) == [step(5)["loss"], step(6)["loss"], step(7)["loss"]]
    assert last_losses(tmp_path, 100) == [step(number)["loss"] for number in range(1, 8)]
    assert last_losses(tmp_path / "nowhere", 3) == []


def test_the_peak_of_memory_counts_what_was_given_back() -> None:
    program = (
        "from astrollama.training.metrics import peak_memory_bytes\n"
        "before = peak_memory_bytes('cpu')\n"
        "block = b'x' * (200 * 2**20)\n"
        "del block\n"
        "print(before, peak_memory_bytes('cpu'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    before, after = map(int, done.stdout.split())
    assert 20 * 2**20 < before < 2**30
    assert after - before > 150 * 2**20


def test_the_peak_of_memory_of_a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    block = torch.zeros(64 * 2**20, dtype=torch.uint8, device="cuda")
    assert peak_memory_bytes("cuda") >= block.numel()
