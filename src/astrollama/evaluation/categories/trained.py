"""What is trained on a model's vectors: a linear probe, a fine-tuned head where the model itself can be trained, and words beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrollama.evaluation.categories.heads import FOLDER, LORA, PROBE, WITH_WORDS, Head, save_head
from astrollama.evaluation.categories.labels import LabelledTexts, one_hot
from astrollama.evaluation.categories.logistic import choose_share, fused, softmax
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
# from the same, and how much words weigh beside them. Cross-validation would train as many heads as it has folds.
LEARNING_SHARE = 0.8
MOST_KEPT_BACK = 2000  # an interval of two points then, half a point less than of 1,000
# The folder of each method's head.
_FOLDERS = {PROBED: PROBE, FINE_TUNED: LORA, FULL: WITH_WORDS}


@dataclass(frozen=True)
class Words:
    """What stands beside a model's vectors.

    Attributes:
        classifier: what words and pairs tell, taught by `num_train` documents.
        of_others: the same, taught by all of them but the ones that a model's training part keeps back.
    """

    classifier: WordClassifier
    num_train: int
    of_others: WordClassifier


@dataclass(frozen=True)
class _Trained:
    """A method's classifier, and its logits of the documents kept back, by which it was not taught, and of the test documents."""

    classifier: Probe | LoraHead
    kept_back_NC: np.ndarray
    test_NC: np.ndarray
    details: dict[str, Any]


def first_part(num_train: int) -> int:
    """How many of the training documents teach what is tried on the others."""
    return max(1, round(LEARNING_SHARE * num_train), num_train - MOST_KEPT_BACK)


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
    cut = first_part(len(train.ids))
    kept_back_N = train.targets_N[cut:]
    vectors_ND, others_ND = system.embed(train.texts), system.embed(test.texts)
    probe, c = fit_probe(vectors_ND, train.targets_N, len(labels))
    all_NC = predict_all(probe, c, vectors_ND, train.categories_NC, others_ND)
    of_first, _ = fit_probe(vectors_ND[:cut], train.targets_N[:cut], len(labels))
    by_probe = _Trained(
        probe,
        of_first.logits(vectors_ND[cut:]),
        probe.logits(others_ND),
        {"num_train": len(train.ids), "c": c},
    )
    trained = {PROBED: by_probe}
    loaded: LoadedModel | None = getattr(system.encoder(), "loaded", None)  # None of MiniLM, and behind an API
    if loaded is not None and settings.head_epochs:
        trained[FINE_TUNED] = _fine_tune(loaded, vectors_ND[:cut], train, test, len(labels), settings)
    main = _best(trained, kept_back_N)
    beside_NC = words.of_others.logits(train.texts[cut:]) if len(kept_back_N) else trained[main].kept_back_NC
    share = choose_share(trained[main].kept_back_NC, beside_NC, kept_back_N)
    fused_NC = fused(trained[main].test_NC, words.classifier.logits(test.texts), share)
    details = {"with": main, "share": share, "num_words_train": words.num_train} | trained[main].details
    trained[FULL] = replace(trained[main], test_NC=fused_NC, details=details)
    outcome = Outcome(
        {method: Prediction.of_probabilities(softmax(own.test_NC)) for method, own in trained.items()},
        main,
        {method: own.details for method, own in trained.items()},
    )
    outcome.predictions[PROBED] = replace(outcome.predictions[PROBED], all_NC=all_NC)
    base = _base_record(system, loaded)
    if base is not None:
        for method, own in trained.items():
            measured = _measured(outcome.predictions[method], test, len(labels), settings)
            head = Head(labels, base, own.classifier, measured, own.details)
            if method == FULL:
                head = replace(head, words=words.classifier, share=share)
            save_head(system.folder / FOLDER / _FOLDERS[method], head)
    return outcome


def _fine_tune(
    loaded: LoadedModel,
    first_ND: np.ndarray,
    train: LabelledTexts,
    test: LabelledTexts,
    num_labels: int,
    settings: EvaluateSection,
) -> _Trained:
    """Train a head on the first of the training documents, those that `first_ND` are the vectors of."""
    from astrollama.evaluation.categories.lora_head import START_STRENGTH, recipe, train_head

    cut = len(first_ND)
    started = time.monotonic()
    start, _ = fit_probe(first_ND, train.targets_N[:cut], num_labels, [START_STRENGTH])
    head = train_head(loaded, train.texts[:cut], train.targets_N[:cut], start, settings)
    details: dict[str, Any] = {"num_train": cut, "seconds": round(time.monotonic() - started, 1), **recipe(settings)}
    return _Trained(head, head.logits(loaded, train.texts[cut:]), head.logits(loaded, test.texts), details)


def _best(trained: Mapping[str, _Trained], kept_back_N: np.ndarray) -> str:
    """The method whose macro-F1 on the documents kept back is highest, the first of equals; what decided is told of the second."""
    if not len(kept_back_N):
        return PROBED
    num_labels = trained[PROBED].test_NC.shape[1]
    truth_NC = one_hot(kept_back_N, num_labels)
    scores = {
        method: macro_f1(truth_NC, one_hot(own.kept_back_NC.argmax(-1), num_labels)) for method, own in trained.items()
    }
    if FINE_TUNED in trained:
        trained[FINE_TUNED].details.update(
            num_rest=len(kept_back_N),
            macro_f1_of_rest=scores[FINE_TUNED],
            macro_f1_of_rest_by_probe=scores[PROBED],
        )
    return max(scores, key=lambda method: scores[method])


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
