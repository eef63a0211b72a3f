"""Categories by likelihood alone: which category's name a model expects behind an abstract.

The likelihood of a name is averaged over its tokens, so that long names are not at a disadvantage, and divided by what it is
behind a prompt without content, so that names that the model likes anyway are not at an advantage (contextual
calibration; Zhao et al. 2021, arXiv:2102.09690).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astrollama.backends.base import Scorer
from astrollama.evaluation.categories.labels import plain_name
from astrollama.evaluation.categories.logistic import softmax

# Names and descriptions take about 150 tokens beside it.
MAX_WORDS = 150
WITHOUT_CONTENT = ("N/A", "[MASK]", "")

_DESCRIPTIONS = {
    "astro-ph.CO": "the universe as a whole, its expansion and structure, dark matter, dark energy, inflation",
    "astro-ph.EP": "planets, exoplanets, moons, asteroids, comets, and how they form",
    "astro-ph.GA": "galaxies and the Milky Way, star formation, gas and dust between stars, active nuclei",
    "astro-ph.HE": "black holes, neutron stars, supernovae, gamma-ray bursts, cosmic rays, gravitational waves",
    "astro-ph.IM": "telescopes, detectors, software, statistical and numerical methods",
    "astro-ph.SR": "the Sun and stars, their structure, atmospheres, activity and evolution",
}


def category_probabilities(scorer: Scorer, texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """The calibrated probability of each category for each text, of shape (N, C)."""
    scores_NC = _name_scores(scorer, [*texts, *WITHOUT_CONTENT], labels)
    probabilities_NC = softmax(scores_NC)
    prior_C = probabilities_NC[len(texts) :].mean(axis=0)
    calibrated_NC = probabilities_NC[: len(texts)] / prior_C
    result: np.ndarray = calibrated_NC / calibrated_NC.sum(axis=-1, keepdims=True)
    return result


def prompt_of(text: str, labels: Sequence[str]) -> str:
    """The categories, the text's first words, and the question."""
    described = [f"- {plain_name(label)}: {_DESCRIPTIONS[label]}" for label in labels if label in _DESCRIPTIONS]
    named = [f"- {plain_name(label)}" for label in labels if label not in _DESCRIPTIONS]
    categories = "\n".join([*described, *named])
    return (
        f"Each paper belongs to one of these categories:\n{categories}\n\n"
        f"Abstract: {' '.join(text.split()[:MAX_WORDS])}\n\nCategory:"
    )


def _name_scores(scorer: Scorer, texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """The mean log-likelihood of a token of each category's name behind each text's prompt, of shape (N, C)."""
    pairs = [(prompt_of(text, labels), f" {plain_name(label)}") for text in texts for label in labels]
    scores = [-likelihood.nll / likelihood.num_tokens for likelihood in scorer.loglikelihood(pairs)]
    return np.array(scores).reshape(len(texts), len(labels))
