"""Directories that stages write: locked while at work, complete only when `manifest.json` is there.

A stage opens its directory with `stage_directory`, which tells it whether the work is already done, begun or new, and
writes the manifest last, so that a directory without one never passes for a result.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from astrollama.errors import AstroLlamaError, RunError, UserInputError
from astrollama.provenance import command, hardware, versions

MANIFEST = "manifest.json"
STAGE = "stage.json"
LOCK = ".lock"
TEMPORARY_PREFIX = ".partial-"

Json = Any
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
    path: Path, stage: str, identity: Mapping[str, Json], *, disposable: Collection[str], keeps: str = ""
) -> Iterator[StageDirectory]:
    """Open `path` for a stage, alone.

    A run that stopped before its end starts over: what it wrote, the names or patterns in `disposable`, is removed, also
    at once when it fails or is interrupted. A stage that can go on names in `keeps` the folder it goes on from: while
    that folder holds a file, nothing is removed and the identity must be the same.

    Raises:
        RunError: `path` holds another run, foreign files, or another process is at work in it.
    """
    identity = json.loads(json.dumps(identity))
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    state = stage_state(path, stage, identity, keeps)
    if state == "complete":
        _tidy(path)
        yield StageDirectory(path, stage, identity, state)
        return
    try:
        _make(path)
        with locked(path):
            try:
                # another process may have finished since
                state = stage_state(path, stage, identity, keeps)
                if state == "complete":
                    yield StageDirectory(path, stage, identity, state)
                    return
                if state == "new":
                    _remove_unfinished(path, [*disposable, keeps])
                write_json(path / STAGE, {"stage": stage, "identity": identity})
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


def stage_state(path: Path, stage: str, identity: Mapping[str, Json], keeps: str = "") -> State:
    """What a directory is to a stage: `new`, `unfinished` (it can go on) or `complete`.

    Raises:
        RunError: the directory holds another run or foreign files, or what it held is damaged.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file", "choose a directory for the output")
    if not path.exists() or all(entry.name.startswith((LOCK, TEMPORARY_PREFIX)) for entry in path.iterdir()):
        return "new"
    done = (path / MANIFEST).is_file()
    if not done and not (path / STAGE).is_file():
        raise RunError(f"{path} is not empty and holds no run of this stage", "choose another --out, or empty it")
    found = read_json(path / (MANIFEST if done else STAGE))
    resumable = _can_go_on(path, keeps)
    if not done and not resumable and found.get("stage") == stage:
        return "new"
    differences = _differences(found, {"stage": stage, "identity": identity})
    if differences:
        kind = "another run" if done else "another, unfinished run"
        raise RunError(
            f"{path} holds {kind} ({'; '.join(differences[:3])})",
            "choose another --out, give the same settings again, or delete that directory",
        )
    if done:
        _require_whole(path, found)
    return "complete" if done else "unfinished"


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
    manifest = read_json(path / MANIFEST)
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


def read_json(path: Path) -> dict[str, Json]:
    """A JSON object from a file that we wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read ({error})", "it is damaged: delete its directory and run that stage again"
        ) from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object", "it is damaged: delete its directory and run that stage again")
    return value


def write_json(path: Path, value: Mapping[str, Json], *, shared: bool = False) -> None:
    """Write a JSON object atomically; `shared` as for `atomic_path`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", shared=shared)


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Write a text file atomically; `shared` as for `atomic_path`."""
    with atomic_path(path, shared=shared) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be no UTF-8


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)


@contextmanager
def atomic_path(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder to; it takes `path`'s place when the block ends well.

    The name keeps the suffix, the content is flushed to the disk before the rename, and nothing is left after a failure.

    Args:
        shared: several processes may write this very content at once, so that each needs a name of its own.
    """
    path = path.resolve()
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {path.parent}", "make it, or choose another place")
    own = f"{os.uname().nodename}-{os.getpid()}-" if shared else ""
    partial = path.with_name(f"{TEMPORARY_PREFIX}{own}{path.name}")
    _remove(partial)
    try:
        with disk_errors(path):
            yield partial
            for entry in [partial, *sorted(partial.rglob("*"))]:
                if entry.is_file():
                    entry.chmod(0o666 & ~_umask())  # some libraries write files that only the owner can read
                _flush(entry)
        _replace(path, partial)
    except BaseException:
        _remove(partial)
        raise


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Tell a full disk from other failures, whichever library met it.

    Raises:
        AstroLlamaError: nothing more can be written where `path` lies.
    """
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if full or any(
            text in str(error) for text in ("No space left", "os error 28", "File too large", "os error 27")
        ):
            raise AstroLlamaError(
                f"the disk that holds {path} is full",
                "free some space or choose another place, then give the command again",
            ) from error
        raise


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _can_go_on(path: Path, keeps: str) -> bool:
    """Whether there is something to go on from; a folder that was only made is nothing, nor is what was half written."""
    whole = (
        entry
        for entry in (path / keeps).rglob("*")
        if entry.is_file() and not any(part.startswith(TEMPORARY_PREFIX) for part in entry.relative_to(path).parts)
    )
    return bool(keeps) and any(whole)


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
        RunError: another process is at work there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
        yield
    except Timeout:
        raise RunError(f"another process is at work in {path}", "wait for it to end, or choose another --out") from None
    except BaseException:
        (path / LOCK).unlink(missing_ok=True)
        raise
    else:
        (path / LOCK).unlink(missing_ok=True)
    finally:
        lock.release()


def _remove_unfinished(path: Path, disposable: Collection[str]) -> None:
    for entry in path.iterdir():
        if any(fnmatchcase(entry.name, pattern) for pattern in (STAGE, f"{TEMPORARY_PREFIX}*", *disposable)):
            _remove(entry)


def _replace(path: Path, partial: Path) -> None:
    """Put `partial` in the place of `path`; of a folder there is always the old or the new one, whole."""
    if path.is_dir() and partial.is_file():
        raise RunError(f"{path} is a folder", "give the name of a file")
    old = path.with_name(f"{TEMPORARY_PREFIX}old-{path.name}")
    if path.is_dir():
        _remove(old)
        path.replace(old)
    partial.replace(path)
    _flush(path.parent)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_record(path: Path) -> dict[str, Json]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
