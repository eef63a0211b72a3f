"""Directories that stages write: locked while at work, complete only when `manifest.json` is there.

A stage opens its directory with `stage_directory`, which tells it whether the work is already done, begun or new, and
writes the manifest last, so that a directory without one never passes for a result.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from astrollama.errors import RunError, UserInputError
from astrollama.files import (
    TEMPORARY_PREFIX,
    Json,
    disk_errors,
    read_json,
    remove,
    sha256_file,
    write_json,
)
from astrollama.provenance import command, hardware, versions

MANIFEST = "manifest.json"
STAGE = "stage.json"
LOCK = ".lock"
_DAMAGED_FIX = "restore it, or move its directory away and run that stage again"
State = Literal["new", "unfinished", "complete"]


@dataclass
class StageDirectory:
    """A directory that a stage works in.

    Attributes:
        state: `new`, `unfinished` (the same stage with the same identity stopped here before) or `complete`.
        identity: what makes two executions the same: hashes of the inputs and every setting that counts.
    """

    path: Path
    stage: str
    identity: Mapping[str, Json]
    state: State
    started: float = field(default_factory=time.monotonic)

    def records(self, files: list[str]) -> dict[str, Json]:
        """Size and SHA-256 of files, by their path relative to the directory."""
        return {name: _file_record(self.path / name) for name in files}

    def finish(self, files: list[str], counts: Mapping[str, Json], **more: Json) -> dict[str, Json]:
        """Write the manifest, which makes the directory complete; `files` are paths relative to it.

        Raises:
            OSError: the disk is full, or a file is missing.
        """
        manifest = {
            "stage": self.stage,
            "identity": dict(self.identity),
            "command": command(),
            "versions": versions(),
            "hardware": hardware(),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self.started, 1),
            "counts": dict(counts),
            "files": self.records(files),
            **more,
        }
        write_json(self.path / MANIFEST, manifest)
        (self.path / STAGE).unlink(missing_ok=True)
        return manifest


@contextmanager
def stage_directory(
    path: Path,
    stage: str,
    identity: Mapping[str, Json],
    *,
    disposable: Collection[str],
    keeps: str = "",
    extensible: Collection[str] = (),
) -> Iterator[StageDirectory]:
    """Open `path` for a stage, alone.

    A run that stopped before its end starts over: what it wrote, the names or patterns in `disposable`, is removed, also
    at once when it fails or is interrupted. A stage that can go on names in `keeps` the folder it goes on from: while
    that folder holds a file, nothing is removed and the identity must be the same.

    Args:
        extensible: keys of the identity in which a later run may differ. A complete directory is then unfinished again:
            its manifest goes, and is written anew at the end.

    Raises:
        RunError: `path` holds another run, foreign files, or another process is at work in it.
    """
    identity = json.loads(json.dumps(identity))
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    state = stage_state(path, stage, identity, keeps, extensible)
    if state == "complete":
        _tidy(path)
        yield StageDirectory(path, stage, identity, state)
        return
    try:
        _make(path)
        with locked(path):
            try:
                # another process may have finished since
                state = stage_state(path, stage, identity, keeps, extensible)
                if state == "complete":
                    yield StageDirectory(path, stage, identity, state)
                    return
                if state == "new":
                    _remove_unfinished(path, [*disposable, keeps])
                write_json(path / STAGE, {"stage": stage, "identity": identity})
                (path / MANIFEST).unlink(missing_ok=True)
                with disk_errors(path):
                    yield StageDirectory(path, stage, identity, state)
            except BaseException:
                if not (path / MANIFEST).exists() and not _can_go_on(path, keeps):
                    _remove_unfinished(path, [*disposable, keeps])
                raise
    finally:
        for folder in missing:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def stage_state(
    path: Path, stage: str, identity: Mapping[str, Json], keeps: str = "", extensible: Collection[str] = ()
) -> State:
    """What a directory is to a stage: `new`, `unfinished` (it can go on) or `complete`.

    Raises:
        RunError: the directory holds another run or foreign files, or what it held is damaged.
    """
    found = _found(path)
    if found is None:
        return "new"
    done = (path / MANIFEST).is_file()
    resumable = _can_go_on(path, keeps)
    if not done and not resumable and found.get("stage") == stage:
        return "new"
    fixed = {key: value for key, value in identity.items() if key not in extensible}
    held = {key: value for key, value in found.get("identity", {}).items() if key not in extensible}
    differences = _differences(found | {"identity": held}, {"stage": stage, "identity": fixed})
    if differences:
        raise _other_run(path, differences)
    if done:
        _require_whole(path, found)
    return "complete" if done and found["identity"] == identity else "unfinished"


def refuse_early(path: Path, stage: str) -> None:
    """Refuse at once, before an identity is computed, an output that `stage_directory` would refuse whatever it is.

    A complete directory is not asked whether it can be written to: it may be that nothing has to be.

    Raises:
        RunError: `path` is a file, holds foreign files or another stage's, cannot be written to, or another process is at
            work in it.
    """
    found = _found(path)
    if found and found.get("stage") != stage:
        raise _other_run(path, _differences(found, {"stage": stage}))
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            with locked(path):
                pass
        return
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise RunError(f"{path} cannot be made ({parent} is a file)", "choose another --out")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RunError(f"{path} cannot be made ({os.strerror(errno.EACCES)})", "choose another --out")


def refuse_inside(path: Path, sources: Iterable[Path]) -> None:
    """Refuse an output within a folder that is to be read, which would be read too.

    Raises:
        UserInputError: `path` lies inside one of the folders among `sources`.
    """
    for source in sources:
        if source.is_dir() and path.resolve().is_relative_to(source.resolve()):
            raise UserInputError(f"{path} lies inside {source}, which is to be read", "choose an --out beside it")


def read_manifest(path: Path, stage: str) -> dict[str, Json]:
    """The manifest of a complete directory of `stage`.

    Raises:
        RunError: there is no such directory, it is unfinished, or another stage wrote it.
    """
    if not path.is_dir():
        raise RunError(f"{path} is not a directory", f"give the directory that the {stage} stage wrote")
    if not (path / MANIFEST).is_file():
        unfinished = (path / STAGE).is_file()
        what = "holds an unfinished run" if unfinished else f"has no {MANIFEST}"
        raise RunError(f"{path} {what}", f"run the {stage} stage to its end first")
    manifest = read_json(path / MANIFEST, _DAMAGED_FIX)
    if manifest.get("stage") != stage:
        raise RunError(
            f"{path} was written by the stage {manifest.get('stage')!r}", f"give a directory of the {stage} stage"
        )
    return manifest


def verify_files(path: Path, manifest: Mapping[str, Json], names: Collection[str] | None = None) -> None:
    """Compare files of a complete directory, all of them if `names` is None, with the hashes in its manifest.

    Raises:
        RunError: a file is missing or is not what the stage wrote.
    """
    for name in manifest["files"] if names is None else names:
        if not (path / name).is_file() or sha256_file(path / name) != manifest["files"][name]["sha256"]:
            raise _damaged(path, name)


def _can_go_on(path: Path, keeps: str) -> bool:
    """Whether there is something to go on from; a folder that was only made is nothing, nor is what was half written."""
    whole = (
        entry
        for entry in (path / keeps).rglob("*")
        if entry.is_file() and not any(part.startswith(TEMPORARY_PREFIX) for part in entry.relative_to(path).parts)
    )
    return bool(keeps) and any(whole)


def _found(path: Path) -> dict[str, Json] | None:
    """What a directory tells of itself, in its manifest or by the stage that is unfinished; None if it is empty or none.

    Raises:
        RunError: it is a file, or holds foreign files.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file", "choose a directory for the output")
    if not path.exists() or all(entry.name.startswith((LOCK, TEMPORARY_PREFIX)) for entry in path.iterdir()):
        return None
    for name in (MANIFEST, STAGE):
        if (path / name).is_file():
            return read_json(path / name, _DAMAGED_FIX)
    raise RunError(f"{path} is not empty and holds no run of this stage", "choose another --out, or empty it")


def _other_run(path: Path, differences: Sequence[str]) -> RunError:
    kind = "another run" if (path / MANIFEST).is_file() else "another, unfinished run"
    return RunError(
        f"{path} holds {kind} ({'; '.join(differences[:3])})",
        "choose another --out, give the same settings again, or delete that directory",
    )


def _tidy(path: Path) -> None:
    """Remove what a process left that was killed just after it had completed the directory."""
    if (path / STAGE).exists():
        with suppress(RunError, OSError), locked(path):
            (path / STAGE).unlink(missing_ok=True)


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be made ({error.strerror})", "choose another --out") from error


def _require_whole(path: Path, manifest: Mapping[str, Json]) -> None:
    for name, record in manifest["files"].items():
        if not (path / name).is_file() or (path / name).stat().st_size != record["bytes"]:
            raise _damaged(path, name)


def _damaged(path: Path, name: str) -> RunError:
    return RunError(f"{path / name} is missing or damaged", f"delete {path} and make it again")


def _differences(found: Json, wanted: Json, prefix: str = "") -> list[str]:
    """Each leaf that differs, as `key: found, now wanted`."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        # A manifest holds more than the stage and its identity: at the top only the keys asked for are compared.
        keys = wanted if not prefix else {**found, **wanted}
        result = []
        for key in keys:
            name = key if not prefix or prefix == "identity" else f"{prefix}.{key}"
            result += _differences(found.get(key), wanted.get(key), name)
        return result
    if found == wanted:
        return []
    return [f"{prefix} is {_short(found)}, now {_short(wanted)}"]


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:12]}…{text[-6:]}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out of a directory within the block.

    Raises:
        RunError: another process is at work there, or nothing can be written there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path / LOCK)
    try:
        with disk_errors(path):
            lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"another process is at work in {path}", "wait for it to end, or choose another --out") from None
    except OSError as error:
        raise RunError(f"nothing can be written in {path} ({error.strerror})", "choose another --out") from error
    try:
        yield
    finally:
        (path / LOCK).unlink(missing_ok=True)
        lock.release()


def _remove_unfinished(path: Path, disposable: Collection[str]) -> None:
    for entry in path.iterdir():
        if any(fnmatchcase(entry.name, pattern) for pattern in (STAGE, f"{TEMPORARY_PREFIX}*", *disposable)):
            remove(entry)


def _file_record(path: Path) -> dict[str, Json]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
