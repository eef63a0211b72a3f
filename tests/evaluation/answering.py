"""Systems that answer questions: any real model, and one that is known to know some answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from astrollama.backends.base import ContinuationLikelihood, TextLikelihood
from astrollama.backends.hf import HFLanguageModel
from astrollama.evaluation.questions.questions import LETTERS, Question
from astrollama.evaluation.systems import System
from astrollama.models.load import load_model


def local_system(key: str, model: Path, folder: Path) -> System:
    return answering_system(key, lambda: HFLanguageModel(load_model(str(model))), folder)


def answering_system(key: str, opener: Callable[[], Any], folder: Path) -> System:
    return System(key, key, key, "other", frozenset({"score"}), key, folder / key, opener=opener)


class KnownAnswers:
    """Prefers a right choice to any other by `margin` nats, of the questions that it knows; of others a wrong one."""

    def __init__(self, questions: Sequence[Question], margin: float, knows: Callable[[Question], bool]) -> None:
        self._questions = {question.question: question for question in questions}
        self._margin = margin
        self._knows = knows
        self.pairs: list[tuple[str, str]] = []

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[ContinuationLikelihood]:
        self.pairs += pairs
        return [self._score(context, continuation) for context, continuation in pairs]

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[TextLikelihood]:
        return [TextLikelihood(2.0 * len(text.split()), len(text.split()), len(text.encode())) for text in texts]

    def _score(self, context: str, continuation: str) -> ContinuationLikelihood:
        last = context.rpartition("\n\n")[2]
        question = self._questions[last.removeprefix("Question: ").partition("\n")[0]]
        names = question.choices if last.startswith("Question: ") else LETTERS[: len(question.choices)]
        index = [f" {name}" for name in names].index(continuation)
        wrong = next(number for number in range(len(names)) if number not in question.right)
        preferred = question.right[-1] if self._knows(question) else wrong
        return ContinuationLikelihood(0.0 if index == preferred else self._margin, 1, index == preferred)


def probability(margin: float, num_choices: int = 4) -> float:
    return 1 / (1 + (num_choices - 1) * math.exp(-margin))
