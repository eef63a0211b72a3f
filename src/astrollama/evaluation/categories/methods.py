"""All the ways that a system has of putting texts into categories, learnt on training documents, tried on held-out ones."""

from __future__ import annotations

from astrollama.evaluation.categories.keywords import classify_by_rules, count_terms, has_rules
from astrollama.evaluation.categories.labels import LabelledTexts, label_documents, one_hot
from astrollama.evaluation.categories.outcome import FULL, RULES, WORDS, ZERO_SHOT, Outcome, Prediction
from astrollama.evaluation.categories.trained import train_heads
from astrollama.evaluation.categories.words import predict_by_words, predict_by_words_of_many
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
        return _by_words(train, label_documents(data.train, labels, len(data.train)), test, len(labels))
    outcome = train_heads(system, train, test, labels, settings) if "embed" in system.abilities else Outcome({})
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


def _by_words(train: LabelledTexts, every: LabelledTexts, test: LabelledTexts, num_labels: int) -> Outcome:
    predictions = {
        WORDS: predict_by_words(train, test.texts, num_labels),
        FULL: predict_by_words_of_many(every, test.texts, num_labels),
    }
    return Outcome(predictions, WORDS, {FULL: {"num_train": len(every.ids)}})
