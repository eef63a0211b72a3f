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
from astrollama.evaluation.intervals import bootstrap_ci95
from astrollama.recipe import EvaluateSection
from astrollama.records import Document

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
    """Score the documents with both models.

    Returns:
        Metrics `base`, `adapted`, `relative_reduction` and more, in all, `by_year` and `by_category`.
    """
    texts = [document.text for document in documents]
    scores = {"base": base.loglikelihood_rolling(texts), "adapted": adapted.loglikelihood_rolling(texts)}
    years = [str(document.year) for document in documents]
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
            **{f"{system}_num_tokens": likelihoods[index].num_tokens for system, likelihoods in scores.items()},
            "num_bytes": scores["base"][index].num_bytes,
        }
        for index, document in enumerate(documents)
    ]
    return PerplexityResult(metrics, samples)


def _summary(scores: dict[str, list[TextLikelihood]], settings: EvaluateSection) -> dict[str, Any]:
    columns = {system: _columns(likelihoods) for system, likelihoods in scores.items()}
    (base_nll_N, base_tokens_N, bytes_N), (nll_N, tokens_N, _) = columns["base"], columns["adapted"]

    def interval(statistic: Any, *arrays: np.ndarray) -> list[float] | None:
        if len(bytes_N) < MIN_DOCUMENTS_FOR_INTERVAL:
            return None
        return list(bootstrap_ci95(statistic, list(arrays), settings.num_resamples, settings.seed))

    summary: dict[str, Any] = {
        "num_documents": len(bytes_N),
        "num_tokens": int(tokens_N.sum()),
        "num_bytes": int(bytes_N.sum()),
    }
    for system, (nll, tokens, num_bytes) in columns.items():
        summary[system] = float(_perplexity(nll, tokens))
        summary[f"{system}_ci95"] = interval(_perplexity, nll, tokens)
        summary[f"{system}_bits_per_byte"] = float(_bits_per_byte(nll, num_bytes))
        summary[f"{system}_bits_per_byte_ci95"] = interval(_bits_per_byte, nll, num_bytes)
    pairs = (base_nll_N, base_tokens_N, nll_N, tokens_N)
    summary["relative_reduction"] = float(_relative_reduction(*pairs))
    summary["relative_reduction_ci95"] = interval(_relative_reduction, *pairs)
    return summary


def _perplexity(nll: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    perplexity: np.ndarray = np.exp(nll.sum(-1) / tokens.sum(-1))
    return perplexity


def _bits_per_byte(nll: np.ndarray, num_bytes: np.ndarray) -> np.ndarray:
    bits: np.ndarray = nll.sum(-1) / (math.log(2) * num_bytes.sum(-1))
    return bits


def _relative_reduction(
    base_nll: np.ndarray, base_tokens: np.ndarray, nll: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    reduction: np.ndarray = 1 - _perplexity(nll, tokens) / _perplexity(base_nll, base_tokens)
    return reduction


def _columns(likelihoods: Sequence[TextLikelihood]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss in nats, tokens and bytes, each of shape (N,)."""
    return (
        np.array([likelihood.nll for likelihood in likelihoods]),
        np.array([likelihood.num_tokens for likelihood in likelihoods], dtype=float),
        np.array([likelihood.num_bytes for likelihood in likelihoods], dtype=float),
    )


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
