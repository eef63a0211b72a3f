"""The classifier of hand-written rules: the category more of whose terms a text contains."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from astrollama.evaluation.categories.terms import TERMS

# A further category is given where it has this share of the first one's terms.
FURTHER_SHARE = 0.5


def has_rules(labels: Sequence[str]) -> bool:
    """Whether there are rules for all of these categories."""
    return all(label in TERMS for label in labels)


def count_terms(texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """How many different terms of each category each text contains, of shape (N, C)."""
    patterns = [[_pattern(term) for term in TERMS[label]] for label in labels]
    plain = [_plain(text) for text in texts]
    counts = [[sum(term.search(text) is not None for term in own) for own in patterns] for text in plain]
    return np.array(counts, dtype=float).reshape(len(texts), len(labels))


def classify_by_rules(counts_NC: np.ndarray, priors_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The category with most terms, the more frequent one of equals; and all categories with half as many.

    Args:
        priors_C: shares of the categories among training documents.

    Returns:
        The number of each text's category, and bool of shape (N, C).
    """
    # counts are whole numbers, so that shares below 1 decide between equals and nothing else
    first_N = (counts_NC + 0.5 * priors_C).argmax(axis=-1)
    most_N1 = counts_NC.max(axis=-1, keepdims=True)
    all_NC = (counts_NC > 0) & (counts_NC >= FURTHER_SHARE * most_N1)
    all_NC[np.arange(len(first_N)), first_N] = True
    return first_N, all_NC


def _plain(text: str) -> str:
    """In small letters, with one space between words, and without the marks of LaTeX maths that divide Lambda from CDM."""
    return " ".join(text.lower().replace("-", " ").replace("$", "").replace("\\", "").split())


def _pattern(term: str) -> re.Pattern[str]:
    ending = r"\w*" if term.endswith("*") else "s?"
    return re.compile(rf"\b{re.escape(term.removesuffix('*'))}{ending}\b")
