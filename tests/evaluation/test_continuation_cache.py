from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from astrollama.backends.base import ContinuationLikelihood
from astrollama.errors import RunError
from astrollama.evaluation import continuation_cache
from astrollama.evaluation.continuation_cache import ContinuationCache, Pair

PAIRS = [("a", " b"), ("a", " longer"), ("", "c"), ("a", " b")]


class Counting:
    """Gives each pair a likelihood of its own, and keeps what it was asked; one pair may be its last."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[Pair] = []
        self._fails_at = fails_at

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[ContinuationLikelihood]:
        if self._fails_at is not None and len(self.asked) >= self._fails_at:
            raise KeyboardInterrupt
        self.asked += pairs
        return [ContinuationLikelihood(len(after) / 3, len(after), after == " b") for _, after in pairs]


def test_each_pair_is_asked_once_and_answered_as_by_the_model(tmp_path: Path) -> None:
    scorer = Counting()
    first = ContinuationCache(tmp_path / "kept" / "cache.sqlite", "one").loglikelihood(scorer, PAIRS)  # type: ignore[arg-type]
    assert scorer.asked == PAIRS[:3]
    again = ContinuationCache(tmp_path / "kept" / "cache.sqlite", "one").loglikelihood(scorer, PAIRS[::-1])  # type: ignore[arg-type]
    assert scorer.asked == PAIRS[:3]
    assert first == again[::-1] == Counting().loglikelihood(PAIRS)


def test_another_model_s_answers_are_not_found(tmp_path: Path) -> None:
    for identity in ("one", "other"):
        scorer = Counting()
        ContinuationCache(tmp_path / "cache.sqlite", identity).loglikelihood(scorer, PAIRS)  # type: ignore[arg-type]
        assert scorer.asked == PAIRS[:3]


def test_a_crash_loses_the_part_that_was_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation_cache, "PAIRS_AT_ONCE", 1)
    cache = ContinuationCache(tmp_path / "cache.sqlite", "one")
    with pytest.raises(KeyboardInterrupt):
        cache.loglikelihood(Counting(fails_at=2), PAIRS)  # type: ignore[arg-type]
    scorer = Counting()
    cache.loglikelihood(scorer, PAIRS)  # type: ignore[arg-type]
    assert scorer.asked == PAIRS[2:3]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"this is no database, however long it goes on" * 50)
    with pytest.raises(RunError, match=r"cache.sqlite is damaged .*: delete it"):
        ContinuationCache(path, "one").loglikelihood(Counting(), PAIRS)  # type: ignore[arg-type]


def test_a_file_that_another_process_holds_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache.sqlite"
    cache = ContinuationCache(path, "one")
    cache.loglikelihood(Counting(), PAIRS[:1])  # type: ignore[arg-type]
    connect = sqlite3.connect
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, timeout=0))
        with pytest.raises(RunError, match=r"cache\.sqlite cannot be used \(database is locked\): mend that"):
            cache.loglikelihood(Counting(), PAIRS)  # type: ignore[arg-type]


def test_no_two_pairs_share_a_key(tmp_path: Path) -> None:
    cache, scorer = ContinuationCache(tmp_path / "cache.sqlite", "one"), Counting()
    cache.loglikelihood(scorer, [("a\0b", "c"), ("a", "b\0c")])  # type: ignore[arg-type]
    assert len(scorer.asked) == 2
