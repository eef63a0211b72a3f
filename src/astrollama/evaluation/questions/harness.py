"""Multiple-choice questions through lm-evaluation-harness (Gao et al. 2024, doi:10.5281/zenodo.12608602).

The harness builds the prompts and asks; `HarnessModel` answers for any `Scorer`. Its tasks are made in memory, in the two
forms in which it has MMLU: nothing is fetched, and nothing is written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import datasets
import lm_eval.api.task
from lm_eval import evaluate
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask

from astrollama.backends.base import Scorer
from astrollama.errors import UnsupportedError
from astrollama.evaluation.continuation_cache import ContinuationCache
from astrollama.evaluation.questions.question_sets import QuestionSet
from astrollama.evaluation.questions.questions import LETTERS, Form, Question
from astrollama.models.quiet import quiet_libraries

_ABOUT: dict[Form, str] = {
    "choice": "The following are multiple choice questions (with answers) about {}.\n\n",
    "answer": "The following are questions (with answers) about {}.\n\n",
}


class HarnessModel(LM):  # type: ignore[misc]
    """A `Scorer` as the harness sees a model; what it answers is kept if there is a cache."""

    def __init__(self, scorer: Scorer, cache: ContinuationCache | None = None) -> None:
        super().__init__()
        self._scorer = scorer
        self._cache = cache

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """The log-likelihood of each request's continuation in nats, and whether it is the likeliest."""
        pairs = [request.args for request in requests]
        found = self._cache.loglikelihood(self._scorer, pairs) if self._cache else self._scorer.loglikelihood(pairs)
        return [(-likelihood.nll, likelihood.greedy) for likelihood in found]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """The log-likelihood of each request's text in nats."""
        found = self._scorer.loglikelihood_rolling([request.args[0] for request in requests])
        return [-likelihood.nll for likelihood in found]

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Raises UnsupportedError: the harness is used for scoring alone."""
        raise UnsupportedError(f"{len(requests)} requests to the harness generate text", "use `Generator.generate`")


def log_likelihoods(model: LM, sets: Sequence[QuestionSet], form: Form, num_fewshot: int) -> list[list[list[float]]]:
    """Ask questions.

    Args:
        model: a `HarnessModel`, or one of the harness's own.
        num_fewshot: examples before each question, as many at most as its subject has.

    Returns:
        For each set, for each of its questions, the log-likelihood of each choice behind the prompt, in nats.
    """
    with _quiet_harness():
        tasks = {str(number): _task(str(number), own, form, num_fewshot) for number, own in enumerate(sets)}
        samples = evaluate(model, {"tasks": tasks}, bootstrap_iters=0)["samples"]
    return [[[likelihood for likelihood, _ in sample["filtered_resps"]] for sample in samples[name]] for name in tasks]


def _task(name: str, questions: QuestionSet, form: Form, num_fewshot: int) -> ConfigurableTask:
    asked = datasets.Dataset.from_list([_document(question, form) for question in questions.asked])
    examples = [_document(question, form) for question in questions.examples]
    return ConfigurableTask(
        config={
            "task": name,
            "custom_dataset": lambda: {"test": asked},
            "test_split": "test",
            "description": "about",
            "output_type": "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_choice": "continuations",
            "doc_to_target": "right",
            "num_fewshot": min(num_fewshot, len(examples)),
            "fewshot_config": {"sampler": "first_n", "samples": examples, "doc_to_target": "shown"},
        }
    )


def _document(question: Question, form: Form) -> dict[str, Any]:
    """A question as the harness takes it: what stands before the answer, what may follow, and what is right."""
    letters = list(LETTERS[: len(question.choices)])
    lines = [f"{letter}. {choice}" for letter, choice in zip(letters, question.choices, strict=True)]
    continuations = letters if form == "choice" else list(question.choices)
    return {
        # a field, since what is no field's name is taken for a template
        "about": _ABOUT[form].format(question.subject.replace("_", " ")),
        "prompt": "\n".join(
            [question.question, *lines, "Answer:"]
            if form == "choice"
            else [f"Question: {question.question}", "Answer:"]
        ),
        "continuations": continuations,
        "right": list(question.right),
        "shown": continuations[question.right[0]],
    }


@contextmanager
def _quiet_harness() -> Iterator[None]:
    """Silence the harness's notices and its progress bars, which take no setting."""
    logger = logging.getLogger("lm_eval")
    level, bars = logger.level, lm_eval.api.task.tqdm
    logger.setLevel(logging.CRITICAL)
    lm_eval.api.task.tqdm = partial(bars, disable=True)
    try:
        with quiet_libraries():
            yield
    finally:
        lm_eval.api.task.tqdm = bars
        logger.setLevel(level)
