"""What a model was trained on and how goes with it wherever it goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.errors import RunError
from astrollama.evaluation.subject import describe_subject
from astrollama.models.history import TRAINING, training_of
from astrollama.models.merge import merge
from astrollama.models.registry import find_model
from astrollama.runs import MANIFEST, read_manifest, verify_files
from tests.models.test_merge import make_run


@pytest.fixture
def merged(tiny_model: Path, tmp_path: Path) -> Path:
    """Half the way from the base to a run's adapter; the run is gone."""
    lora_run = make_run(tiny_model, tmp_path / "run", "lora")
    merge(str(lora_run), tmp_path / "merged", None, 0.5)
    shutil.rmtree(lora_run)
    return tmp_path / "merged"


def test_a_run_tells_its_training_and_so_do_its_weights(tiny_model: Path, tmp_path: Path) -> None:
    made = make_run(tiny_model, tmp_path / "run", "full")
    told = training_of(made)
    assert told is not None
    assert (told.method, told.num_tokens, told.steps, told.seconds, told.alpha) == ("full", 300, 3, 1.5, 1.0)
    assert told.note is None
    assert told.recipe["model"]["base"] == str(tiny_model)
    assert training_of(made / "model") == told
    assert training_of(tiny_model) is None


def test_a_merge_tells_it_when_the_run_is_gone_and_names_no_place(merged: Path, tiny_model: Path) -> None:
    told = training_of(merged)
    assert told is not None
    assert (told.method, told.num_tokens, told.alpha) == ("lora", 300, 0.5)
    assert told.recipe["model"]["base"] == tiny_model.name
    assert str(tiny_model.parent) not in (merged / TRAINING).read_text(encoding="utf-8")
    verify_files(merged, read_manifest(merged, "merge"), [TRAINING])


def test_an_export_of_a_merge_tells_the_whole_way(merged: Path, tmp_path: Path) -> None:
    assert run(["export", str(merged), "--format", "hf", "--out", str(tmp_path / "exported")]) == 0
    told = training_of(tmp_path / "exported")
    assert told == training_of(merged)
    assert TRAINING in read_manifest(tmp_path / "exported", "export")["files"]
    summary = describe_subject(str(tmp_path / "exported")).summary()
    assert summary is not None
    assert (summary["num_tokens"], summary["alpha"], summary["final_loss"]) == (300, 0.5, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"steps": "many"}, r"training\.json tells no training \(steps: "), ({"else": 1}, r"\(else: Extra inputs")],
)
def test_a_record_that_was_changed_is_refused(merged: Path, change: dict[str, object], message: str) -> None:
    record = json.loads((merged / TRAINING).read_text(encoding="utf-8"))
    (merged / TRAINING).write_text(json.dumps(record | change), encoding="utf-8")
    with pytest.raises(RunError, match=message):
        training_of(merged)


def test_a_run_whose_manifest_lost_its_recipe_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    made = make_run(tiny_model, tmp_path / "run", "full")
    manifest = json.loads((made / MANIFEST).read_text(encoding="utf-8"))
    del manifest["recipe"]
    (made / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RunError, match=r"manifest\.json tells no training \(method: "):
        training_of(made)


@pytest.mark.parametrize("name", ["astrosmol-135m", "astrosmol-135m-encoder"])
def test_what_comes_with_the_package_tells_its_training(name: str) -> None:
    told = training_of(find_model(name).place)
    assert told is not None
    assert told.recipe["name"] == name
    assert told.method == "lora"
    assert told.num_tokens > 1_000_000
    assert told.note is not None
