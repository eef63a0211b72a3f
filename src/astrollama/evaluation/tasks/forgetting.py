"""What a system has left of the general: perplexity of general text, and questions outside astronomy.

A model that learns one field forgets others (AstroMLab-1, arXiv:2407.11194, finds AstroLLaMA below its base). Both parts are
the same for every system, so that the difference to the base is paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL, Estimate
from astrollama.evaluation.likelihoods.general_text import BYTES_A_TOKEN, Passage, general_passages
from astrollama.evaluation.likelihoods.likelihoods import Samples, likelihood_estimates, same_tokens
from astrollama.evaluation.questions.multiple_choice import (
    GROUP_NAMES,
    PRIMARY_SCORE,
    SCORES,
    accuracy,
    accuracy_bars,
    ask,
    chance,
    of_group,
)
from astrollama.evaluation.questions.question_sets import Group, asked_of_files, question_sets
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all, primary_of
from astrollama.sections import EvaluateSection

NAME = "forgetting"
TITLE = "Forgetting: general text and questions outside astronomy"
VERSION = 1
PRIMARY_METRIC = "general_bits_per_byte"
NEEDS: frozenset[SystemAbility] = frozenset({"score"})
FILES: frozenset[DataFile] = frozenset({"questions", "general"})

# the metric of each group
GROUPS: dict[Group, str] = {"builtin_general": "builtin_general_accuracy", "rest": "outside_accuracy"}
WITHOUT_TEXT = "builtin_general_accuracy"  # the primary metric where no general text is given, or too little

_TEXT_INFOS = {
    "general_bits_per_byte": MetricInfo(
        "general text: bits per byte",
        "lower",
        "Summed negative log-likelihood of all passages in bits, over their bytes in UTF-8; it depends on no tokenizer.",
    ),
    "general_perplexity": MetricInfo(
        "general text: perplexity",
        "lower",
        "exp of the same sum in nats over the number of tokens; each passage is scored alone.",
        relative=True,
    ),
}


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Nothing is missing: the project has questions of its own. The files are read, to find what is wrong in them."""
    question_sets(data, settings, GROUPS)
    if data.general:
        general_passages(data.general, settings)
    return None


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Score passages of general text, if there is one, and ask the questions outside astronomy and physics.

    Returns:
        One record a passage, with `kind` = `text`, and one a question, with `kind` = `question`.
    """
    texts = _score_passages(system, general_passages(data.general, settings)) if data.general else []
    form, _, _ = SCORES[PRIMARY_SCORE]
    records = ask(system, question_sets(data, settings, GROUPS), [form], settings)
    return Measurement([*texts, *({"kind": "question"} | record for record in records)])


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Perplexity of general text and accuracy outside astronomy."""
    texts, questions = (
        {
            key: [sample for sample in measurement.samples if sample["kind"] == kind]
            for key, measurement in measurements.items()
        }
        for kind in ("text", "question")
    )
    some = next(iter(questions.values()))
    metrics = {group: name for group, name in GROUPS.items() if of_group(some, PRIMARY_SCORE, group)}
    estimates = {key: _estimates(texts[key], questions[key], metrics, settings) for key in measurements}
    infos = (_TEXT_INFOS if data.general else {}) | _question_infos(metrics, some)
    of_text = [PRIMARY_METRIC] if data.general else []
    primary = primary_of([*of_text, WITHOUT_TEXT], estimates)
    alike = {key for key in texts if subject in texts and same_tokens(texts[subject], texts[key])}
    return TaskResult(
        primary_metric=primary,
        infos=infos,
        estimates=estimates,
        comparisons=[
            comparison
            for comparison in compare_all(infos, estimates, subject)
            if comparison.metric != "general_perplexity" or comparison.against in alike
        ],
        figures=[accuracy_bars("outside_accuracy", "Questions outside astronomy", metrics, estimates, some)],
        notes=[
            *(
                f"The passages are fewer than {MIN_SAMPLES_FOR_INTERVAL}, too few for an interval: the summary has the built-in "
                "questions."
                for metric in of_text
                if metric != primary
            ),
            *_text_notes(next(iter(texts.values())), data, settings),
            *asked_of_files(question_sets(data, settings, GROUPS), settings),
        ],
    )


def _score_passages(system: System, passages: Sequence[Passage]) -> list[dict[str, Any]]:
    likelihoods = system.scorer().loglikelihood_rolling([passage.text for passage in passages])
    return [
        {
            "kind": "text",
            "id": passage.id,
            "nll": likelihood.nll,
            "num_tokens": likelihood.num_tokens,
            "num_bytes": likelihood.num_bytes,
            "num_words": len(passage.text.split()),
        }
        for passage, likelihood in zip(passages, likelihoods, strict=True)
    ]


def _estimates(
    texts: Samples, questions: Samples, metrics: Mapping[Group, str], settings: EvaluateSection
) -> dict[str, Estimate]:
    of_text = likelihood_estimates(texts, settings) if texts else {}
    return {name: of_text[name.removeprefix("general_")] for name in _TEXT_INFOS if texts} | {
        metric: accuracy(of_group(questions, PRIMARY_SCORE, group), settings) for group, metric in metrics.items()
    }


def _question_infos(metrics: Mapping[Group, str], some: Samples) -> dict[str, MetricInfo]:
    _, _, meaning = SCORES[PRIMARY_SCORE]
    return {
        metric: MetricInfo(
            f"{GROUP_NAMES[group]}: accuracy",
            "higher",
            f"Share of questions at which {meaning} is right; random choices are right in {100 * chance(some, group):.0f} %.",
            "percent",
        )
        for group, metric in metrics.items()
    }


def _text_notes(texts: Samples, data: EvaluationData, settings: EvaluateSection) -> list[str]:
    if not data.general:
        return ["Perplexity of general text is left out: give a file of it with --general FILE."]
    num_bytes = sum(sample["num_bytes"] for sample in texts)
    notes = [
        f"General text: {len(texts)} passages of {data.general.name}, {num_bytes:,} bytes, the same for every system. Text "
        "that was replayed in training tells what was memorised, not what was kept: measure with another."
    ]
    wanted = settings.num_general_tokens * BYTES_A_TOKEN
    if num_bytes < wanted:
        notes.append(f"That is all of it: {wanted:,} bytes were asked for ({settings.num_general_tokens:,} tokens).")
    return notes
