"""All the ways that a system has of putting texts into categories, learnt on training documents, tried on held-out ones."""

from __future__ import annotations

from functools import lru_cache

from astrollama.evaluation.categories.keywords import classify_by_rules, count_terms, has_rules
from astrollama.evaluation.categories.labels import LabelledTexts, label_documents, one_hot
from astrollama.evaluation.categories.logistic import softmax
from astrollama.evaluation.categories.outcome import FULL, RULES, WORDS, ZERO_SHOT, Outcome, Prediction
from astrollama.evaluation.categories.trained import Words, first_part, train_heads
from astrollama.evaluation.categories.words import WordClassifier, learn_words, predict_by_words
from astrollama.evaluation.categories.zero_shot import category_probabilities
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System
from astrollama.sections import EvaluateSection


def categorise(
    system: System,
    labels: tuple[str, ...],
    train: LabelledTexts,
    test: LabelledTexts,
    data: EvaluationData,
    settings: EvaluateSection,
) -> Outcome:
    """Let a system learn and predict in every way that it can; trained heads are kept in its folder."""
    if "keywords" in system.abilities:
        return _by_rules(train, test, labels)
    if "tfidf" in system.abilities:
        return _by_words(train, _learn_from_all(data, labels, settings.num_words_labelled), test, len(labels))
    outcome = Outcome({})
    if "embed" in system.abilities:
        words = _words_beside(data, labels, settings.num_words_labelled, settings.num_train_labelled)
        outcome = train_heads(system, train, test, labels, words, settings)
    texts = test.texts[: settings.num_zero_shot]
    if "score" in system.abilities and texts:
        probabilities_NC = category_probabilities(system.scorer(), texts, labels)
        outcome.predictions[ZERO_SHOT] = Prediction.of_probabilities(probabilities_NC)
    return outcome


def _by_rules(train: LabelledTexts, test: LabelledTexts, labels: tuple[str, ...]) -> Outcome:
    if not has_rules(labels):
        return Outcome({}, left_out="there are keyword rules for the categories of astro-ph only")
    priors_C = one_hot(train.targets_N, len(labels)).mean(axis=0)
    predicted_N, all_NC = classify_by_rules(count_terms(test.texts, labels), priors_C)
    return Outcome({RULES: Prediction(predicted_N, all_NC=all_NC)}, RULES)


def _by_words(
    train: LabelledTexts, taught: tuple[WordClassifier, int], test: LabelledTexts, num_labels: int
) -> Outcome:
    words, num_train = taught
    predictions = {
        WORDS: predict_by_words(train, test.texts, num_labels),
        FULL: Prediction.of_probabilities(softmax(words.logits(test.texts))),
    }
    return Outcome(predictions, WORDS, {FULL: {"num_train": num_train}})


def _words_beside(data: EvaluationData, labels: tuple[str, ...], limit: int, num_train: int) -> Words:
    words, taught_by = _learn_from_all(data, labels, limit)
    train = label_documents(data.train, labels, num_train).ids
    kept_back = train[first_part(len(train)) :]
    return Words(words, taught_by, _learn_from_all(data, labels, limit, frozenset(kept_back))[0])


# every system is tried beside the same words: those of all documents, and of all but the ones kept back
@lru_cache(maxsize=2)
def _learn_from_all(
    data: EvaluationData, labels: tuple[str, ...], limit: int, left_out: frozenset[str] = frozenset()
) -> tuple[WordClassifier, int]:
    """TF-IDF of words and pairs, taught by every labelled training document, or by `limit` of them, and how many these are."""
    every = label_documents([own for own in data.train if own.id not in left_out], labels, limit)
    return learn_words(every.texts, every.targets_N, len(labels), pairs=True), len(every.ids)
