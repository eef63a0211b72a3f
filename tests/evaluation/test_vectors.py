import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from astrollama.backends.base import Ability
from astrollama.errors import ModelError, RunError
from astrollama.evaluation import vectors
from astrollama.evaluation.vectors import VectorCache
from astrollama.models.pooling import Pooling


class LetterCounter:
    """How often each of four letters stands in a text; it remembers what it was asked."""

    name = "letters"
    digest = None
    abilities: frozenset[Ability] = frozenset({"embed"})

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stops_at = ""

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        if self.stops_at in texts and self.stops_at:
            raise KeyboardInterrupt
        self.asked += texts
        weight = {"mean": 1, "last": 2, "echo": 3}[pooling]
        return np.array([[weight * text.count(letter) for letter in "abcd"] for text in texts], dtype=np.float32)


@pytest.fixture
def encoder() -> LetterCounter:
    return LetterCounter()


@pytest.fixture
def cache(tmp_path: Path) -> VectorCache:
    return VectorCache(tmp_path / "new" / "vectors.sqlite", "one")


def test_order_and_duplicates_are_those_of_the_texts(cache: VectorCache, encoder: LetterCounter) -> None:
    texts = ["ab", "ddd", "ab", "", "c"]
    found = cache.embed(encoder, texts, "mean")
    assert found.dtype == np.float32
    assert found.tolist() == LetterCounter().embed(texts).tolist()
    assert encoder.asked == ["ab", "ddd", "", "c"], "a duplicate is embedded once"
    assert cache.embed(encoder, texts[::-1], "mean").tolist() == found[::-1].tolist()
    assert len(encoder.asked) == 4, "nothing is embedded twice"


def test_each_pooling_has_its_own_vectors(cache: VectorCache, encoder: LetterCounter) -> None:
    assert [cache.embed(encoder, ["a"], pooling)[0, 0] for pooling in ("mean", "last", "echo")] == [1, 2, 3]


def test_no_text_has_no_vector(cache: VectorCache, encoder: LetterCounter) -> None:
    assert cache.embed(encoder, [], "mean").shape == (0, 0)


def test_what_was_embedded_survives_a_crash(
    cache: VectorCache, encoder: LetterCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "TEXTS_AT_ONCE", 2)
    texts = ["a", "b", "c", "d", "aa"]
    encoder.stops_at = "d"
    with pytest.raises(KeyboardInterrupt):
        cache.embed(encoder, texts, "mean")
    assert encoder.asked == ["a", "b"]
    encoder.stops_at = ""
    assert cache.embed(encoder, texts, "mean").tolist() == LetterCounter().embed(texts).tolist()
    assert encoder.asked == texts


@pytest.mark.parametrize(
    "content", [b"no database, however long this text may be " * 40, b"SQLite format 3\x00" + b"\x01" * 600]
)
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, encoder: LetterCounter, content: bytes) -> None:
    path = tmp_path / "vectors.sqlite"
    path.write_bytes(content)
    with pytest.raises(
        RunError, match=r"vectors\.sqlite is damaged .*: delete it, and give the command again"
    ) as caught:
        VectorCache(path, "one").embed(encoder, ["a"], "mean")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("vector", [b"\x00" * 8, b"\x00" * 7, "text", None])
def test_a_damaged_vector_is_no_vector(tmp_path: Path, encoder: LetterCounter, vector: object) -> None:
    path = tmp_path / "vectors.sqlite"
    VectorCache(path, "one").embed(encoder, ["a", "b"], "mean")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE vectors SET vector = ? WHERE key = (SELECT min(key) FROM vectors)", (vector,))
    with pytest.raises(RunError, match="is damaged"):
        VectorCache(path, "one").embed(encoder, ["a", "b"], "mean")


def test_a_path_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path, encoder: LetterCounter) -> None:
    path = tmp_path / "vectors.sqlite"
    path.mkdir()
    with pytest.raises(RunError, match="cannot be used"):
        VectorCache(path, "one").embed(encoder, ["a"], "mean")


def test_a_vector_that_is_not_finite_is_refused_and_not_kept(
    cache: VectorCache, encoder: LetterCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "embed", lambda texts, pooling: np.full((len(texts), 4), np.nan))
        with pytest.raises(ModelError, match="letters gives vectors with values that are not finite"):
            cache.embed(encoder, ["a"], "mean")
    assert cache.embed(encoder, ["a"], "mean").tolist() == [[1, 0, 0, 0]]


def test_an_encoder_says_how_many_texts_it_takes_at_a_time(
    cache: VectorCache, encoder: LetterCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def embed(texts: Sequence[str], *, pooling: Pooling) -> np.ndarray:
        sizes.append(len(texts))
        return LetterCounter().embed(texts, pooling=pooling)

    monkeypatch.setattr(encoder, "embed", embed)
    cache.embed(encoder, [f"usual {number}" for number in range(vectors.TEXTS_AT_ONCE + 1)], "mean")
    assert sizes == [vectors.TEXTS_AT_ONCE, 1]
    monkeypatch.setattr(encoder, "texts_at_once", 200, raising=False)
    cache.embed(encoder, [f"many {number}" for number in range(201)], "mean")
    assert sizes[2:] == [200, 1]


def test_another_model_under_the_same_path_does_not_get_its_vectors(tmp_path: Path, encoder: LetterCounter) -> None:
    for identity in ("one", "other"):
        VectorCache(tmp_path / "vectors.sqlite", identity).embed(encoder, ["a"], "mean")
    assert encoder.asked == ["a", "a"]
