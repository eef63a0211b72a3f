"""An evaluation's metrics as the `model-index` of a card: each with its interval, its samples and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Report = Mapping[str, Any]

# The hub's name of what a task asks for, and the metrics that are shown beside its primary one.
_SHOWN = {
    "perplexity": ("text-generation", ("bits_per_byte", "packed_perplexity")),
    "completion": ("text-generation", ("meaning_similarity", "invented_share", "repeated_4grams")),
    "embeddings": ("feature-extraction", ("mean_cosine", "cosine_std")),
    "retrieval": (
        "sentence-similarity",
        ("title_recall_at_1", "title_recall_at_10", "citation_ndcg_at_10", "half_ndcg_at_10"),
    ),
    "categorisation": ("text-classification", ("accuracy", "full_macro_f1", "multi_macro_f1")),
    "knowledge": ("question-answering", ("builtin_answer_accuracy", "rest_answer_accuracy", "answer_ece")),
    "forgetting": ("text-generation", ("general_perplexity", "outside_accuracy", "builtin_general_accuracy")),
    "conviction": ("text-generation", ("creativity",)),
    "calibration": ("text-generation", ("nll", "accuracy")),
}
_OTHER_DATA = {
    "knowledge": ("multiple-choice-questions", "multiple-choice questions"),
    "forgetting": ("general-text-and-questions", "general text and questions outside the field"),
}
_ENDINGS = {"perplexity": "perplexity", "accuracy": "accuracy", "macro_f1": "f1"}
_DIGITS = 6


def shown_metrics(report: Report) -> Iterator[tuple[str, str]]:
    """(task, metric) for each metric of the card that the subject has as a finite number, primary ones first in their task."""
    for task, own in report["tasks"].items():
        measured = own["systems"].get(report["subject"], {"metrics": {}})["metrics"]
        for metric in (own["primary_metric"], *_shown(task)[1]):
            if metric in measured and measured[metric]["value"] is not None:
                yield task, metric


def eval_results(report: Report) -> list[Any]:
    """The metrics of the card as huggingface_hub has them."""
    from huggingface_hub import EvalResult

    systems = {system["key"]: system["label"] for system in report["systems"]}
    results = []
    for task, metric in shown_metrics(report):
        own = report["tasks"][task]
        measured = own["systems"][report["subject"]]["metrics"][metric]
        kind, name = _OTHER_DATA.get(task, ("held-out-documents", _held_out(report)))
        results.append(
            EvalResult(
                task_type=_shown(task)[0],
                task_name=own["title"],
                dataset_type=kind,
                dataset_name=name,
                dataset_config=task,  # tells two tasks of one type on the same documents apart
                dataset_split="test",
                dataset_revision=None if task in _OTHER_DATA else report["corpus"]["files"]["test.parquet"],
                metric_type=next((kind for end, kind in _ENDINGS.items() if metric.endswith(end)), metric),
                metric_name=own["infos"][metric]["label"],
                metric_value=_rounded(measured["value"]),
                metric_args={
                    "name": metric,
                    **({"ci95": _rounded(measured["ci95"])} if measured["ci95"] else {}),
                    "num_samples": measured["num_samples"],
                    "better": own["infos"][metric]["better"],
                    "compared_with": [
                        _compared(own, comparison, systems)
                        for comparison in own["comparisons"]
                        if comparison["metric"] == metric and comparison["difference"] is not None
                    ],
                },
            )
        )
    return results


def _compared(task: Mapping[str, Any], comparison: Mapping[str, Any], systems: Mapping[str, str]) -> dict[str, Any]:
    """Another system's value, the difference from it and what its interval allows to say."""
    other = task["systems"][comparison["against"]]["metrics"][comparison["metric"]]
    compared = {
        "system": systems[comparison["against"]],
        "value": _rounded(other["value"]),
        "ci95": _rounded(other["ci95"]),
        "difference": _rounded(comparison["difference"]),
        "difference_ci95": _rounded(comparison["ci95"]),
        "difference_is": "relative" if task["infos"][comparison["metric"]]["relative"] else "absolute",
        "verdict": comparison["verdict"],
    }
    return {key: value for key, value in compared.items() if value is not None}


def _shown(task: str) -> tuple[str, tuple[str, ...]]:
    return _SHOWN.get(task, ("text-generation", ()))


def _held_out(report: Report) -> str:
    since = report["corpus"]["split"].get("held_out_from")
    return f"documents held out {f'from {since} on' if since else 'at random'}"


def _rounded(value: Any) -> Any:
    """Numbers to six significant digits, which is more than any interval here needs."""
    if isinstance(value, list):
        return [_rounded(own) for own in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
