from collections.abc import Callable, Sequence

import numpy as np
import pytest

from astrollama.evaluation.retrieval.lexical import Scores, bm25, tfidf

Method = Callable[[Sequence[str], Sequence[str]], Scores]


@pytest.mark.parametrize("method", [bm25, tfidf])
def test_a_rare_word_finds_its_text(method: Method, sample_texts: list[str]) -> None:
    pool = [*sample_texts[:30], f"{sample_texts[30]} A kilonova was seen.", *sample_texts[31:40]]
    scores = method(["A KILONOVA"], pool)(0)
    assert scores.shape == (40,)
    assert scores.argmax() == 30


@pytest.mark.parametrize("method", [bm25, tfidf])
def test_queries_are_scored_one_by_one(method: Method, sample_texts: list[str]) -> None:
    scores = method(sample_texts[:12], sample_texts[:20])
    assert [int(scores(query).argmax()) for query in range(12)] == list(range(12))


def test_bm25_by_hand() -> None:
    pool = ["dust dust galaxy", "galaxy cluster", "planet"]
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    frequency, length, mean_length = 2, 3, 2
    expected = idf * frequency / (frequency + 1.5 * (1 - 0.75 + 0.75 * length / mean_length))
    assert bm25(["dust"], pool)(0) == pytest.approx([expected, 0, 0], rel=1e-5)


def test_tfidf_is_a_cosine() -> None:
    scores = tfidf(["dust in galaxies"], ["dust in galaxies", "dust in discs", "planets"])(0)
    assert scores[0] == pytest.approx(1)
    assert 0 < scores[1] < 1
    assert scores[2] == 0


@pytest.mark.parametrize("method", [bm25, tfidf])
@pytest.mark.parametrize("query", ["", "!", "of the", "kilonova"])
def test_a_query_without_a_known_word_finds_nothing(method: Method, query: str) -> None:
    scores = method([query], ["dust", "gas"])(0)
    assert scores.tolist() == [0, 0]


@pytest.mark.parametrize("method", [bm25, tfidf])
def test_a_pool_without_words_scores_nothing(method: Method) -> None:
    assert method(["dust"], ["", "$ + $"])(0).tolist() == [0, 0]
