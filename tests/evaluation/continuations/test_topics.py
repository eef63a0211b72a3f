from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from astrollama.evaluation.continuations.topics import learn_topics
from astrollama.evaluation.data import EvaluationData


@pytest.fixture(scope="module")
def data(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, seed=0)


def test_the_classifier_knows_more_than_chance(data: EvaluationData) -> None:
    classifier = learn_topics(data.train, data.test)
    assert classifier is not None
    assert len(classifier.categories) == 6
    predicted = classifier.predict([document.text for document in data.test])
    right = [name == document.primary_category for name, document in zip(predicted, data.test, strict=True)]
    assert sum(right) / len(right) > 2 / 6


def test_a_text_without_a_known_word_has_no_topic(data: EvaluationData) -> None:
    classifier = learn_topics(data.train, data.test)
    assert classifier is not None
    assert classifier.predict(["", "xyzzy"]) == ["", ""]


def test_rare_and_unknown_categories_are_not_learned(data: EvaluationData) -> None:
    rare = replace(data.train[0], primary_category="gr-qc")
    unknown = [replace(document, primary_category="unknown") for document in data.train[:20]]
    held_out = [*data.test, rare, unknown[0]]
    classifier = learn_topics([rare, *unknown, *data.train[20:]], held_out)
    assert classifier is not None
    assert len(classifier.categories) == 6


def test_categories_that_are_not_held_out_are_not_learned(data: EvaluationData) -> None:
    held_out = [document for document in data.test if document.primary_category in ("astro-ph.GA", "astro-ph.EP")]
    classifier = learn_topics(data.train, held_out)
    assert classifier is not None
    assert classifier.categories == {"astro-ph.GA", "astro-ph.EP"}


def test_one_category_is_no_choice(data: EvaluationData) -> None:
    alike = [replace(document, primary_category="astro-ph.GA") for document in data.train]
    assert learn_topics(alike, data.test) is None
    assert learn_topics([], data.test) is None
