"""Likelihoods of continuations on disk: two tasks ask the same questions, and an hour's work survives a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from astrollama.backends.base import ContinuationLikelihood, Scorer
from astrollama.evaluation.store import Rows, Store, key_of

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
        self._store = Store(path, "continuations", {"nll": "REAL", "num_tokens": "INTEGER", "greedy": "INTEGER"})
        self._identity = identity

    def loglikelihood(self, scorer: Scorer, pairs: Sequence[Pair]) -> list[ContinuationLikelihood]:
        """As `Scorer.loglikelihood`, which is asked only for the pairs that are not here yet.

        Raises:
            RunError: the file is damaged, or cannot be read or written.
        """
        keys = [key_of(self._identity, *pair) for pair in pairs]
        with self._store.opened() as rows:
            missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if rows.get(key) is None}
            _add(rows, scorer, missing)
            return [
                ContinuationLikelihood(row[0], row[1], bool(row[2]))
                for key in keys
                if (row := rows.get(key)) is not None
            ]


def _add(rows: Rows, scorer: Scorer, missing: dict[bytes, Pair]) -> None:
    items = list(missing.items())
    for start in range(0, len(items), PAIRS_AT_ONCE):
        part = items[start : start + PAIRS_AT_ONCE]
        scored = scorer.loglikelihood([pair for _, pair in part])
        rows.add((key, own.nll, own.num_tokens, own.greedy) for (key, _), own in zip(part, scored, strict=True))
