"""Files that are written whole or not at all, JSON, and hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrollama.errors import AstroLlamaError, RunError

TEMPORARY_PREFIX = ".partial-"

Json = Any


def read_json(
    path: Path, fix: str = "restore it, or move it away and give the command that wrote it again"
) -> dict[str, Json]:
    """A JSON object from a file that we wrote.

    Args:
        fix: what to do about a damaged one; nothing that would lose other files.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"there is no {path}", "check the path") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror})", "check the path and its permissions") from error
    except ValueError as error:
        raise RunError(f"{path} cannot be read ({error})", f"it is damaged: {fix}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object", f"it is damaged: {fix}")
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
    remove(partial)
    try:
        with disk_errors(path):
            yield partial
            for entry in [partial, *sorted(partial.rglob("*"))]:
                if entry.is_file():
                    entry.chmod(0o666 & ~_umask())  # some libraries write files that only the owner can read
                _flush(entry)
        _replace(path, partial)
    except BaseException:
        remove(partial)
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


def remove(path: Path) -> None:
    """Remove a file or a folder; what is not there is no error."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, partial: Path) -> None:
    """Put `partial` in the place of `path`; of a folder there is always the old or the new one, whole."""
    if path.is_dir() and partial.is_file():
        raise RunError(f"{path} is a folder", "give the name of a file")
    old = path.with_name(f"{TEMPORARY_PREFIX}old-{path.name}")
    if path.is_dir():
        remove(old)
        path.replace(old)
    partial.replace(path)
    _flush(path.parent)
    remove(old)


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
