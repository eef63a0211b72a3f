"""Perplexity and bits from the likelihoods of texts, with intervals.

A sample is a record with a text's `nll`, summed in nats, and its `num_tokens`, `num_bytes` and `num_words`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL, Estimate, bootstrap_sums, interval_95
from astrollama.sections import EvaluateSection

Samples = Sequence[Mapping[str, Any]]

# From the sums of nll, tokens, bytes and words, which may have further axes behind the first.
_STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "perplexity": lambda sums_4: np.exp(sums_4[0] / sums_4[1]),
    "bits_per_byte": lambda sums_4: sums_4[0] / (math.log(2) * sums_4[2]),
    "bits_per_word": lambda sums_4: sums_4[0] / (math.log(2) * sums_4[3]),
}


def likelihood_estimates(samples: Samples, settings: EvaluateSection) -> dict[str, Estimate]:
    """`perplexity`, `bits_per_byte` and `bits_per_word` of all samples together; one sample at least."""
    columns_4N = np.array(
        [[sample[name] for sample in samples] for name in ("nll", "num_tokens", "num_bytes", "num_words")], dtype=float
    )
    sums_4 = columns_4N.sum(-1)
    if len(samples) < MIN_SAMPLES_FOR_INTERVAL:
        return {name: Estimate(float(of(sums_4)), None, len(samples)) for name, of in _STATISTICS.items()}
    sums_4R = bootstrap_sums(columns_4N, settings.num_resamples, settings.seed)
    return {name: Estimate(float(of(sums_4)), of(sums_4R), len(samples)) for name, of in _STATISTICS.items()}


def same_tokens(samples: Samples, others: Samples) -> bool:
    """Whether two systems divide every text into equally many tokens, without which perplexities do not compare."""
    return [sample["num_tokens"] for sample in samples] == [sample["num_tokens"] for sample in others]


def reduction(subject: Estimate, base: Estimate) -> tuple[float, list[float] | None]:
    """The share by which the subject's value is lower than the base's on the same samples, and its 95 % interval."""
    value = 1 - subject.value / base.value
    if subject.values_R is None or base.values_R is None:
        return value, None
    return value, interval_95(1 - subject.values_R / base.values_R, subject.num_samples)
