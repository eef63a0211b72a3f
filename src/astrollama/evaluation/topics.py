"""The category of a text as an independent classifier tells it: TF-IDF and logistic regression, learned from training abstracts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from astrollama.records import UNKNOWN, Document

MAX_DOCUMENTS = 8000
LEAST_SHARE = 0.01
# Fewer tell little of a category.
MIN_DOCUMENTS_A_CATEGORY = 10


class TopicClassifier:
    """Tells primary categories; made by `learn_topics`."""

    def __init__(self, vectoriser: Any, classifier: Any) -> None:
        self._vectoriser = vectoriser
        self._classifier = classifier
        self.categories = frozenset(str(name) for name in classifier.classes_)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The likeliest category of each text; "" of one that has no known word."""
        features = self._vectoriser.transform(texts)
        known = features.getnnz(axis=1) > 0
        return [str(name) if has else "" for name, has in zip(self._classifier.predict(features), known, strict=True)]


def learn_topics(documents: Sequence[Document], held_out: Sequence[Document], seed: int) -> TopicClassifier | None:
    """Learn the categories of the held-out documents from the first `MAX_DOCUMENTS` training documents that have one.

    Left out are categories of less than `LEAST_SHARE` of the held-out documents, which would only take texts from others:
    the archive as it was before it was divided, or fields of single cross-listed papers.

    Returns:
        None where no two categories are left that could be told apart.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    least = LEAST_SHARE * len(held_out)
    wanted = {name for name, count in _by_category(held_out).items() if count >= least} - {UNKNOWN}
    documents = [document for document in documents if document.primary_category in wanted][:MAX_DOCUMENTS]
    kept = {name for name, count in _by_category(documents).items() if count >= MIN_DOCUMENTS_A_CATEGORY}
    if len(kept) < 2:
        return None
    documents = [document for document in documents if document.primary_category in kept]
    vectoriser = TfidfVectorizer(sublinear_tf=True, min_df=2, stop_words="english")
    features = vectoriser.fit_transform([document.text for document in documents])
    classifier = LogisticRegression(C=4.0, max_iter=1000, random_state=seed)
    classifier.fit(features, [document.primary_category for document in documents])
    return TopicClassifier(vectoriser, classifier)


def _by_category(documents: Sequence[Document]) -> Counter[str]:
    return Counter(document.primary_category for document in documents)
