"""Vectors of texts on disk: several tasks embed the same abstracts, and an hour's work survives a crash."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from astrollama.backends.base import Encoder, Pooling
from astrollama.console import progress
from astrollama.errors import ModelError, RunError

# Texts that are embedded before they are written: what a crash loses at most.
TEXTS_AT_ONCE = 64


class VectorCache:
    """The vectors of one system, in one SQLite file.

    Args:
        identity: what decides the vectors, such as the digest of the weights: others under the same path are not taken.
    """

    def __init__(self, path: Path, identity: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._identity = identity

    def embed(self, encoder: Encoder, texts: Sequence[str], pooling: Pooling) -> np.ndarray:
        """As `Encoder.embed`, which is asked only for the texts that are not here yet.

        Raises:
            RunError: the file is damaged or cannot be written.
            ModelError: a vector has values that are not finite.
        """
        keys = [_key(self._identity, text, pooling) for text in texts]
        with self._opened() as database:
            missing = {key: text for key, text in zip(keys, texts, strict=True) if not _has(database, key)}
            self._add(database, encoder, missing, pooling)
            return self._stacked([_read(database, key) for key in keys])

    def _add(self, database: sqlite3.Connection, encoder: Encoder, missing: dict[bytes, str], pooling: Pooling) -> None:
        items = list(missing.items())
        with progress(f"embedding with {encoder.name}", len(items)) as bar:
            for start in range(0, len(items), TEXTS_AT_ONCE):
                part = items[start : start + TEXTS_AT_ONCE]
                vectors_ND = encoder.embed([text for _, text in part], pooling=pooling).astype(np.float32)
                if not np.isfinite(vectors_ND).all():
                    raise ModelError(
                        f"{encoder.name} gives vectors with values that are not finite",
                        "its weights are damaged, or its numbers too narrow: try another device or model",
                    )
                rows = [(key, vector_D.tobytes()) for (key, _), vector_D in zip(part, vectors_ND, strict=True)]
                with database:
                    database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
                bar.update(start + len(part))

    def _stacked(self, blobs: Sequence[Any]) -> np.ndarray:
        if not blobs:
            return np.empty((0, 0), np.float32)
        try:
            return np.stack([np.frombuffer(blob, dtype=np.float32) for blob in blobs])
        except (TypeError, ValueError) as error:
            raise self._damaged("a vector of another length") from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path)) as database:
                database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
                yield database
        except sqlite3.OperationalError as error:  # a full disk, another process, no permission
            raise RunError(f"{self._path} cannot be used ({error})", "mend that, and give the command again") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> RunError:
        return RunError(f"{self._path} is damaged ({why})", "delete it, and give the command again")


def _key(identity: str, text: str, pooling: Pooling) -> bytes:
    return hashlib.sha256(f"{identity}\n{pooling}\n{text}".encode("utf-8", "surrogatepass")).digest()


def _has(database: sqlite3.Connection, key: bytes) -> bool:
    return database.execute("SELECT 1 FROM vectors WHERE key = ?", (key,)).fetchone() is not None


def _read(database: sqlite3.Connection, key: bytes) -> Any:
    return database.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()[0]
