"""TF-IDF and logistic regression: what the words alone tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.evaluation.categories.labels import LabelledTexts
from astrollama.evaluation.categories.logistic import Linear, choose_c, fit_multi, fit_single, softmax
from astrollama.evaluation.categories.outcome import Prediction

STRENGTHS = (1.0, 10.0, 100.0)
STRENGTH_OF_MANY, STRENGTH_WITH_PAIRS = 3.0, 10.0
# In how many texts a word must occur to count: in one of fewer texts than these, in three of as many and more.
FEW_TEXTS, MANY_TEXTS = 20, 1000


@dataclass(frozen=True)
class WordClassifier:
    """What was learnt from words: logits of C categories from the TF-IDF of a text."""

    vectorizer: Any
    linear: Linear

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Of shape (N, C)."""
        return self.linear.logits(self.vectorizer.transform(texts))

    @property
    def vocabulary(self) -> list[str]:
        """The words that count, and pairs with a space between, in the order of the weights."""
        words: list[str] = self.vectorizer.get_feature_names_out().tolist()
        return words

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """What was learnt of V words: `idf`, their rarity, of shape (V,), `weights`, of shape (C, V), and `bias`, of shape (C,)."""
        return {"idf": self.vectorizer.idf_, "weights": self.linear.weights_CD, "bias": self.linear.bias_C}

    @classmethod
    def restored(cls, vocabulary: Sequence[str], tensors: Mapping[str, np.ndarray]) -> WordClassifier:
        """One from what another's `vocabulary` and `tensors` were."""
        vectorizer = _vectorizer(pairs=any(" " in word for word in vocabulary), vocabulary=list(vocabulary))
        vectorizer.idf_ = tensors["idf"]
        return cls(vectorizer, Linear(tensors["weights"], tensors["bias"]))

    def has_known_word(self, texts: Sequence[str]) -> np.ndarray:
        """Bool, of shape (N,): whether a text has any word that was seen in training."""
        has_N: np.ndarray = self.vectorizer.transform(texts).getnnz(axis=1) > 0
        return has_N


def learn_words(texts: Sequence[str], targets_N: np.ndarray, num_labels: int, *, pairs: bool = False) -> WordClassifier:
    """Learn one category a text from thousands: the strength is fixed, as each fit takes long.

    Args:
        pairs: learn pairs of neighbouring words, too. They take five times as long, and tell more where texts are many.
    """
    vectorizer, features = _vectorized(texts, pairs)
    c = STRENGTH_WITH_PAIRS if pairs else STRENGTH_OF_MANY
    return WordClassifier(vectorizer, fit_single(features, targets_N, num_labels, c))


def predict_by_words(train: LabelledTexts, texts: Sequence[str], num_labels: int) -> Prediction:
    """Learn from `train`, the strength of the penalty by cross-validation, and categorise `texts`."""
    vectorizer, features = _vectorized(train.texts)
    others = vectorizer.transform(texts)
    c = choose_c(features, train.targets_N, num_labels, STRENGTHS)
    probabilities_NC = softmax(fit_single(features, train.targets_N, num_labels, c).logits(others))
    all_NC = fit_multi(features, train.categories_NC, c).logits(others) > 0
    return Prediction.of_probabilities(probabilities_NC, all_NC)


def _vectorized(texts: Sequence[str], pairs: bool = False) -> tuple[Any, Any]:
    """What makes TF-IDF of texts, and that of these."""
    least = 1 if len(texts) < FEW_TEXTS else 3 if len(texts) >= MANY_TEXTS else 2
    vectorizer = _vectorizer(pairs, min_df=least)
    return vectorizer, vectorizer.fit_transform(texts)


def _vectorizer(pairs: bool, **settings: Any) -> Any:
    """Of words, the logarithm of their counts, weighted by rarity."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2 if pairs else 1),
        sublinear_tf=True,
        token_pattern=r"\b\w+\b",
        dtype=np.float64,
        **settings,
    )
