"""What `astrollama export` left in a directory, as its card and its publication need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astrollama.errors import RunError
from astrollama.files import read_json
from astrollama.models.folder import (
    BASE_RECORD,
    ENCODER_RECORD,
    adapter_digest,
    read_base_record,
    weights_digest,
)
from astrollama.models.packaged import PACKAGED_MODELS
from astrollama.models.registry import MERGE_STAGE, TRAIN_STAGE, local_folder, record_folders
from astrollama.runs import MANIFEST, read_manifest, verify_files

EXPORT_STAGE = "export"


@dataclass(frozen=True)
class Exported:
    """An export directory.

    Attributes:
        path: the directory.
        format: what its files are for.
        digest: of the model that was exported, before any rounding.
        base: what that model was trained from; "" where it does not tell.
        source: where that model was.
        files: {bytes, sha256} of each file, by its path in the directory.
        checks: of parity, by what was compared with the source.
    """

    path: Path
    format: Literal["hf", "adapter", "gguf"]
    digest: str
    base: str
    source: str
    files: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Mapping[str, Any]]

    @property
    def is_encoder(self) -> bool:
        """Whether it makes vectors and predicts no tokens."""
        return ENCODER_RECORD in self.files

    def quantization(self) -> str | None:
        """How the weights of its base were rounded where it is an adapter on rounded ones, else None."""
        return read_base_record(self.path).quantization if BASE_RECORD in self.files else None

    def is_of(self, digest: str) -> str:
        """What a model's digest is: `source`, `export` (the exported weights, which may be rounded), or "" for another's."""
        if digest == self.digest:
            return "source"
        if self.format == "gguf":
            return ""
        own = adapter_digest(self.path, read_base_record(self.path)) if self.format == "adapter" else None
        return "export" if digest == (own or weights_digest(self.path)) else ""


def read_export(path: Path) -> Exported:
    """An export directory whose files are those that were written, and were found equal to the model they come from.

    Raises:
        RunError: it is no export, is unfinished or changed, or was compared with nothing.
    """
    manifest = read_manifest(path, EXPORT_STAGE)
    verify_files(path, manifest)
    checks = manifest.get("parity", {}).get("checks")
    if not checks:
        raise RunError(f"{path} was not compared with the model that it comes from", "export the model again")
    model, base = manifest["model"], manifest["base"] or {"name": ""}
    return Exported(path, manifest["format"], model["digest"], base["name"], model["name"], manifest["files"], checks)


def made_from(name: str) -> str | None:
    """What a model was trained or merged from, as it records it; None of one that is nobody's child, or does not tell."""
    if name in PACKAGED_MODELS:
        return None
    folder = local_folder(name)
    for home in record_folders(folder) if folder.is_dir() else ():
        manifest = read_json(home / MANIFEST) if (home / MANIFEST).is_file() else {}
        if manifest.get("stage") in (TRAIN_STAGE, MERGE_STAGE, EXPORT_STAGE) and manifest.get("base"):
            return str(manifest["base"]["name"])
    return read_base_record(folder).name if (folder / BASE_RECORD).is_file() else None
