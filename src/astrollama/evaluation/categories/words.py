"""TF-IDF and logistic regression: what the words alone tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.evaluation.categories.labels import LabelledTexts
from astrollama.evaluation.categories.logistic import Linear, choose_c, fit_multi, fit_single, softmax
from astrollama.evaluation.categories.outcome import Prediction

STRENGTHS = (1.0, 10.0, 100.0)
STRENGTH_OF_MANY = 3.0
# Below this many texts a word need not occur in two to count.
FEW_TEXTS = 20


@dataclass(frozen=True)
class WordClassifier:
    """What was learnt from words: logits of C categories from the TF-IDF of a text."""

    vectorizer: Any
    linear: Linear

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Of shape (N, C)."""
        return self.linear.logits(self.vectorizer.transform(texts))

    def has_known_word(self, texts: Sequence[str]) -> np.ndarray:
        """Bool, of shape (N,): whether a text has any word that was seen in training."""
        has_N: np.ndarray = self.vectorizer.transform(texts).getnnz(axis=1) > 0
        return has_N


def learn_words(texts: Sequence[str], targets_N: np.ndarray, num_labels: int) -> WordClassifier:
    """Learn one category a text from thousands: the strength is fixed, as each fit takes long."""
    vectorizer, features = _vectorized(texts)
    return WordClassifier(vectorizer, fit_single(features, targets_N, num_labels, STRENGTH_OF_MANY))


def predict_by_words(train: LabelledTexts, texts: Sequence[str], num_labels: int) -> Prediction:
    """Learn from `train`, the strength of the penalty by cross-validation, and categorise `texts`."""
    vectorizer, features = _vectorized(train.texts)
    others = vectorizer.transform(texts)
    c = choose_c(features, train.targets_N, num_labels, STRENGTHS)
    probabilities_NC = softmax(fit_single(features, train.targets_N, num_labels, c).logits(others))
    all_NC = fit_multi(features, train.categories_NC, c).logits(others) > 0
    return Prediction.of_probabilities(probabilities_NC, all_NC)


def predict_by_words_of_many(train: LabelledTexts, texts: Sequence[str], num_labels: int) -> Prediction:
    """One category a text, by `learn_words`."""
    return Prediction.of_probabilities(softmax(learn_words(train.texts, train.targets_N, num_labels).logits(texts)))


def _vectorized(texts: Sequence[str]) -> tuple[Any, Any]:
    """What makes TF-IDF of texts, and that of these.

    Single words, the logarithm of their counts, weighted by rarity; pairs of words took ten times as long for no more.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, min_df=1 if len(texts) < FEW_TEXTS else 2, token_pattern=r"\b\w+\b", dtype=np.float64
    )
    return vectorizer, vectorizer.fit_transform(texts)
