"""Held-out abstracts continued from their first sentences, and the true continuation chosen among four.

A fact is a number, or a named object, survey, mission or instrument (`astrollama.evaluation.continuations.facts`); it is invented where
neither the prompt nor the paper has it. What stands in the paper's title and abstract is all that is known of it, so that
a fact of its body counts as invented too, for all systems alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.errors import NetworkError
from astrollama.evaluation.continuations.choices import choices, credit, score_choices
from astrollama.evaluation.continuations.meaning import Meaning
from astrollama.evaluation.continuations.openings import PROMPT_WORDS, openings
from astrollama.evaluation.continuations.scores import classifier_error, score_texts
from astrollama.evaluation.continuations.shown import examples, figures, tables
from astrollama.evaluation.continuations.texts import repeated_samples, seeds
from astrollama.evaluation.continuations.topics import TopicClassifier, learn_topics
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all, names_of
from astrollama.sections import EvaluateSection

NAME = "completion"
TITLE = "Completion"
VERSION = 2
PRIMARY_METRIC = "choice_accuracy"
NEEDS: frozenset[SystemAbility] = frozenset({"generate", "score"})
FILES: frozenset[DataFile] = frozenset()

_SEEDS = 1  # of the sampling, apart from other tasks'

INFOS = {
    "choice_accuracy": MetricInfo(
        "true continuation among four",
        "higher",
        "Share of papers whose own next sentence gains most from the prompt, ln p(text | prompt) - ln p(text), among three "
        "of other papers of the same category (Holtzman et al. 2021, arXiv:2104.08315); by chance a quarter. The gain, "
        "because some sentences are likelier than others behind whatever prompt.",
        "percent",
    ),
    "choice_accuracy_per_byte": MetricInfo(
        "the same by loss a byte", "higher", "The likeliest candidate a byte, -ln p(text | prompt) / bytes.", "percent"
    ),
    "choice_accuracy_summed": MetricInfo(
        "the same by summed loss",
        "higher",
        "The likeliest candidate as a whole, which favours short ones.",
        "percent",
    ),
    "meaning_similarity": MetricInfo(
        "similarity of meaning to the true continuation",
        "higher",
        "Mean cosine of the MiniLM vectors of sample and true continuation; zero for an empty sample.",
    ),
    "invented_facts": MetricInfo(
        "invented facts a continuation",
        "neither",
        "Numbers and named objects of a sample that neither prompt nor paper contain. A text that says nothing invents "
        "nothing: the share of facts invented tells better from worse.",
    ),
    "invented_share": MetricInfo(
        "share of facts invented", "lower", "Of all numbers and named objects in the samples.", "percent"
    ),
    "invented_numbers_share": MetricInfo("share of numbers invented", "lower", "Of all numbers in the samples.", "percent"),
    "invented_objects_share": MetricInfo(
        "share of named objects invented", "lower", "Of all named objects in the samples.", "percent"
    ),
    "repeat_similarity": MetricInfo(
        "agreement of repeated samples in meaning",
        "neither",
        "Mean cosine of the MiniLM vectors over pairs of samples of one prompt.",
    ),
    "repeat_fact_agreement": MetricInfo(
        "agreement of repeated samples in facts",
        "neither",
        "Facts that both of two samples of one prompt have over those that either has (Jaccard), mean over the pairs with "
        "any.",
        "percent",
    ),
    "repeated_4grams": MetricInfo(
        "repeated 4-grams",
        "neither",
        "Share of a sample's runs of four words that stood in it before; a text that ends at once repeats nothing.",
        "percent",
    ),
    "distinct_2": MetricInfo(
        "distinct-2",
        "neither",
        "Distinct pairs of words over all, in the first 50 words of each prompt's first sample (Li et al. 2016, "
        "arXiv:1510.03055); the fewer words there are, the more of them are distinct.",
        "percent",
    ),
    "off_topic_rate": MetricInfo(
        "off topic",
        "lower",
        "Share of samples that an independent classifier (TF-IDF and logistic regression, learned from training abstracts) "
        "puts into another category than the paper's primary one.",
        "percent",
    ),
    "num_words": MetricInfo("words a continuation", "neither", "Mean over samples."),
}  # fmt: skip


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Completion needs something to do, and held-out documents with more sentences than the opening has."""
    if not settings.num_completions and not settings.num_choices:
        return "evaluate.num_completions and evaluate.num_choices are 0"
    if not openings(data.test):
        return f"no held-out document has a sentence left behind its first {PROMPT_WORDS} words"
    return None


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Continue the first documents that can be divided, and score the candidates of the first ones.

    Returns:
        One record a document: `id`, `title`, `date`, `primary_category`, `prompt`, `truth`; `texts`, the samples, of the
        first `num_completions`; and `choice` (see `score_choices`) of the first `num_choices`.
    """
    divided = openings(data.test)
    continued = divided[: settings.num_completions] if "generate" in system.abilities else []
    asked = choices(divided, settings.num_choices, settings.seed) if "score" in system.abilities else []
    samples: list[dict[str, Any]] = [
        {
            "id": opening.document.id,
            "title": opening.document.title,
            "date": opening.document.date,
            "primary_category": opening.document.primary_category,
            "prompt": opening.prompt,
            "truth": opening.truth,
        }
        for opening in divided[: max(len(continued), len(asked))]
    ]
    if continued:
        drawn = repeated_samples(
            system.generator(),
            [opening.prompt for opening in continued],
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            seeds=seeds(settings, _SEEDS, settings.num_repeats),
        )
        for sample, texts in zip(samples, drawn, strict=False):
            sample["texts"] = texts
    if asked:
        for sample, choice in zip(samples, score_choices(system.scorer(), asked), strict=False):
            sample["choice"] = choice
    return Measurement(samples)


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Metrics of every system; the encoder and the classifier see each text once.

    Where the encoder cannot be fetched the metrics of meaning are left out, and a note says why.
    """
    continued = {
        key: chosen for key, measurement in measurements.items() if (chosen := _with(measurement.samples, "texts"))
    }
    asked = {
        key: chosen for key, measurement in measurements.items() if (chosen := _with(measurement.samples, "choice"))
    }
    meaning, notes_on_meaning = _load_meaning() if continued else (None, [])
    classifier = learn_topics(data.train, data.test) if continued else None
    scores = {key: score_texts(samples, meaning, classifier, settings) for key, samples in continued.items()}
    estimates: dict[str, dict[str, Estimate]] = {}
    for key in measurements:
        own = _choice_estimates(asked.get(key, []), settings) | (scores[key].estimates if key in scores else {})
        estimates[key] = {name: own[name] for name in INFOS if name in own}
    return TaskResult(
        primary_metric=PRIMARY_METRIC,
        infos=INFOS,
        estimates=estimates,
        comparisons=compare_all(INFOS, estimates, subject),
        figures=figures(estimates, INFOS),
        tables=tables(continued, scores, classifier),
        examples=examples(continued),
        notes=[
            *_notes_on_choices(asked, settings),
            *_notes_on_texts(continued, names_of(measurements), settings),
            *notes_on_meaning,
            *_notes_on_topics(continued, classifier, data, settings),
        ],
        details={"invented": {key: own.invented for key, own in scores.items()}},
    )


def _load_meaning() -> tuple[Meaning | None, list[str]]:
    """The encoder, or none and a note that says why."""
    meaning = Meaning()
    try:
        meaning.load()
    except NetworkError as error:
        return None, [f"No metric of meaning: the encoder cannot be had ({error.what})."]
    return meaning, []


def _with(samples: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [sample for sample in samples if name in sample]


def _choice_estimates(samples: Sequence[dict[str, Any]], settings: EvaluateSection) -> dict[str, Estimate]:
    if not samples:
        return {}
    asked = [sample["choice"] for sample in samples]
    accuracies: dict[str, list[float]] = {
        "choice_accuracy": [],
        "choice_accuracy_per_byte": [],
        "choice_accuracy_summed": [],
    }
    for choice in asked:
        nll_C, alone_C, bytes_C = (np.array(choice[name]) for name in ("nll", "nll_alone", "num_bytes"))
        for accuracy, losses_C in zip(accuracies.values(), (nll_C - alone_C, nll_C / bytes_C, nll_C), strict=True):
            accuracy.append(credit(losses_C.tolist(), choice["answer"]))
    return {
        name: estimate_mean(np.array(accuracy), settings.num_resamples, settings.seed)
        for name, accuracy in accuracies.items()
    }


def _notes_on_choices(asked: Mapping[str, Sequence[dict[str, Any]]], settings: EvaluateSection) -> list[str]:
    if not asked:
        return []
    samples = max(asked.values(), key=len)
    notes = []
    if len(samples) < settings.num_choices:
        notes.append(
            f"Only {len(samples)} held-out abstracts can be divided and chosen among, not {settings.num_choices}."
        )
    mixed = sum(not sample["choice"]["same_category"] for sample in samples)
    if mixed:
        notes.append(
            f"In {mixed} of {len(samples)} choices the category has fewer than four papers, and others fill up."
        )
    return notes


def _notes_on_texts(
    continued: Mapping[str, Sequence[dict[str, Any]]], names: Mapping[str, str], settings: EvaluateSection
) -> list[str]:
    if not continued:
        return []
    notes = []
    samples = max(continued.values(), key=len)
    if len(samples) < settings.num_completions:
        notes.append(f"Only {len(samples)} held-out abstracts can be divided, not {settings.num_completions}.")
    for key, own in continued.items():
        texts = [text for sample in own for text in sample["texts"]]
        empty = sum(not text for text in texts)
        if empty:
            notes.append(f"{names[key]} ended the text at once in {empty} of {len(texts)} samples.")
    return notes


def _notes_on_topics(
    continued: Mapping[str, Sequence[dict[str, Any]]],
    classifier: TopicClassifier | None,
    data: EvaluationData,
    settings: EvaluateSection,
) -> list[str]:
    if not continued:
        return []
    if classifier is None:
        return ["The training documents have no two categories with enough papers: no off-topic rate."]
    error = classifier_error(openings(data.test), classifier, settings)
    if error is None:
        return []
    low, high = error.ci95 or (error.value, error.value)
    return [
        f"The floor of the off-topic rate is the classifier's own error: it puts {100 * error.value:.1f} % "
        f"({100 * low:.1f} to {100 * high:.1f} %) of {error.num_samples} true continuations into another category."
    ]
