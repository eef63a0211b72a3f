"""TF-IDF and logistic regression: what the words alone tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from astrollama.evaluation.categories.labels import LabelledTexts
from astrollama.evaluation.categories.logistic import choose_c, fit_multi, fit_single, softmax
from astrollama.evaluation.categories.outcome import Prediction

STRENGTHS = (1.0, 10.0, 100.0)
STRENGTH_OF_MANY = 3.0
# Below this many texts a word need not occur in two to count.
FEW_TEXTS = 20


def predict_by_words(train: LabelledTexts, texts: Sequence[str], num_labels: int) -> Prediction:
    """Learn from `train`, the strength of the penalty by cross-validation, and categorise `texts`."""
    features, others = _features(train.texts, texts)
    c = choose_c(features, train.targets_N, num_labels, STRENGTHS)
    probabilities_NC = softmax(fit_single(features, train.targets_N, num_labels, c).logits(others))
    all_NC = fit_multi(features, train.categories_NC, c).logits(others) > 0
    return Prediction.of_probabilities(probabilities_NC, all_NC)


def predict_by_words_of_many(train: LabelledTexts, texts: Sequence[str], num_labels: int) -> Prediction:
    """One category a text, learnt from tens of thousands: the strength is fixed, as each fit takes long."""
    features, others = _features(train.texts, texts)
    linear = fit_single(features, train.targets_N, num_labels, STRENGTH_OF_MANY)
    return Prediction.of_probabilities(softmax(linear.logits(others)))


def _features(train: Sequence[str], others: Sequence[str]) -> tuple[Any, Any]:
    """Single words, the logarithm of their counts, weighted by rarity; pairs of words took ten times as long for no more."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, min_df=1 if len(train) < FEW_TEXTS else 2, token_pattern=r"\b\w+\b", dtype=np.float64
    )
    return vectorizer.fit_transform(train), vectorizer.transform(others)
