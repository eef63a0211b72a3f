"""The choice of a paper's true continuation among four: its own, and those of other papers of the same category."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astrollama.corpus.sentences import sentences
from astrollama.evaluation.continuations.openings import Opening

if TYPE_CHECKING:
    from astrollama.backends.base import Scorer

NUM_CANDIDATES = 4
CANDIDATE_WORDS = 15


@dataclass(frozen=True)
class Choice:
    """One question.

    Attributes:
        candidates: in the order drawn; the one at `answer` is `opening` itself.
        same_category: whether all are papers of its primary category.
    """

    opening: Opening
    candidates: tuple[Opening, ...]
    answer: int
    same_category: bool


def choices(divided: Sequence[Opening], count: int, seed: int) -> list[Choice]:
    """A question for each of the first `count` documents, the same whichever system is asked.

    Where a category has too few papers, others fill up; with fewer than four documents in all there is no question.
    """
    by_category = defaultdict(list)
    for opening in divided:
        by_category[opening.document.primary_category].append(opening)
    found = []
    for index, opening in enumerate(divided[:count]):
        generator = np.random.default_rng([seed, index])
        wrong = _draw(by_category[opening.document.primary_category], opening, (), generator)
        same_category = len(wrong) == NUM_CANDIDATES - 1
        wrong += _draw(divided, opening, wrong, generator)
        if len(wrong) == NUM_CANDIDATES - 1:
            answer = int(generator.integers(NUM_CANDIDATES))
            candidates = (*wrong[:answer], opening, *wrong[answer:])
            found.append(Choice(opening, candidates, answer, same_category))
    return found


def candidate_text(opening: Opening) -> str:
    """The first sentences of a true continuation, `CANDIDATE_WORDS` words at least if it has them.

    One sentence is enough to tell papers apart and leaves room to be better, and short candidates cost little.
    """
    parts = sentences(opening.truth)
    count = 1
    while count < len(parts) and len(" ".join(parts[:count]).split()) < CANDIDATE_WORDS:
        count += 1
    return " ".join(parts[:count])


def score_choices(scorer: Scorer, asked: Sequence[Choice]) -> list[dict[str, Any]]:
    """How likely a system finds the candidates of each question.

    Returns:
        For each question `candidate_ids`, `answer`, `same_category`, and of each candidate `nll` behind the prompt and
        `nll_alone` behind nothing, summed over its tokens in nats, and `num_bytes`.
    """
    texts = [[f" {candidate_text(candidate)}" for candidate in choice.candidates] for choice in asked]
    behind = _losses(
        scorer, [(choice.opening.prompt, text) for choice, own in zip(asked, texts, strict=True) for text in own]
    )
    alone = _losses(scorer, [("", text) for own in texts for text in own])
    return [
        {
            "candidate_ids": [candidate.document.id for candidate in choice.candidates],
            "answer": choice.answer,
            "same_category": choice.same_category,
            "nll": [next(behind) for _ in own],
            "nll_alone": [next(alone) for _ in own],
            "num_bytes": [len(text.encode()) for text in own],
        }
        for choice, own in zip(asked, texts, strict=True)
    ]


def credit(losses: Sequence[float], answer: int) -> float:
    """1 where the least loss is the answer's, 0 where it is another's; what several share is divided among them.

    Losses are finite: a scorer raises an error sooner than it gives others.
    """
    assert all(map(math.isfinite, losses))
    best = [index for index, loss in enumerate(losses) if loss == min(losses)]
    return (answer in best) / len(best)


def _losses(scorer: Scorer, pairs: Sequence[tuple[str, str]]) -> Iterator[float]:
    return iter([likelihood.nll for likelihood in scorer.loglikelihood(pairs)])


def _draw(
    pool: Sequence[Opening], own: Opening, taken: Sequence[Opening], generator: np.random.Generator
) -> list[Opening]:
    """As many of the pool as are still needed, each with a text of its own; in random order."""
    texts = {own.truth, *(opening.truth for opening in taken)}
    drawn: list[Opening] = []
    needed = NUM_CANDIDATES - 1 - len(taken)
    for index in generator.permutation(len(pool)).tolist() if needed else []:
        if len(drawn) == needed:
            break
        if pool[index].truth not in texts:
            texts.add(pool[index].truth)
            drawn.append(pool[index])
    return drawn
