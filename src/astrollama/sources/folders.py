"""Which files of a folder hold papers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from astrollama.errors import SourceError
from astrollama.runs import MANIFEST, STAGE

# what stages and the `datasets` library write beside the papers
_NOT_PAPERS = (
    MANIFEST,
    STAGE,
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "cache-*.arrow",  # what was once computed from the papers
)
# the files of papers in what our own stages write; the papers that a corpus rejected are left out
_STAGE_FILES = {
    "harvest": ("papers.parquet",),
    "latex": ("papers.parquet",),
    "corpus": ("train.parquet", "validation.parquet", "test.parquet"),
}


def paper_files(folder: Path, is_known: Callable[[Path], bool]) -> list[Path]:
    """The files in a folder and its folders that `is_known` takes, in the order of their names.

    Hidden files and folders are left alone, and so is what describes a data set. Of a folder that one of our stages
    wrote, what counts are the papers that it gives on.

    Raises:
        SourceError: a stage has not finished its folder, or gives no papers.
        OSError: a folder cannot be read.
    """
    if (manifest := _manifest_of(folder)) is not None:
        stage = manifest["stage"]
        if stage not in _STAGE_FILES:
            raise SourceError(f"{folder} was written by the stage {stage!r}", "give a folder that holds papers")
        files = [folder / name for name in _STAGE_FILES[stage] if (folder / name).is_file()]
        # a corpus may have nothing to validate
        return [file for file in files if not _is_empty(file, manifest)] or files
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or any(fnmatchcase(entry.name, pattern) for pattern in _NOT_PAPERS):
            continue
        if entry.is_dir() and not entry.is_symlink():
            found += paper_files(entry, is_known)
        elif entry.is_file() and is_known(entry):
            found.append(entry)
    return found


def _is_empty(file: Path, manifest: Mapping[str, Any]) -> bool:
    counts = manifest.get("counts")
    return isinstance(counts, dict) and counts.get(file.stem) == 0


def _manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of the stage of ours that wrote a folder; None where none did."""
    if not (folder / MANIFEST).is_file():
        if (folder / STAGE).is_file():
            raise SourceError(f"{folder} holds an unfinished run", "let it end first")
        return None
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (ValueError, RecursionError):
        return None  # of another program
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("stage"), str) else None
