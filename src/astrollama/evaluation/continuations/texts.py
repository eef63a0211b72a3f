"""What is measured of generated texts alike in `completion` and `conviction`: facts, repetition, shares with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrollama.evaluation.continuations.facts import Facts, find_facts
from astrollama.evaluation.intervals import Estimate, estimate
from astrollama.sections import EvaluateSection

if TYPE_CHECKING:
    from astrollama.backends.base import Generator


def seeds(settings: EvaluateSection, purpose: int, count: int) -> list[int]:
    """Distinct seeds of sampling, the same for every system."""
    drawn = np.random.default_rng([settings.seed, purpose]).choice(2**31, size=count, replace=False)
    return [int(seed) for seed in drawn]


def repeated_samples(
    generator: Generator, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seeds: Sequence[int]
) -> list[list[str]]:
    """For each prompt one continuation a seed, without white space around them."""
    if not prompts:
        return []
    rounds = [
        generator.generate(prompts, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed) for seed in seeds
    ]
    return [[text.strip() for text in texts] for texts in zip(*rounds, strict=True)]


def facts_of_paper(sample: Mapping[str, Any]) -> Facts:
    """What a continuation may say without inventing it: the facts of title, prompt and true continuation."""
    return find_facts("\n".join(sample[name] for name in ("title", "prompt", "truth")))


def estimate_share(
    parts_N: Sequence[float] | np.ndarray, wholes_N: Sequence[float] | np.ndarray, settings: EvaluateSection
) -> Estimate | None:
    """The ratio of two sums over documents; None where the second is zero, so that there is nothing to take a share of.

    A resample that happens to draw only documents without any has a share of zero.
    """
    columns_2N = np.array([parts_N, wholes_N], dtype=float)
    if not columns_2N[1].sum():
        return None
    return estimate(
        lambda sums_2: sums_2[0] / np.where(sums_2[1] > 0, sums_2[1], 1.0),
        columns_2N,
        settings.num_resamples,
        settings.seed,
    )
