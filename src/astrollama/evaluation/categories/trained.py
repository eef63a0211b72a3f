"""What is trained on a model's vectors: a linear probe, a fine-tuned head where the model itself can be trained, and words beside them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astrollama.evaluation.categories.heads import FOLDER, LORA, PROBE, WITH_WORDS, Head, save_head
from astrollama.evaluation.categories.labels import LabelledTexts, one_hot
from astrollama.evaluation.categories.logistic import fused, softmax
from astrollama.evaluation.categories.metrics import estimate_macro_f1, macro_f1
from astrollama.evaluation.categories.outcome import FINE_TUNED, FULL, PROBED, Outcome, Prediction
from astrollama.evaluation.categories.probe import Probe, fit_probe, predict_all
from astrollama.evaluation.categories.words import WordClassifier
from astrollama.evaluation.resamples import fewer_resamples
from astrollama.evaluation.systems import System
from astrollama.models.folder import BaseRecord
from astrollama.sections import EvaluateSection

if TYPE_CHECKING:
    from astrollama.evaluation.categories.lora_head import LoraHead
    from astrollama.models.load import LoadedModel

# A head learns from the first four fifths of the training part; the rest decide between it and a probe that has learnt
# from the same. Cross-validation would train as many heads as it has folds.
LEARNING_SHARE = 0.8
MOST_KEPT_BACK = 2000  # an interval of two points then, half a point less than of 1,000
# The folder of each method's head.
_FOLDERS = {PROBED: PROBE, FINE_TUNED: LORA, FULL: WITH_WORDS}


@dataclass(frozen=True)
class Words:
    """What words alone tell, and how many documents taught it."""

    classifier: WordClassifier
    num_train: int


def train_heads(
    system: System,
    train: LabelledTexts,
    test: LabelledTexts,
    labels: tuple[str, ...],
    words: Words,
    settings: EvaluateSection,
) -> Outcome:
    """Train, predict and keep: the probe in `heads/probe` of the system's folder, the fine-tuned head in `heads/lora`, and the
    better of the two together with `words` in `heads/words`.

    Heads on what only an API computes are not kept.
    """
    vectors_ND, others_ND = system.embed(train.texts), system.embed(test.texts)
    probe, c = fit_probe(vectors_ND, train.targets_N, len(labels))
    all_NC = predict_all(probe, c, vectors_ND, train.categories_NC, others_ND)
    logits = {PROBED: probe.logits(others_ND)}
    outcome = Outcome(
        {PROBED: Prediction.of_probabilities(softmax(logits[PROBED]), all_NC)},
        PROBED,
        {PROBED: {"num_train": len(train.ids), "c": c}},
    )
    loaded: LoadedModel | None = getattr(system.encoder(), "loaded", None)  # None of MiniLM, and behind an API
    classifiers: dict[str, Probe | LoraHead] = {PROBED: probe}
    if loaded is not None and settings.head_epochs:
        tuned = _fine_tune(outcome, loaded, vectors_ND, train, len(labels), settings)
        classifiers[FINE_TUNED], logits[FINE_TUNED] = tuned, tuned.logits(loaded, test.texts)
        outcome.predictions[FINE_TUNED] = Prediction.of_probabilities(softmax(logits[FINE_TUNED]))
    assert outcome.main is not None
    classifiers[FULL] = classifiers[outcome.main]
    fused_NC = fused(logits[outcome.main], words.classifier.logits(test.texts))
    outcome.predictions[FULL] = Prediction.of_probabilities(softmax(fused_NC))
    outcome.details[FULL] = {"with": outcome.main, "num_words_train": words.num_train} | outcome.details[outcome.main]
    base = _base_record(system, loaded)
    if base is not None:
        for method, classifier in classifiers.items():
            measured = _measured(outcome.predictions[method], test, len(labels), settings)
            beside = words.classifier if method == FULL else None
            head = Head(labels, base, classifier, measured, outcome.details[method], beside)
            save_head(system.folder / FOLDER / _FOLDERS[method], head)
    return outcome


def _fine_tune(
    outcome: Outcome,
    loaded: LoadedModel,
    vectors_ND: np.ndarray,
    train: LabelledTexts,
    num_labels: int,
    settings: EvaluateSection,
) -> LoraHead:
    """Train a head; it becomes the main method of `outcome` if the rest of the training part says so."""
    from astrollama.evaluation.categories.lora_head import START_STRENGTH, recipe, train_head

    cut = max(1, round(LEARNING_SHARE * len(train.ids)), len(train.ids) - MOST_KEPT_BACK)
    first_ND, targets_N = vectors_ND[:cut], train.targets_N[:cut]
    started = time.monotonic()
    start, _ = fit_probe(first_ND, targets_N, num_labels, [START_STRENGTH])
    head = train_head(loaded, train.texts[:cut], targets_N, start, settings)
    details: dict[str, Any] = {"num_train": cut, "seconds": round(time.monotonic() - started, 1), **recipe(settings)}
    rest = train.texts[cut:]
    if rest:
        probe, _ = fit_probe(first_ND, targets_N, num_labels)
        truth_NC = one_hot(train.targets_N[cut:], num_labels)
        of_probe, of_head = (
            macro_f1(truth_NC, one_hot(logits_NC.argmax(-1), num_labels))
            for logits_NC in (probe.logits(vectors_ND[cut:]), head.logits(loaded, rest))
        )
        details |= {"num_rest": len(rest), "macro_f1_of_rest": of_head, "macro_f1_of_rest_by_probe": of_probe}
        outcome.main = FINE_TUNED if of_head > of_probe else PROBED
    outcome.details[FINE_TUNED] = details
    return head


def _measured(
    prediction: Prediction, test: LabelledTexts, num_labels: int, settings: EvaluateSection
) -> dict[str, Any]:
    truth_NC, predicted_NC = one_hot(test.targets_N, num_labels), one_hot(prediction.predicted_N, num_labels)
    estimate = estimate_macro_f1(truth_NC, predicted_NC, fewer_resamples(settings), settings.seed)
    return {"macro_f1": estimate.value, "macro_f1_ci95": estimate.ci95, "num_test": estimate.num_samples}


def _base_record(system: System, loaded: LoadedModel | None) -> BaseRecord | None:
    """How `astrollama classify` finds what gives the vectors again, or None if it cannot."""
    if loaded is not None:
        return BaseRecord(loaded.name, loaded.digest, None)
    from astrollama.backends import minilm

    if system.key == minilm.KEY:
        return BaseRecord(minilm.NAME, minilm.DIGEST, None)
    return None
