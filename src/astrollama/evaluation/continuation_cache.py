"""Likelihoods of continuations on disk: two tasks ask the same questions, and an hour's work survives a crash."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from astrollama.backends.base import ContinuationLikelihood, Scorer
from astrollama.errors import RunError

# Pairs that are scored before they are written: what a crash loses at most.
PAIRS_AT_ONCE = 4096

Pair = tuple[str, str]


class ContinuationCache:
    """The likelihoods that one model gave, in one SQLite file."""

    def __init__(self, path: Path, identity: str) -> None:
        """Open a file, or make one.

        Args:
            identity: what decides the model's answers; another model's are not found.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._identity = identity

    def loglikelihood(self, scorer: Scorer, pairs: Sequence[Pair]) -> list[ContinuationLikelihood]:
        """As `Scorer.loglikelihood`, which is asked only for the pairs that are not here yet.

        Raises:
            RunError: the file is damaged.
        """
        keys = [self._key(pair) for pair in pairs]
        try:
            with closing(sqlite3.connect(self._path)) as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS continuations "
                    "(key BLOB PRIMARY KEY, nll REAL, num_tokens INTEGER, greedy INTEGER)"
                )
                missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if not _read(database, key)}
                for start in range(0, len(missing), PAIRS_AT_ONCE):
                    part = list(missing.items())[start : start + PAIRS_AT_ONCE]
                    scored = scorer.loglikelihood([pair for _, pair in part])
                    rows = [
                        (key, likelihood.nll, likelihood.num_tokens, likelihood.greedy)
                        for (key, _), likelihood in zip(part, scored, strict=True)
                    ]
                    with database:
                        database.executemany("INSERT OR REPLACE INTO continuations VALUES (?, ?, ?, ?)", rows)
                return [likelihood for key in keys if (likelihood := _read(database, key))]
        except sqlite3.DatabaseError as error:
            raise RunError(f"{self._path} is damaged ({error})", "delete it, and give the command again") from error

    def _key(self, pair: Pair) -> bytes:
        return hashlib.sha256("\0".join([self._identity, *pair]).encode("utf-8", "surrogatepass")).digest()


def _read(database: sqlite3.Connection, key: bytes) -> ContinuationLikelihood | None:
    row = database.execute("SELECT nll, num_tokens, greedy FROM continuations WHERE key = ?", (key,)).fetchone()
    return row and ContinuationLikelihood(row[0], row[1], bool(row[2]))
