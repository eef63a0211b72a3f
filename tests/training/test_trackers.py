"""TensorBoard and trackio themselves: what they hold after a run, a resumed run, and a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from astrollama.errors import UserInputError
from astrollama.training import trackers
from astrollama.training.metrics import metrics_log, read_metrics
from astrollama.training.trackers import PROJECT, TENSORBOARD, open_trackers, require_trackers, run_name

NEEDS_TRACKIO = "trackio is not installed (extra `track`)"
NEEDS_TENSORBOARD = "tensorboard is not installed (extra `track`)"


def shown(run: Path, tag: str) -> list[tuple[int, float]]:
    """What TensorBoard shows of a run: steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / TENSORBOARD)).Reload()
    return [(event.step, round(event.value, 4)) for event in events.Scalars(tag)]


def test_tensorboard_has_each_record_at_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=NEEDS_TENSORBOARD)
    with metrics_log(tmp_path, 0, ["tensorboard"], "tiny", {"train": {"seed": 1}}) as write:
        write({"step": 1, "loss": 4.5, "lr": 0.001})
        write({"step": 1, "validation_nll": 4.25})
        # a run that is killed here has lost nothing
        assert shown(tmp_path, "loss") == [(1, 4.5)]
        assert shown(tmp_path, "validation_nll") == [(1, 4.25)]
    assert len(read_metrics(tmp_path)) == 2


def test_tensorboard_shows_no_step_of_a_resumed_run_twice(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=NEEDS_TENSORBOARD)
    for last_step, steps, loss in ((0, range(1, 9), 4.0), (5, range(6, 8), 3.0), (6, range(7, 10), 2.0)):
        with open_trackers(["tensorboard"], tmp_path, last_step, "tiny", {}) as track:
            for step in steps:
                track({"step": step, "loss": loss})
    assert shown(tmp_path, "loss") == [(step, 4.0 if step <= 5 else 3.0 if step == 6 else 2.0) for step in range(1, 10)]


_TRACKIO_RUN = """
import json, sys
from pathlib import Path
from astrollama.training.trackers import open_trackers

def refuse(event, arguments):
    assert not event.startswith(("socket.connect", "socket.getaddrinfo", "socket.sendto")), (event, arguments)

sys.addaudithook(refuse)
for last_step, steps in json.loads(sys.argv[2]):
    with open_trackers(["trackio"], Path(sys.argv[1]), last_step, "tiny", {"seed": 1}) as track:
        for step in range(steps[0], steps[1] + 1):
            track({"step": step, "loss": 5 - step / 10, "lr": 0.001})
"""


def trackio_runs(
    tmp_path: Path, *starts: tuple[int, tuple[int, int]], run: str = "run"
) -> subprocess.CompletedProcess[str]:
    """Log steps from and to after `last_step`, in a process of its own: trackio reads `TRACKIO_DIR` when it is imported."""
    (tmp_path / run).mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", _TRACKIO_RUN, str(tmp_path / run), json.dumps(starts)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio"), "OMP_NUM_THREADS": "1"},
    )


def stored(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """What trackio's own reader finds: the logs of each run by its name."""
    program = (
        "import json\nfrom trackio import Api\nfrom trackio.sqlite_storage import SQLiteStorage as S\n"
        f"runs = list(Api().runs({PROJECT!r}))\nassert len({{run.name for run in runs}}) == len(runs)\n"
        f"print(json.dumps({{run.name: S.get_logs({PROJECT!r}, run.name, run_id=run.id) for run in runs}}))"
    )
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def test_trackio_keeps_runs_apart_shows_no_step_twice_and_contacts_nobody(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason=NEEDS_TRACKIO)
    done = trackio_runs(tmp_path, (0, (1, 8)), (5, (6, 12)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "failed" not in done.stderr
    assert "trackio show --project astrollama" in done.stderr
    assert trackio_runs(tmp_path, (0, (1, 3)), run="other").returncode == 0

    runs = stored(tmp_path)
    assert set(runs) == {run_name("tiny", tmp_path / "run"), run_name("tiny", tmp_path / "other")}
    logs = runs[run_name("tiny", tmp_path / "run")]
    assert [(log["step"], log["loss"], log["lr"]) for log in logs] == [(n, 5 - n / 10, 0.001) for n in range(1, 13)]


@pytest.mark.parametrize("name", ["tensorboard", "trackio"])
def test_a_missing_package_is_told_before_the_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _name: None)
    with pytest.raises(UserInputError, match=rf"'{name}'.* not installed: pip install 'astrollama\[track\]'"):
        require_trackers([name])


def test_trackio_set_up_to_send_the_metrics_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _name: object())
    monkeypatch.setenv("TRACKIO_SPACE_ID", "someone/space")
    with pytest.raises(UserInputError, match="TRACKIO_SPACE_ID is set"):
        require_trackers(["trackio"])
    require_trackers(["tensorboard"])


def test_a_tracker_that_fails_is_told_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard", reason=NEEDS_TENSORBOARD)
    from torch.utils.tensorboard import SummaryWriter

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with metrics_log(tmp_path, 0, ["tensorboard"], "tiny", {}) as write:
        write({"step": 1, "loss": 4.0})
        monkeypatch.setattr(SummaryWriter, "add_scalar", full)
        write({"step": 2, "loss": 3.0})
        write({"step": 3, "loss": 2.0})
    assert [record["step"] for record in read_metrics(tmp_path)] == [1, 2, 3]
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: tensorboard has failed and is left out from here on (OSError")


def test_a_tracker_that_cannot_be_opened_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard", reason=NEEDS_TENSORBOARD)
    (tmp_path / TENSORBOARD).write_text("a file where the folder should be")
    with metrics_log(tmp_path, 0, ["tensorboard"], "tiny", {}) as write:
        write({"step": 1, "loss": 4.0})
    assert len(read_metrics(tmp_path)) == 1
    assert capsys.readouterr().err.count("warning: tensorboard has failed") == 1
