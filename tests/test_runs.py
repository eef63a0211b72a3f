from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astrollama.errors import AstroLlamaError, RunError
from astrollama.files import atomic_path, read_json, write_json, write_text
from astrollama.runs import LOCK, locked, read_manifest, refuse_early, stage_directory, verify_files

IDENTITY: dict[str, Any] = {"settings": {"size": 1}, "input": "a.jsonl"}

# A stage in a process of its own: it writes its output and then does what the test asks for.
STAGE = """
import os, signal, sys
from pathlib import Path
from astrollama.runs import stage_directory
with stage_directory(Path(sys.argv[1]), "demo", {"n": 1}, disposable=["out.txt"]) as stage:
    (stage.path / "out.txt").write_text("half")
    print("at work", flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def run_stage(out: Path, identity: dict[str, Any] | None = None, content: str = "done") -> str:
    """Run a stage to its end; returns the state that it met."""
    with stage_directory(out, "demo", identity or IDENTITY, disposable=["out.txt"]) as stage:
        if stage.state != "complete":
            (stage.path / "out.txt").write_text(content)
            stage.finish(["out.txt"], {"files": 1})
        return stage.state


def fail_in_stage(out: Path, error: BaseException) -> None:
    with stage_directory(out, "demo", IDENTITY, disposable=["out.txt"]) as stage:
        (stage.path / "out.txt").write_text("half")
        (stage.path / ".partial-more.txt").write_text("half")
        raise error


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_and_fail(path: Path, write: Callable[[Path], object]) -> None:
    with atomic_path(path) as partial:
        write(partial)
        raise KeyboardInterrupt


def test_a_file_is_replaced_only_when_its_successor_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(path, lambda partial: partial.write_text("half"))
    assert path.read_text() == "old"
    assert files(tmp_path) == {"a.txt"}
    write_text(path, "new")
    assert path.read_text() == "new"
    assert files(tmp_path) == {"a.txt"}


def test_a_folder_is_replaced_only_when_its_successor_is_whole(tmp_path: Path) -> None:
    def make(folder: Path, name: str) -> None:
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / name).write_text(name)

    path = tmp_path / "model"
    make(path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(path, lambda partial: make(partial, "half"))
    assert files(path / "deep") == {"old"}
    with atomic_path(path) as partial:
        make(partial, "new")
    assert files(path / "deep") == {"new"}
    assert files(tmp_path) == {"model"}


def test_what_a_killed_process_left_is_no_part_of_the_next_file(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "model") as partial:
        left = partial
        partial.mkdir()
    left.mkdir()
    (left / "stale").write_text("x")
    with atomic_path(tmp_path / "model") as partial:
        partial.mkdir()
        (partial / "fresh").write_text("x")
    assert files(tmp_path / "model") == {"fresh"}


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "stats.png"
    folder.mkdir()
    (folder / "precious.txt").write_text("x")
    with pytest.raises((AstroLlamaError, OSError)):
        write_text(folder, "picture")
    assert files(folder) == {"precious.txt"}


def test_a_complete_stage_tells_what_it_wrote_and_is_not_run_again(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert run_stage(out) == "new"
    assert files(out) == {"manifest.json", "out.txt"}
    manifest = read_manifest(out, "demo")
    assert manifest["identity"] == IDENTITY
    assert manifest["counts"] == {"files": 1}
    assert manifest["files"] == {"out.txt": {"bytes": 4, "sha256": hashlib.sha256(b"done").hexdigest()}}
    assert run_stage(out, content="other") == "complete"
    assert (out / "out.txt").read_text() == "done"


def test_a_complete_stage_refuses_other_settings_and_shows_the_difference(tmp_path: Path) -> None:
    run_stage(tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(RunError, match=r"out holds another run \(settings\.size is 1, now 2\): choose another --out"):
        run_stage(tmp_path / "out", {**IDENTITY, "settings": {"size": 2}})
    with pytest.raises(
        RunError, match=r"another run \(settings\.size is 1, now null; .*settings\.length is null, now 3"
    ):
        run_stage(tmp_path / "out", {**IDENTITY, "settings": {"length": 3}})
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_a_directory_of_another_stage_is_refused(tmp_path: Path) -> None:
    run_stage(tmp_path / "out")
    with (
        pytest.raises(RunError, match=r'holds another run \(stage is "demo", now "train"'),
        stage_directory(tmp_path / "out", "train", IDENTITY, disposable=["out.txt"]),
    ):
        pytest.fail("the stage began")


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), RunError("a", "b")])
def test_a_stage_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        fail_in_stage(tmp_path / "out", error)
    assert files(tmp_path) == set()


def test_a_stage_that_fails_leaves_a_directory_that_was_there_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"):
        fail_in_stage(tmp_path, ValueError("x"))
    assert files(tmp_path) == set()


def test_a_directory_with_foreign_files_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("mine")
    with pytest.raises(
        RunError, match=r"is not empty and holds no run of this stage: choose another --out, or empty it"
    ):
        run_stage(tmp_path)
    assert files(tmp_path) == {"out.txt"}
    assert (tmp_path / "out.txt").read_text() == "mine"


def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(RunError, match="out is a file: choose a directory"):
        run_stage(tmp_path / "out")
    with pytest.raises(RunError, match=r"cannot be made \(Not a directory\): choose another --out"):
        run_stage(tmp_path / "out" / "deeper")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_stage_that_was_killed_starts_over_even_with_other_settings(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, "-c", STAGE, str(out), "die"], capture_output=True, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (out / "out.txt").read_text() == "half"
    with pytest.raises(RunError, match="out holds an unfinished run: run the demo stage to its end first"):
        read_manifest(out, "demo")
    (out / "notes.txt").write_text("mine")

    with stage_directory(out, "demo", IDENTITY, disposable=["out.txt"]) as stage:
        assert stage.state == "new"
        assert not (out / "out.txt").exists()
        stage.finish([], {})
    assert (out / "notes.txt").read_text() == "mine"
    assert read_manifest(out, "demo")["identity"] == IDENTITY


def test_what_another_stage_left_unfinished_is_refused_and_not_touched(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", STAGE, str(tmp_path), "die"], capture_output=True, timeout=60, check=False)
    with (
        pytest.raises(RunError, match=r'holds another, unfinished run \(stage is "demo", now "train"'),
        stage_directory(tmp_path, "train", IDENTITY, disposable=["out.txt"]),
    ):
        pytest.fail("the stage began")
    assert (tmp_path / "out.txt").read_text() == "half"


def test_a_directory_in_which_another_process_is_at_work_is_refused_and_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", STAGE, str(out), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "at work\n"
        with pytest.raises(RunError, match=r"another process is at work in .*out: wait for it to end, or choose"):
            run_stage(out)
        assert (out / "out.txt").read_text() == "half"
        other.kill()
    assert run_stage(out) == "new"
    assert (out / "out.txt").read_text() == "done"


def test_a_stage_that_can_go_on_keeps_what_it_has_and_insists_on_the_same_settings(tmp_path: Path) -> None:
    def begin(identity: dict[str, Any]) -> str:
        with stage_directory(tmp_path / "out", "demo", identity, disposable=["log.txt"], keeps="checkpoints") as stage:
            if stage.state == "unfinished":
                return stage.state
            (stage.path / "checkpoints").mkdir()
            (stage.path / "checkpoints" / "first").write_text("x")
            (stage.path / "log.txt").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(IDENTITY)
    assert {"checkpoints", "log.txt"} <= files(tmp_path / "out")
    with pytest.raises(RunError, match=r"holds another, unfinished run \(input is \"a\.jsonl\", now \"b\.jsonl\"\)"):
        begin({**IDENTITY, "input": "b.jsonl"})
    assert begin(IDENTITY) == "unfinished"
    assert {"checkpoints", "log.txt"} <= files(tmp_path / "out")


def test_a_folder_that_was_only_made_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    def begin() -> None:
        with stage_directory(tmp_path / "out", "demo", IDENTITY, disposable=["parts"], keeps="parts") as stage:
            (stage.path / "parts" / "empty").mkdir(parents=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"stage": "dem',
            r"manifest\.json cannot be read \(.*\): it is damaged: restore it, or move its directory away",
        ),
        (b"\xff\xfe", r"manifest\.json cannot be read"),
        (b"[]", r"manifest\.json holds no JSON object: it is damaged"),
        (b'{"stage": "train"}', r"out was written by the stage 'train': give a directory of the demo stage"),
        (None, r"out has no manifest\.json: run the demo stage to its end first"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    (tmp_path / "out").mkdir()
    if content is not None:
        (tmp_path / "out" / "manifest.json").write_bytes(content)
    with pytest.raises(RunError, match=message):
        read_manifest(tmp_path / "out", "demo")


def test_a_directory_that_is_none_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="out is not a directory: give the directory that the demo stage wrote"):
        read_manifest(tmp_path / "out", "demo")


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    value = {"ä": ["Å", 1.5, None], "nested": {"a": True}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "Å" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_what_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "a.json", tmp_path / "file" / "a.json"):
        with pytest.raises(RunError, match=rf"^there is no {path}: check the path$"):
            read_json(path)
    with pytest.raises(RunError, match=r"cannot be read \(Is a directory\): check the path and its permissions$"):
        read_json(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"])
def test_a_damaged_file_costs_no_other(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RunError, match=r"it is damaged: restore it, or move it away and give the command") as caught:
        read_json(tmp_path / "a.json")
    assert "delete" not in str(caught.value)


def test_a_full_disk_is_one_clear_error_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    script = """
import json, resource, sys
from pathlib import Path
from astrollama.errors import AstroLlamaError
from astrollama.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # Python ignores SIGXFSZ, so that writing fails
try:
    write_text(Path(sys.argv[1]), "x" * 100_000)
except AstroLlamaError as error:
    print(json.dumps([error.what, error.fix, error.exit_code]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, timeout=60, check=True)
    what, fix, exit_code = json.loads(done.stdout)
    assert what == f"the disk that holds {path} is full"
    assert "free some space" in fix
    assert exit_code == 1
    assert path.read_text() == "old"
    assert files(tmp_path) == {"a.txt"}


def test_a_stage_that_was_killed_before_it_had_begun_starts_over(tmp_path: Path) -> None:
    (tmp_path / ".partial-stage.json").write_text('{"sta')
    assert run_stage(tmp_path) == "new"


def test_a_changed_byte_is_found_where_files_are_verified(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with stage_directory(out, "stage", {}, disposable=["data"]) as stage:
        (out / "data").write_bytes(b"abc")
        stage.finish(["data"], {})
    manifest = read_manifest(out, "stage")
    verify_files(out, manifest)
    (out / "data").write_bytes(b"abd")
    with pytest.raises(RunError, match=r"data is missing or damaged: delete .* and make it again"):
        verify_files(out, manifest)


def test_an_output_that_cannot_be_used_is_refused_before_there_is_an_identity(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    run_stage(tmp_path / "done")
    for path, message in {
        tmp_path: "not empty and holds no run",
        tmp_path / "notes.txt": "is a file",
        tmp_path / "notes.txt" / "out": "notes.txt is a file",
    }.items():
        with pytest.raises(RunError, match=message):
            refuse_early(path, "demo")
    with pytest.raises(RunError, match=r'holds another run \(stage is "demo", now "train"\)'):
        refuse_early(tmp_path / "done", "train")
    refuse_early(tmp_path / "done", "demo")
    refuse_early(tmp_path / "deep" / "new", "demo")
    assert not (tmp_path / "deep").exists()


def test_a_directory_that_is_in_use_is_refused_early(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="another process is at work"):
        refuse_early(tmp_path, "demo")


def test_a_directory_in_which_nothing_can_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()  # what even the superuser cannot write to
    for use in (lambda: refuse_early(tmp_path, "demo"), lambda: run_stage(tmp_path)):
        with pytest.raises(RunError, match=rf"nothing can be written in {tmp_path} \(.+\): choose another --out"):
            use()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
@pytest.mark.parametrize("name", ["", "new"])
def test_a_read_only_directory_is_the_users_mistake(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(RunError, match=r"\(Permission denied\): choose another --out"):
        refuse_early(folder / name, "demo")
