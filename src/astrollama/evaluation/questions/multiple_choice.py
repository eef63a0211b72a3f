"""What systems answer to multiple-choice questions, and how often that is right.

A question is asked in two forms: `choice`, where the choices stand in the prompt and their letters are scored, and `answer`,
where their texts are scored behind the question alone. Letters are for models that can follow such a prompt: a small one
chooses its favourite letter whatever the question. So the answer is what counts, by its log-likelihood per byte, for a sum
over tokens prefers short texts. Probabilities need the sums, though: they are the softmax of these over the choices.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.evaluation.continuation_cache import ContinuationCache
from astrollama.evaluation.figures import Figure, Series, bounds
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL, Estimate, estimate_mean
from astrollama.evaluation.likelihoods.likelihoods import Samples
from astrollama.evaluation.questions.question_sets import Group, QuestionSet
from astrollama.evaluation.questions.questions import LETTERS, Form, Question
from astrollama.evaluation.systems import System
from astrollama.sections import EvaluateSection

PRIMARY_SCORE = "answer"
# by name: the form of the records, what of them tells whether it is right, and what that means
SCORES: dict[str, tuple[Form, str, str]] = {
    "answer": ("answer", "correct_per_byte", "the choice whose text has the highest log-likelihood per byte"),
    "answer_summed": ("answer", "correct", "the choice whose text has the highest log-likelihood"),
    "choice": ("choice", "correct", "the choice whose letter is likeliest, with all choices in the prompt,"),
}
GROUP_NAMES: dict[Group, str] = {
    "builtin_astronomy": "astronomy, built-in",
    "builtin_general": "general, built-in",
    "astronomy": "astronomy, of files",
    "physics": "physics, of files",
    "rest": "other subjects, of files",
}


def ask(
    system: System, sets: Sequence[QuestionSet], forms: Sequence[Form], settings: EvaluateSection
) -> list[dict[str, Any]]:
    """Ask a system that can score all questions in some forms; what it answered before is read from the disk.

    Returns:
        One record a question and form: the log-likelihood of each choice in nats, which was chosen, and its probability.
    """
    from astrollama.models.quiet import quiet_libraries

    with quiet_libraries():
        from astrollama.evaluation.questions.harness import HarnessModel, log_likelihoods

    cache = ContinuationCache(system.folder / "continuations.sqlite", system.identity)
    model = HarnessModel(system.scorer(), cache)
    records = []
    for form in forms:
        likelihoods = log_likelihoods(model, sets, form, settings.num_fewshot)
        for questions, of_set in zip(sets, likelihoods, strict=True):
            common = {
                "group": questions.group,
                "source": questions.source,
                "num_fewshot": min(settings.num_fewshot, len(questions.examples)),
            }
            records += [
                _record(question, form, np.array(values_C)) | common
                for question, values_C in zip(questions.asked, of_set, strict=True)
            ]
    return records


def _record(question: Question, form: Form, log_likelihood_C: np.ndarray) -> dict[str, Any]:
    chosen = int(log_likelihood_C.argmax())
    record = {
        "id": question.id,
        "subject": question.subject,
        "form": form,
        "right": list(question.right),
        "log_likelihoods": log_likelihood_C.tolist(),
        "chosen": chosen,
        "correct": chosen in question.right,
        "probability": float(1 / np.exp(log_likelihood_C - log_likelihood_C[chosen]).sum()),
    }
    if form == "choice":
        return record
    num_bytes_C = np.array([len(choice.encode("utf-8")) for choice in question.choices])
    per_byte = int((log_likelihood_C / num_bytes_C).argmax())
    return record | {"chosen_per_byte": per_byte, "correct_per_byte": per_byte in question.right}


def of_group(records: Samples, score: str, group: Group) -> list[bool]:
    """Whether each question of a group was answered rightly, by one of `SCORES`; empty where none was asked."""
    form, correct, _ = SCORES[score]
    return [record[correct] for record in records if record["form"] == form and record["group"] == group]


def accuracy(correct: Sequence[bool], settings: EvaluateSection) -> Estimate:
    """The share of questions that were answered rightly."""
    return estimate_mean(np.array(correct), settings.num_resamples, settings.seed)


def chance(records: Samples, group: Group) -> float:
    """The share of a group's questions that random choices get right."""
    shares = [len(record["right"]) / len(record["log_likelihoods"]) for record in records if record["group"] == group]
    return sum(shares) / len(shares)


def accuracy_bars(
    name: str,
    title: str,
    metrics: Mapping[Group, str],
    estimates: Mapping[str, Mapping[str, Estimate]],
    some: Samples,
) -> Figure:
    """A group of bars for each group of questions.

    Args:
        metrics: the accuracy of each group that was asked.
        some: the records of any system, which tell what chance is.
    """
    series = []
    for key, own in estimates.items():
        of_groups = [own[metric] for metric in metrics.values()]
        names = [GROUP_NAMES[group] for group in metrics]
        series.append(Series(key, names, [each.value for each in of_groups], *bounds(each.ci95 for each in of_groups)))
    levels = ", ".join(f"{100 * chance(some, group):.0f} % ({GROUP_NAMES[group]})" for group in metrics)
    few = f" (none for fewer than {MIN_SAMPLES_FOR_INTERVAL})" if any(math.isnan(low) for low in series[0].low) else ""
    note = f"95 % intervals over questions{few}. Random choices are right in {levels}."
    return Figure(name, title, "bars", "", "share right", series, note=note)


def favourite_letter(records: Samples) -> tuple[str, float]:
    """The letter that was chosen most, and in which share of the questions."""
    letters = [LETTERS[record["chosen"]] for record in records if record["form"] == "choice"]
    letter, count = Counter(letters).most_common(1)[0]
    return letter, count / len(letters)
