"""Scores of generated continuations: meaning, facts, agreement, repetition, topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from astrollama.evaluation.continuations.facts import Facts, find_facts
from astrollama.evaluation.continuations.meaning import Meaning
from astrollama.evaluation.continuations.openings import Opening
from astrollama.evaluation.continuations.repetition import distinct_credits, grams, num_repeated, words
from astrollama.evaluation.continuations.texts import estimate_share, facts_of_paper
from astrollama.evaluation.figures import Cell
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.sections import EvaluateSection

if TYPE_CHECKING:
    from astrollama.evaluation.continuations.topics import TopicClassifier

# Distinct-n falls as texts grow longer, so that as much is taken of each.
DISTINCT_WORDS = 50
MAX_SHOWN = 10
MAX_TRUTHS = 500


@dataclass(frozen=True)
class Scores:
    """What the samples of one system are like.

    Attributes:
        row: of the table beside the authors' own texts.
        invented: the facts invented most often, with how often.
    """

    estimates: dict[str, Estimate]
    row: list[Cell]
    invented: list[tuple[str, int]]


def score_texts(
    samples: Sequence[Mapping[str, Any]],
    meaning: Meaning | None,
    classifier: TopicClassifier | None,
    settings: EvaluateSection,
) -> Scores:
    """Score records with `texts`, one record at least; without an encoder what it would tell is left out."""
    facts = [[find_facts(text) for text in sample["texts"]] for sample in samples]
    invented = [
        [found.beyond(known) for found in own] for own, known in zip(facts, map(facts_of_paper, samples), strict=True)
    ]
    repeated, total = _repetition([sample["texts"] for sample in samples])
    credits_N, pairs_N = _distinct([sample["texts"][0] for sample in samples])
    wrong_topic = _wrong_topic(samples, [sample["texts"] for sample in samples], classifier)
    num_words = [_mean(len(words(text)) for text in sample["texts"]) for sample in samples]
    means: dict[str, Sequence[float]] = {
        "invented_facts": [_mean(map(len, own)) for own in invented],
        "num_words": num_words,
    }
    if meaning is not None:
        means |= _similarities(samples, meaning)
    if wrong_topic:
        means["off_topic_rate"] = wrong_topic
    shares: dict[str, tuple[Sequence[float] | np.ndarray, Sequence[float]]] = {
        "invented_share": (_counts(invented, len), _counts(facts, len)),
        "invented_numbers_share": (_counts(invented, _numbers), _counts(facts, _numbers)),
        "invented_objects_share": (_counts(invented, _objects), _counts(facts, _objects)),
        "repeated_4grams": (repeated, total),
        "distinct_2": (credits_N, pairs_N),
    }
    if len(samples[0]["texts"]) > 1:
        agreements = [_agreements(own) for own in facts]
        shares["repeat_fact_agreement"] = ([sum(own) for own in agreements], [len(own) for own in agreements])
    estimates = {
        name: estimate_mean(np.array(values), settings.num_resamples, settings.seed) for name, values in means.items()
    }
    for name, (parts, wholes) in shares.items():
        share = estimate_share(parts, wholes, settings)
        if share is not None:
            estimates[name] = share
    return Scores(
        estimates,
        _row([sample["texts"] for sample in samples], facts, wrong_topic),
        _most_invented(invented),
    )


def _similarities(samples: Sequence[Mapping[str, Any]], meaning: Meaning) -> dict[str, list[float]]:
    """In meaning: of each paper's texts with the true continuation, and with each other where there are several."""
    found = {"meaning_similarity": [_mean(meaning.similarities(own["texts"], own["truth"])) for own in samples]}
    if len(samples[0]["texts"]) > 1:
        found["repeat_similarity"] = [meaning.mutual_similarity(own["texts"]) for own in samples]
    return found


def classifier_error(
    divided: Sequence[Opening], classifier: TopicClassifier, settings: EvaluateSection
) -> Estimate | None:
    """How often the classifier is wrong about true continuations, the floor of the off-topic rate; None without any."""
    samples = [{"primary_category": opening.document.primary_category} for opening in divided[:MAX_TRUTHS]]
    wrong = _wrong_topic(samples, [[opening.truth] for opening in divided[:MAX_TRUTHS]], classifier)
    return estimate_mean(np.array(wrong), settings.num_resamples, settings.seed) if wrong else None


def reference_row(name: str, samples: Sequence[Mapping[str, Any]], classifier: TopicClassifier | None) -> list[Cell]:
    """The row of the authors' own continuations, whose share off topic is the classifier's own error on these."""
    texts = [[sample["truth"]] for sample in samples]
    return [
        name,
        *_row(texts, [[find_facts(text) for text in own] for own in texts], _wrong_topic(samples, texts, classifier)),
    ]


def _row(texts: Sequence[Sequence[str]], facts: Sequence[Sequence[Facts]], wrong_topic: Sequence[float]) -> list[Cell]:
    num_samples = sum(map(len, texts))
    repeated, total = _repetition(texts)
    credits_N, pairs_N = _distinct([own[0] for own in texts])
    return [
        num_samples,
        sum(len(words(text)) for own in texts for text in own) / num_samples,
        sum(_counts(facts, _numbers)) / num_samples,
        sum(_counts(facts, _objects)) / num_samples,
        sum(repeated) / sum(total) if sum(total) else None,
        float(credits_N.sum()) / sum(pairs_N) if sum(pairs_N) else None,
        _mean(wrong_topic) if wrong_topic else None,
    ]


def _wrong_topic(
    samples: Sequence[Mapping[str, Any]], texts: Sequence[Sequence[str]], classifier: TopicClassifier | None
) -> list[float]:
    """Of each paper whose category the classifier knows, the share of its texts that are put into another."""
    if classifier is None:
        return []
    known = [
        (sample["primary_category"], own)
        for sample, own in zip(samples, texts, strict=True)
        if sample["primary_category"] in classifier.categories
    ]
    predicted = iter(classifier.predict([text for _, own in known for text in own])) if known else iter(())
    return [_mean([next(predicted) != category for _ in own]) for category, own in known]


def _repetition(texts: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Of each paper's texts the repeated 4-grams, and all."""
    found = [[grams(text, 4) for text in own] for own in texts]
    return [sum(map(num_repeated, own)) for own in found], [sum(map(len, own)) for own in found]


def _distinct(texts: Sequence[str]) -> tuple[np.ndarray, list[int]]:
    """Of each text what its first words add to the distinct 2-grams of all, and how many 2-grams they have."""
    found = [grams(" ".join(words(text)[:DISTINCT_WORDS]), 2) for text in texts]
    return distinct_credits(found), [len(own) for own in found]


def _agreements(facts: Sequence[Facts]) -> list[float]:
    return [agreement for first, second in combinations(facts, 2) if (agreement := first.agreement(second)) is not None]


def _most_invented(invented: Sequence[Sequence[Facts]]) -> list[tuple[str, int]]:
    counts = Counter(name for own in invented for facts in own for name in facts.names())
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_SHOWN]


def _numbers(facts: Facts) -> int:
    return len(facts.numbers)


def _objects(facts: Facts) -> int:
    return len(facts.objects)


def _counts(facts: Sequence[Sequence[Facts]], count: Any) -> list[int]:
    return [sum(map(count, own)) for own in facts]


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
