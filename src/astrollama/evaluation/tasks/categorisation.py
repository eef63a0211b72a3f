"""Putting abstracts into arXiv categories: one each, the primary one, and all that a paper has.

Every system learns from the same training abstracts and is tried on the same held-out ones. A model is tried four ways: a
linear probe on its vectors, a head fine-tuned with LoRA, the better of these together with words, and without any training
by the likelihood of the categories' names. Keyword rules, TF-IDF and MiniLM, the last two with logistic regression, tell what
that is worth. All labelled documents of a corpus can teach words in a minute, and do where they stand beside vectors; so TF-IDF
is tried taught by as many as the models, and by all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from astrollama.evaluation.categories.display import category_table, confusion_figure, f1_figure
from astrollama.evaluation.categories.labels import find_labels, test_texts, training_texts
from astrollama.evaluation.categories.methods import categorise
from astrollama.evaluation.categories.outcome import FINE_TUNED, FULL, PROBED, ZERO_SHOT
from astrollama.evaluation.categories.scores import Scored
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all, names_of
from astrollama.sections import EvaluateSection

if TYPE_CHECKING:
    from astrollama.evaluation.data import DataFile

NAME = "categorisation"
TITLE = "Text categorisation"
VERSION = 2
PRIMARY_METRIC = "macro_f1"
NEEDS: frozenset[SystemAbility] = frozenset({"embed", "score", "tfidf", "keywords"})
FILES: frozenset[DataFile] = frozenset()


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Why nothing can be put into categories, or None."""
    labels = find_labels(data.train)
    if len(labels) < 2:
        return "the training documents of the corpus have fewer than two categories to tell apart"
    if not test_texts(data, labels, settings).ids:
        return f"no held-out document has one of the categories {', '.join(labels)}"
    return None


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Train what a system can be trained for, keep the heads in its folder, and categorise the held-out documents.

    Returns:
        One record a document: `id`, `label`, `labels`, and of each method `label`, `probability` and `labels`.
    """
    labels = find_labels(data.train)
    train, test = training_texts(data, labels, settings), test_texts(data, labels, settings)
    outcome = categorise(system, labels, train, test, data, settings)
    samples = [
        {
            "id": identifier,
            "label": labels[test.targets_N[index]],
            "labels": [label for label, has in zip(labels, test.categories_NC[index], strict=True) if has],
            **{
                method: prediction.record(index, labels)
                for method, prediction in outcome.predictions.items()
                if index < len(prediction.predicted_N)
            },
        }
        for index, identifier in enumerate(test.ids)
    ]
    details = {
        "labels": list(labels),
        "main": outcome.main,
        "methods": outcome.details,
        "left_out": outcome.left_out,
        "num_train": len(train.ids),
        "num_train_without_label": train.num_left_out,
        "num_test_without_label": test.num_left_out,
        "labels_not_in_train": [label for index, label in enumerate(labels) if index not in train.targets_N],
    }
    return Measurement(samples, details)


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Metrics of every system in every way, per-category scores, and the subject's confusion matrix."""
    del data
    scored = {key: Scored.of(own) for key, own in measurements.items() if not own.details["left_out"]}
    estimates = {key: own.estimates(settings) for key, own in scored.items()}
    infos = {name: info for name, info in _infos().items() if any(name in own for own in estimates.values())}
    names = names_of(measurements)
    tables = [category_table(key, names[key], own) for key, own in scored.items() if own.main is not None]
    figures = [f1_figure(estimates)]
    if subject in scored and scored[subject].main is not None:
        figures.append(confusion_figure(subject, names[subject], scored[subject]))
    return TaskResult(
        primary_metric=PRIMARY_METRIC,
        infos=infos,
        estimates=estimates,
        comparisons=compare_all(infos, estimates, subject),
        figures=figures,
        tables=tables,
        notes=_notes(measurements),
        details={"methods": {key: own.details["methods"] for key, own in measurements.items()}},
    )


def _notes(measurements: Mapping[str, Measurement]) -> list[str]:
    first = next(iter(measurements.values()))
    details = first.details
    labels, num_test = details["labels"], len(first.samples)
    notes = [
        f"All systems learn from the same {details['num_train']} training abstracts and are tried on the same {num_test} "
        f"held-out ones, of {len(labels)} categories."
    ]
    without_label = details["num_train_without_label"], details["num_test_without_label"]
    if any(without_label):
        notes.append(
            f"Left out are {without_label[0]:,} training and {without_label[1]:,} held-out abstracts whose primary category is "
            "none of these."
        )
    for key, name in names_of(measurements).items():
        own = measurements[key]
        methods = own.details["methods"]
        if FINE_TUNED in methods:
            head = methods[FINE_TUNED]
            notes.append(
                f"{name}: the fine-tuned head learns from the first {head['num_train']} of the training abstracts; the rest "
                f"decide for {'it' if own.details['main'] == FINE_TUNED else 'the probe'} as its best method."
            )
        if FULL in methods and "with" in methods[FULL]:
            notes.append(
                f"{name}, with words: the geometric mean of the probabilities by its best method ({methods[FULL]['share']:.0%}) and by "
                f"TF-IDF of words and pairs, taught by {methods[FULL]['num_words_train']:,} labelled training abstracts."
            )
        elif FULL in methods:
            notes.append(f"{name} is also taught by {methods[FULL]['num_train']:,} labelled training abstracts.")
        if own.details["left_out"]:
            notes.append(f"{name} is left out: {own.details['left_out']}.")
    if details["labels_not_in_train"]:
        notes.append(f"No training abstract that was drawn has {', '.join(details['labels_not_in_train'])}.")
    without = [label for label in labels if all(sample["label"] != label for sample in first.samples)]
    if without:
        notes.append(f"No held-out abstract that was drawn has {', '.join(without)}; macro-F1 is over the others.")
    return notes


def _infos() -> dict[str, MetricInfo]:
    f1 = "The mean over categories of F1 = 2 tp / (2 tp + fp + fn), one category a document"
    right = "The share of documents whose primary category is found"
    ways = {
        PROBED: ("linear probe", "logistic regression on the vectors of the model, which stays as it is"),
        FINE_TUNED: ("fine-tuned head", "LoRA and a linear layer, trained together"),
        ZERO_SHOT: ("zero-shot", "by the likelihood of the categories' names, without training"),
        FULL: (
            "with words",
            "logistic regression on TF-IDF of words and pairs, taught by all labelled training abstracts (or `num_words_labelled`): "
            "alone, or together with a model's best method",
        ),
    }
    infos = {
        "macro_f1": MetricInfo(
            "macro-F1",
            "higher",
            f"{f1}; of a model by the trained method that is better on training documents kept back for that.",
        ),
        "accuracy": MetricInfo("accuracy", "higher", f"{right}, by the same method.", style="percent"),
    }
    for method, (name, how) in ways.items():
        infos[f"{method}_macro_f1"] = MetricInfo(f"macro-F1, {name}", "higher", f"{f1}; {how}.")
        infos[f"{method}_accuracy"] = MetricInfo(f"accuracy, {name}", "higher", f"{right}; {how}.", style="percent")
    infos["multi_macro_f1"] = MetricInfo(
        "macro-F1, all categories",
        "higher",
        "The same of all categories that a paper has, cross-lists among them, each told against the rest.",
    )
    infos["multi_subset_accuracy"] = MetricInfo(
        "all categories right",
        "higher",
        "The share of documents whose categories are all found, and no other.",
        "percent",
    )
    return infos
