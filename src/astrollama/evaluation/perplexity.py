"""Perplexity of base and adapted model on the same held-out documents, and how much lower the second is.

Perplexity is exp(summed negative log-likelihood / number of tokens) over all documents (never a mean of means), bits per
byte the same sum in bits over the UTF-8 bytes, which makes models with other tokenizers comparable. The interval of the
relative reduction comes from resampling documents, both models scored on the same ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.backends.base import LanguageModel, TextLikelihood
from astrollama.evaluation.intervals import bootstrap_sums, interval_95
from astrollama.records import Document
from astrollama.sections import EvaluateSection

VERSION = 1
PRIMARY_METRIC = "relative_reduction"
MIN_DOCUMENTS_FOR_INTERVAL = 5
SMALL_GROUPS = "other"
MAX_GROUPS = 12


@dataclass(frozen=True)
class PerplexityResult:
    """What was measured: `metrics` with intervals, and one record a document in `samples`."""

    metrics: dict[str, Any]
    samples: list[dict[str, Any]]


def measure_perplexity(
    base: LanguageModel, adapted: LanguageModel, documents: Sequence[Document], settings: EvaluateSection
) -> PerplexityResult:
    """Score the documents with both models, which must have the same tokenizer.

    Returns:
        Metrics `base`, `adapted`, `relative_reduction` and more, in all, `by_year` and `by_category`.
    """
    texts = [document.text for document in documents]
    scores = {"base": base.loglikelihood_rolling(texts), "adapted": adapted.loglikelihood_rolling(texts)}
    years = [document.year for document in documents]
    categories = _largest_groups([document.primary_category for document in documents])
    metrics = _summary(scores, settings) | {
        "version": VERSION,
        "primary_metric": PRIMARY_METRIC,
        "by_year": _by_group(scores, years, settings),
        "by_category": _by_group(scores, categories, settings),
    }
    samples = [
        {
            "id": document.id,
            "content_hash": document.content_hash,
            "date": document.date,
            "primary_category": document.primary_category,
            **{f"{system}_nll": likelihoods[index].nll for system, likelihoods in scores.items()},
            "num_tokens": scores["adapted"][index].num_tokens,
            "num_bytes": scores["adapted"][index].num_bytes,
        }
        for index, document in enumerate(documents)
    ]
    return PerplexityResult(metrics, samples)


def _summary(scores: dict[str, list[TextLikelihood]], settings: EvaluateSection) -> dict[str, Any]:
    base, adapted = scores["base"], scores["adapted"]
    columns_KN = np.array(
        [
            [likelihood.nll for likelihood in base],
            [likelihood.nll for likelihood in adapted],
            [likelihood.num_tokens for likelihood in adapted],
            [likelihood.num_bytes for likelihood in adapted],
        ],
        dtype=float,
    )
    summary: dict[str, Any] = {
        "num_documents": len(adapted),
        "num_tokens": int(columns_KN[2].sum()),
        "num_bytes": int(columns_KN[3].sum()),
    }
    values = _statistics(columns_KN.sum(-1))
    resampled: dict[str, np.ndarray] = {}
    if len(adapted) >= MIN_DOCUMENTS_FOR_INTERVAL:
        resampled = _statistics(bootstrap_sums(columns_KN, settings.num_resamples, settings.seed))
    for name, value in values.items():
        summary[name] = float(value)
        summary[f"{name}_ci95"] = interval_95(resampled[name]) if resampled else None
    return summary


def _statistics(sums_K: np.ndarray) -> dict[str, np.ndarray]:
    """Perplexities, bits per byte and the relative reduction from the sums of losses in nats, tokens and bytes.

    The sums may have further axes behind the first, which the statistics then have too.
    """
    base_nll, nll, tokens, num_bytes = sums_K
    statistics = {
        "base": np.exp(base_nll / tokens),
        "adapted": np.exp(nll / tokens),
        "base_bits_per_byte": base_nll / (math.log(2) * num_bytes),
        "adapted_bits_per_byte": nll / (math.log(2) * num_bytes),
    }
    return statistics | {"relative_reduction": 1 - statistics["adapted"] / statistics["base"]}


def _by_group(
    scores: dict[str, list[TextLikelihood]], keys: Sequence[str], settings: EvaluateSection
) -> dict[str, Any]:
    result = {}
    for key in sorted(set(keys)):
        chosen = [index for index, own in enumerate(keys) if own == key]
        part = {system: [likelihoods[index] for index in chosen] for system, likelihoods in scores.items()}
        result[key] = _summary(part, settings)
    return result


def _largest_groups(keys: Sequence[str]) -> list[str]:
    """The keys, those beyond the `MAX_GROUPS` most frequent ones as `SMALL_GROUPS`."""
    kept = {key for key, _ in Counter(keys).most_common(MAX_GROUPS)}
    return [key if key in kept else SMALL_GROUPS for key in keys]
