"""Figures and tables of categorisation."""

from __future__ import annotations

from collections.abc import Mapping

from astrollama.evaluation.categories.labels import one_hot
from astrollama.evaluation.categories.metrics import category_scores, confusion_matrix
from astrollama.evaluation.categories.outcome import FINE_TUNED, FULL, PROBED, RULES, WORDS, ZERO_SHOT
from astrollama.evaluation.categories.scores import Scored
from astrollama.evaluation.figures import Figure, Series, Table, bounds
from astrollama.evaluation.intervals import Estimate

_NAMES = {
    RULES: "keyword rules",
    WORDS: "TF-IDF and logistic regression",
    FULL: "TF-IDF of words and pairs",
    PROBED: "linear probe",
    FINE_TUNED: "fine-tuned head",
    ZERO_SHOT: "zero-shot",
}
_ON_WORDS = "words alone"
_GROUPS = {
    PROBED: "linear probe",
    FINE_TUNED: "fine-tuned head",
    FULL: "with words",
    ZERO_SHOT: "zero-shot",
}


def f1_figure(estimates: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Macro-F1 of every system in every way that it has."""
    series = []
    for key, own in estimates.items():
        bars = {name: own[f"{method}_macro_f1"] for method, name in _GROUPS.items() if f"{method}_macro_f1" in own}
        if "macro_f1" in own and f"{PROBED}_macro_f1" not in own:
            bars = {_ON_WORDS: own["macro_f1"], **bars}
        if bars:
            intervals = bounds(bar.ci95 for bar in bars.values())
            series.append(Series(key, list(bars), [bar.value for bar in bars.values()], *intervals))
    note = "Mean of F1 over categories on held-out abstracts, with 95 % intervals over documents. Higher is better."
    return Figure("macro_f1", "Text categorisation", "bars", "", "macro-F1", series, note=note)


def category_table(key: str, name: str, scored: Scored) -> Table:
    """Precision, recall and F1 of each category by a system's main method."""
    assert scored.main is not None
    size = len(scored.labels)
    scores = category_scores(one_hot(scored.targets_N, size), one_hot(scored.predicted[scored.main], size))
    rows = [
        [label, score.precision, score.recall, score.f1, score.num_documents]
        for label, score in zip(scored.labels, scores, strict=True)
    ]
    return Table(
        f"categories_{key}",
        f"Categories one by one: {name}, {_NAMES[scored.main]}",
        ["category", "precision", "recall", "F1", "documents"],
        rows,
    )


def confusion_figure(key: str, name: str, scored: Scored) -> Figure:
    """How many documents of each category were put into which, by a system's main method."""
    assert scored.main is not None
    matrix_CC = confusion_matrix(scored.targets_N, scored.predicted[scored.main], len(scored.labels))
    series = [
        Series(key, scored.labels, row_C.tolist(), label=label)
        for label, row_C in zip(scored.labels, matrix_CC, strict=True)
    ]
    return Figure(
        "confusion",
        f"Confusion matrix: {name}, {_NAMES[scored.main]}",
        "matrix",
        "predicted category",
        "true category",
        series,
        note=f"{len(scored.targets_N)} held-out abstracts.",
    )
