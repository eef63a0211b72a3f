"""The category of a text as an independent classifier tells it: TF-IDF and logistic regression, learned from training abstracts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from astrollama.evaluation.categories.labels import MIN_DOCUMENTS_A_CATEGORY
from astrollama.evaluation.categories.words import WordClassifier, learn_words
from astrollama.records import UNKNOWN, Document

MAX_DOCUMENTS = 8000
LEAST_SHARE = 0.01


class TopicClassifier:
    """Tells primary categories; made by `learn_topics`."""

    def __init__(self, words: WordClassifier, names: Sequence[str]) -> None:
        self._words = words
        self._names = names
        self.categories = frozenset(names)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The likeliest category of each text; "" of one that has no known word."""
        numbers_N, known_N = self._words.logits(texts).argmax(-1), self._words.has_known_word(texts)
        return [self._names[number] if known else "" for number, known in zip(numbers_N, known_N, strict=True)]


def learn_topics(documents: Sequence[Document], held_out: Sequence[Document]) -> TopicClassifier | None:
    """Learn the categories of the held-out documents from the first `MAX_DOCUMENTS` training documents that have one.

    Left out are categories of less than `LEAST_SHARE` of the held-out documents, which would only take texts from others:
    the archive as it was before it was divided, or fields of single cross-listed papers.

    Returns:
        None where no two categories are left that could be told apart.
    """
    least = LEAST_SHARE * len(held_out)
    wanted = {name for name, count in _by_category(held_out).items() if count >= least} - {UNKNOWN}
    documents = [document for document in documents if document.primary_category in wanted][:MAX_DOCUMENTS]
    names = sorted(name for name, count in _by_category(documents).items() if count >= MIN_DOCUMENTS_A_CATEGORY)
    if len(names) < 2:
        return None
    documents = [document for document in documents if document.primary_category in names]
    targets_N = np.array([names.index(document.primary_category) for document in documents])
    return TopicClassifier(learn_words([document.text for document in documents], targets_N, len(names)), names)


def _by_category(documents: Sequence[Document]) -> Counter[str]:
    return Counter(document.primary_category for document in documents)
