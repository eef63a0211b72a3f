"""Where models come from. Downloads run in their own process: the hub's address is read when its library is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from astrollama.errors import ModelError
from astrollama.models.folder import weights_digest
from astrollama.models.registry import find_model, list_models
from tests.models.hub import COMMIT, Hub, serve


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path) -> Iterator[Hub]:
    pickled = Path(shutil.copytree(tiny_model, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    other = Path(shutil.copytree(tiny_model, tmp_path / "gpt2"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with_code = Path(shutil.copytree(tiny_model, tmp_path / "code"))
    (with_code / "modeling.py").write_text("raise SystemExit('this must never run')")
    with serve({"org/tiny": with_code, "org/pickled": pickled, "org/other": other}) as served:
        yield served


def pull(model: str, hub_url: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HF_ENDPOINT": hub_url,
        "XDG_CACHE_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(cache),
    }
    command = [sys.executable, "-m", "astrollama.cli", "model", "pull", model, "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_model_is_pulled_from_the_hub_once_and_is_the_one_that_the_hub_has(
    hub: Hub, tiny_model: Path, tmp_path: Path
) -> None:
    done = pull("org/tiny", hub.url, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout)["path"])
    assert weights_digest(folder) == weights_digest(tiny_model)
    assert not (folder / "modeling.py").exists(), "code is not even downloaded"
    manifest = json.loads((folder.parent / "manifest.json").read_text())
    assert manifest["commit"] == COMMIT
    assert "model/model.safetensors" in manifest["files"]

    count = len(hub.requests)
    again = pull("org/tiny", hub.url, tmp_path / "cache")
    assert again.returncode == 0
    assert len(hub.requests) == count, "the second time nothing is asked"


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("org/pickled", 2, "has no safetensors on the hub"),
        ("org/other", 2, "type 'gpt2': give a LLaMA model"),
        ("org/missing", 2, "the hub has no model org/missing at main"),
        ("org/tiny@nowhere", 2, "the hub has no model org/tiny at nowhere"),
    ],
)
def test_what_the_hub_cannot_give_is_one_line_and_leaves_nothing(
    hub: Hub, tmp_path: Path, model: str, code: int, message: str
) -> None:
    done = pull(model, hub.url, tmp_path / "cache")
    assert done.returncode == code
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_weights_that_are_not_what_the_hub_says_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.lie_about.add("model.safetensors")
    done = pull("org/tiny", hub.url, tmp_path / "cache")
    assert done.returncode == 2
    assert "does not have the hub's SHA-256" in done.stderr
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_an_unreachable_hub_is_told_with_what_works_instead(tmp_path: Path) -> None:
    with serve({}) as hub:
        closed = hub.url
    done = pull("org/tiny", closed, tmp_path / "cache")
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "the model hub cannot be reached" in line
    assert "smollm2-135m comes from the package registry" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smolm2-135m", "did you mean smollm2-135m?"),
        ("./nowhere", "there is no model './nowhere'"),
        ("missing.gguf", r"there is no model 'missing.gguf'"),
    ],
)
def test_what_is_nowhere_is_told(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message.replace("?", r"\?")):
        find_model(spec)


def test_a_folder_of_gguf_files_is_told_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "a-Q4_0.gguf").touch()
    with pytest.raises(ModelError, match=rf"{tmp_path} holds GGUF files, .*: give {tmp_path / 'a-Q4_0.gguf'}$"):
        find_model(str(tmp_path))
    (tmp_path / "a-F16.gguf").touch()
    with pytest.raises(ModelError, match=r": give one of .*a-F16\.gguf, .*a-Q4_0\.gguf$"):
        find_model(str(tmp_path))


def test_a_directory_of_another_stage_is_told_as_that(sample_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no model, the stage 'corpus' wrote it: give the directory of a run"):
        find_model(str(sample_corpus))
    (tmp_path / "run").mkdir()
    (tmp_path / "manifest.json").write_text('{"stage": "demo"}')
    with pytest.raises(ModelError, match=rf"the stage 'demo' wrote it: give {tmp_path / 'run'}$"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("name", ["minilm", "all-MiniLM-L6-v2"])
def test_minilm_is_told_to_make_vectors_alone(name: str) -> None:
    with pytest.raises(ModelError, match=f"^{name} makes vectors alone: name a language model"):
        find_model(name)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"not a model at all" * 10)
    with pytest.raises(ModelError, match="is no readable GGUF file"):
        find_model(str(tmp_path / "model.gguf"))
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="is no GGUF file"):
        find_model(str(tmp_path / "model.bin"))


def test_the_packaged_model_is_listed_before_it_is_pulled() -> None:
    listed = {model["name"]: model for model in list_models()}
    assert listed["smollm2-135m"]["pulled"] is False
