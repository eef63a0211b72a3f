"""Which categories there are to tell apart, and the documents that have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from astrollama.evaluation.data import EvaluationData
from astrollama.records import ASTRO_PH_CATEGORIES, Document
from astrollama.sections import EvaluateSection

# Fewer tell little of a category.
MIN_DOCUMENTS_A_CATEGORY = 20
MAX_CATEGORIES = 12
_ASTRO_PH = "astro-ph"


@dataclass(frozen=True)
class LabelledTexts:
    """N texts, each with one category and possibly more, of C.

    Attributes:
        targets_N: the number of each text's primary category.
        categories_NC: bool, all categories that a text has, the primary one among them.
        num_left_out: documents that were passed over because their primary category is none of the C.
    """

    ids: list[str]
    texts: list[str]
    targets_N: np.ndarray
    categories_NC: np.ndarray
    num_left_out: int


def find_labels(documents: Sequence[Document]) -> tuple[str, ...]:
    """The categories that training documents can be told apart by, sorted.

    In a corpus of astronomy these are the subcategories of astro-ph that occur in it. Papers from before 2009 have a bare
    `astro-ph`, which is no label. In another corpus they are the `MAX_CATEGORIES` most frequent primary categories with
    at least `MIN_DOCUMENTS_A_CATEGORY` documents.
    """
    counts = Counter(document.primary_category for document in documents)
    in_astronomy = sum(count for category, count in counts.items() if category.split(".")[0] == _ASTRO_PH)
    if 2 * in_astronomy >= len(documents):
        return tuple(category for category in sorted(ASTRO_PH_CATEGORIES) if counts[category])
    frequent = counts.most_common(MAX_CATEGORIES)
    return tuple(sorted(category for category, count in frequent if count >= MIN_DOCUMENTS_A_CATEGORY))


def plain_name(label: str) -> str:
    """What arXiv calls a category; the category itself where we have no name for it."""
    return ASTRO_PH_CATEGORIES.get(label, label)


def training_texts(data: EvaluationData, labels: tuple[str, ...], settings: EvaluateSection) -> LabelledTexts:
    """The first `num_train_labelled` labelled training documents: the same for every system."""
    return label_documents(data.train, labels, settings.num_train_labelled)


def test_texts(data: EvaluationData, labels: tuple[str, ...], settings: EvaluateSection) -> LabelledTexts:
    """The first `num_test_labelled` labelled held-out documents: the same for every system."""
    return label_documents(data.test, labels, settings.num_test_labelled)


def label_documents(documents: Sequence[Document], labels: tuple[str, ...], limit: int) -> LabelledTexts:
    """The first `limit` documents whose primary category is among `labels`."""
    chosen: list[Document] = []
    num_left_out = 0
    for document in documents:
        if len(chosen) == limit:
            break
        if document.primary_category in labels:
            chosen.append(document)
        else:
            num_left_out += 1
    targets_N = np.array([labels.index(document.primary_category) for document in chosen], dtype=int)
    categories_NC = one_hot(targets_N, len(labels))
    for row_C, document in zip(categories_NC, chosen, strict=True):
        row_C |= [label in document.categories for label in labels]
    return LabelledTexts(
        [document.id for document in chosen],
        [document.text for document in chosen],
        targets_N,
        categories_NC,
        num_left_out,
    )


def one_hot(targets_N: np.ndarray, num_labels: int) -> np.ndarray:
    """Bool, of shape (N, C)."""
    matrix_NC: np.ndarray = targets_N[:, None] == np.arange(num_labels)
    return matrix_NC
