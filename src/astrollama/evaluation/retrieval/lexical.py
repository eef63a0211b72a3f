"""Retrieval by words alone: the baselines BM25 and TF-IDF, which have no model behind them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

Scores = Callable[[int], np.ndarray]

_WORD = r"(?u)\b\w\w+\b"


def bm25(queries: Sequence[str], pool: Sequence[str]) -> Scores:
    """BM25 (Robertson et al. 1994) with k1 = 1.5 and b = 0.75, words in lower case without English stop words.

    Returns:
        From the place of a query to the scores of the P texts of the pool.
    """
    import bm25s

    def words(texts: Sequence[str]) -> list[list[str]]:
        tokens: list[list[str]] = bm25s.tokenize(
            list(texts), token_pattern=_WORD, stopwords="english", return_ids=False, show_progress=False
        )
        return tokens

    pool_words, query_words = words(pool), words(queries)
    if not any(pool_words):
        return _no_scores(pool)
    index = bm25s.BM25(k1=1.5, b=0.75)
    index.index(pool_words, show_progress=False)

    def scores(query: int) -> np.ndarray:
        known = [word for word in query_words[query] if word in index.vocab_dict]
        result: np.ndarray = index.get_scores(known) if known else np.zeros(len(pool))
        return result

    return scores


def tfidf(queries: Sequence[str], pool: Sequence[str]) -> Scores:
    """Cosines of TF-IDF vectors: one word and two, logarithmic term frequency, frequencies of documents from the pool.

    Returns:
        As `bm25`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(re.search(_WORD, text) for text in pool):
        return _no_scores(pool)
    vectorizer = TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True)
    # by rows of words, so that a query touches those of its own words alone
    words_VP = vectorizer.fit_transform(pool).T.tocsr()
    queries_QV = vectorizer.transform(queries)

    def scores(query: int) -> np.ndarray:
        result: np.ndarray = (queries_QV[query] @ words_VP).toarray()[0]
        return result

    return scores


def _no_scores(pool: Sequence[str]) -> Scores:
    """Of a pool without a word."""
    return lambda _: np.zeros(len(pool))
