"""Publishing, against a hub on loopback that can be written to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest

from astrollama.cli.main import run
from tests.release.standin import OWNER, READER, TOKEN, Answer, Repository, WritableHub, serve, sha256
from tests.release.trained import trained

REPO = f"{OWNER}/tiny-astro"


@pytest.fixture(scope="session")
def with_card(tiny_model: Path, sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = trained(tiny_model, sample_corpus, tmp_path_factory.getbasetemp() / "release")
    exported = folder / "exported"
    words = ["card", exported, "--evaluation", folder / "evaluation", "--corpus", sample_corpus, "--licence", "mit"]
    assert run([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def exported(with_card: Path, tmp_path: Path) -> Path:
    shutil.copytree(with_card / "exported", tmp_path / "exported")
    return tmp_path / "exported"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableHub]:
    """A hub whose owner's token is set; the client reads the hub's address when it is imported, so it is set there."""
    with serve() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        yield hub
        huggingface_hub.close_session()


def publish(exported: Path, *more: str) -> int:
    return run(["publish", str(exported), "--repo", REPO, *more])


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that an error is."""
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def names(exported: Path) -> set[str]:
    return {path.name for path in exported.iterdir()} - {"manifest.json"}


def test_without_yes_nothing_is_asked_of_the_hub(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(exported) == 0
    told = capsys.readouterr().out
    assert not hub.steps
    assert "nothing was sent: add --yes" in told
    assert f"{hub.url}/{REPO}" in told
    for name in names(exported):
        content = (exported / name).read_bytes()
        assert f"{len(content):,}  {sha256(content)}  {name}" in told
    assert "license                mit" in told


def test_the_list_of_what_was_trained_on_can_be_kept_back(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(exported) == 0
    assert "documents.parquet" in capsys.readouterr().out
    assert publish(exported, "--no-documents") == 0
    assert "documents.parquet" not in capsys.readouterr().out


def test_the_plan_for_programs(hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(exported, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["published"] is None
    assert {own["name"] for own in plan["files"]} == names(exported)
    assert plan["num_metrics"] > 0


@pytest.mark.parametrize("part_bytes", [0, 100_000], ids=["in one piece", "in parts"])
def test_all_files_are_shown_by_one_commit(
    hub: WritableHub,
    exported: Path,
    capsys: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
    part_bytes: int,
) -> None:
    hub.part_bytes = part_bytes
    assert publish(exported, "--yes", "--private") == 0
    own = hub.repositories[REPO]
    assert own.private
    assert len(own.commits) == 1
    assert own.files.keys() - {".gitattributes"} == names(exported)
    for name in names(exported):
        assert own.files[name] == (exported / name).read_bytes(), name
    assert "model.safetensors" in own.large
    assert hub.steps[-1] == "info", "what the hub lists is asked for at the end"
    captured = capsys.readouterr()
    assert "what the hub lists is what was sent" in captured.out
    assert "Xet" not in captured.err
    assert not [own for own in recwarn if "data file" in str(own.message)]


def test_a_second_time_nothing_is_sent(hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(exported, "--yes") == 0
    hub.steps.clear()
    assert publish(exported, "--yes") == 0
    assert hub.steps == ["info"]
    assert "holds all of this already" in capsys.readouterr().err


def test_the_address_and_the_token_come_from_the_environment(hub: WritableHub, exported: Path) -> None:
    """In a process of its own, where the client reads them itself, with its own ways of uploading switched on."""
    command = [sys.executable, "-m", "astrollama.cli", "publish", str(exported), "--repo", REPO, "--yes"]
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.repositories[REPO].files.keys() >= names(exported)


def _change_a_file(exported: Path) -> None:
    with (exported / "config.json").open("a") as file:
        file.write(" ")


def _remove_the_card(exported: Path) -> None:
    (exported / "README.md").unlink()


def _edit_manifest(exported: Path, **values: object) -> None:
    path = exported / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _edit_card(exported: Path, old: str, new: str) -> None:
    text = (exported / "README.md").read_text(encoding="utf-8")
    assert old in text
    (exported / "README.md").write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_change_a_file, "config.json is missing or damaged"),
        (_remove_the_card, "README.md is missing: make the model's card first"),
        (lambda path: _edit_manifest(path, parity={}), "was not compared with the model that it comes from"),
        (lambda path: _edit_manifest(path, stage="merge"), "was written by the stage 'merge'"),
        (lambda path: (path / "manifest.json").unlink(), "has no manifest.json"),
        (lambda path: _edit_card(path, "license: mit\n", ""), "its header has no license"),
        (lambda path: _edit_card(path, "license: mit", "license: [mit"), "its header cannot be read"),
        (lambda path: _edit_card(path, "      value: ", "      value: x"), "which is no finite number"),
        (lambda path: (path / "README.md").write_bytes(b"\xe9t\xe9"), "it is no UTF-8 text"),
    ],
    ids=["changed", "no card", "no parity", "no export", "unfinished", "no licence", "no YAML", "no number", "latin 1"],
)
def test_what_must_not_be_published_is_refused_before_the_hub_is_asked(
    hub: WritableHub,
    exported: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object],
    message: str,
) -> None:
    spoil(exported)
    assert publish(exported, "--yes") == 2
    assert message in error_line(capsys)
    assert not hub.steps


@pytest.mark.parametrize(
    "repo", ["tiny", "a/b/c", "owner/", "own er/x", "owner/a--b", "owner/model.git", f"owner/{'m' * 97}"]
)
def test_names_that_are_no_repository(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str], repo: str
) -> None:
    assert run(["publish", str(exported), "--repo", repo, "--yes"]) == 2
    assert "is no name of a repository: write OWNER/NAME" in error_line(capsys)


def test_the_cards_metrics_must_be_those_of_the_evaluation(
    hub: WritableHub, with_card: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = str(with_card / "evaluation")
    assert publish(exported, "--evaluation", evaluation) == 0
    capsys.readouterr()
    _edit_card(exported, "      value: ", "      value: 1")
    assert publish(exported, "--evaluation", evaluation) == 2
    assert "are not those of" in error_line(capsys)


def test_what_the_hub_refuses_is_one_line(
    hub: WritableHub,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert publish(exported, "--yes") == 2
    assert "does not accept the token: set HF_TOKEN" in error_line(capsys)

    monkeypatch.setenv("HF_TOKEN", READER)
    assert publish(exported, "--yes") == 2
    assert f"the token may not write to {REPO}" in error_line(capsys)

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run(["publish", str(exported), "--repo", "somebody/tiny", "--yes"]) == 2
    assert "the token may not write to somebody/tiny" in error_line(capsys)

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    assert publish(exported, "--yes") == 2
    assert "there is no token for the hub: set HF_TOKEN" in error_line(capsys)
    assert not hub.repositories


def test_the_hubs_own_check_of_the_card_comes_before_anything_is_sent(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit_card(exported, "license: mit", "license: beerware")
    assert publish(exported, "--yes") == 2
    assert 'the hub does not take the card ("license" must be one of' in error_line(capsys)
    assert hub.steps == ["info", "validate"]


def test_what_the_hub_remarks_on_the_card_is_passed_on(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.warnings = ["no dataset is named"]
    assert publish(exported, "--yes") == 0
    assert "warning: Warnings while validating metadata in README.md: - no dataset is named" in capsys.readouterr().err


def test_a_repository_that_holds_other_files_is_added_to_only_when_asked(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories[REPO] = Repository(private=False, files={"old.gguf": b"old", "config.json": b"{}"})
    assert publish(exported, "--yes") == 2
    assert f"{REPO} exists and holds 2 files (such as config.json): add --update" in error_line(capsys)
    assert publish(exported, "--yes", "--private", "--update") == 2
    assert f"{REPO} is public: make it private on the hub" in error_line(capsys)
    assert hub.repositories[REPO].files["config.json"] == b"{}"

    assert publish(exported, "--yes", "--update") == 0
    assert hub.repositories[REPO].files["old.gguf"] == b"old"
    assert hub.repositories[REPO].files["config.json"] == (exported / "config.json").read_bytes()


def test_an_upload_that_breaks_off_goes_on_with_what_is_missing(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults["commit"] = lambda _: Answer(507, {"error": "Insufficient storage"})
    assert publish(exported, "--yes") == 1
    count = len(names(exported))
    line = error_line(capsys)
    assert f"the upload to {REPO} broke off (" in line
    assert f"{count} of {count} files were sent, and {REPO} was made and is empty: give the same command again" in line
    assert hub.repositories[REPO].files.keys() == {".gitattributes"}
    assert hub.steps.count("store") > 0

    hub.steps.clear()
    assert publish(exported, "--yes") == 0
    assert "store" not in hub.steps, "large files are not sent twice"
    assert hub.repositories[REPO].files.keys() >= names(exported)


def test_a_connection_that_is_cut_is_tried_again(hub: WritableHub, exported: Path) -> None:
    hub.faults["store"] = lambda _: Answer(0)
    assert publish(exported, "--yes") == 0
    assert hub.repositories[REPO].files["model.safetensors"] == (exported / "model.safetensors").read_bytes()


def test_a_hub_that_falls_silent_after_the_commit(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def commit(properly: Callable[[], Answer]) -> Answer:
        hub.faults["info"] = lambda _: Answer(503)
        return properly()

    hub.faults["commit"] = commit
    assert publish(exported, "--yes") == 1
    assert f"{REPO} shows all files, but what it lists was not compared with them" in error_line(capsys)
    assert publish(exported, "--yes") == 0
    assert "holds all of this already" in capsys.readouterr().err


def test_ctrl_c_says_what_was_sent(
    hub: WritableHub, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", interrupt)
    assert publish(exported, "--yes") == 130
    assert f"files were sent, and {REPO} may show all of them or none: give the same command again" in error_line(
        capsys
    )


def test_what_the_hub_lists_is_compared_with_what_was_sent(
    hub: WritableHub, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("model.safetensors", "config.json"):
        hub.lies = {name}
        hub.repositories.clear()
        assert publish(exported, "--yes") == 1
        assert "is not what was sent: look at the repository" in error_line(capsys)


def test_a_hub_that_is_not_there(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve() as hub:
        closed = hub.url
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", closed)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert publish(exported, "--yes") == 1
    assert f"{closed} cannot be reached" in error_line(capsys)


def test_files_that_tell_of_this_machine_are_warned_of(
    hub: WritableHub, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit_card(exported, "## Limits", f"{exported.parent}\n\n## Limits")
    assert publish(exported) == 0
    assert f"warning: README.md names a place of this machine, {exported.parent}" in capsys.readouterr().err
