"""The report's content from all that was measured: what `report.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from astrollama.evaluation import paper
from astrollama.evaluation.candidates import ADAPTED, BASE
from astrollama.evaluation.figures import Table
from astrollama.evaluation.measuring import Measured
from astrollama.evaluation.report import SCHEMA_VERSION, plain_json, task_json
from astrollama.evaluation.subject import Subject
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import EvaluationTask, TaskResult, needed_ability
from astrollama.evaluation.tasks import completion, perplexity
from astrollama.provenance import hardware, versions
from astrollama.sections import EvaluateSection

if TYPE_CHECKING:
    from astrollama.evaluation.request import Request

_OF_COMPLETION = ("id", "title", "date", "primary_category", "prompt", "truth")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation whose measurements are made.

    Attributes:
        missing: why a task was not run at all, by its name.
        quick_note: how much wider the intervals of a quick one are, or None.
    """

    request: Request
    settings: EvaluateSection
    subject: Subject
    systems: Sequence[System]
    tasks: Sequence[EvaluationTask]
    missing: Mapping[str, str]
    measured: Measured
    results: Mapping[str, TaskResult]
    quick_note: str | None


def assemble(evaluation: Evaluation, corpus: Mapping[str, Any], votes: Table | None) -> dict[str, Any]:
    """The report as a program reads it.

    Args:
        corpus: the corpus's manifest.
        votes: how often people chose each system's completions, or None.
    """
    subject, settings = evaluation.subject, evaluation.settings
    systems = {system.key: system for system in evaluation.systems}
    headline = _headline(evaluation)
    tasks = {task.NAME: _task(task, evaluation) for task in evaluation.tasks if task.NAME in evaluation.results}
    if votes is not None and completion.NAME in tasks:
        tasks[completion.NAME]["tables"].append(plain_json(votes))
    return {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": subject.name,
        "kind": evaluation.request.kind,
        "quick": {"note": evaluation.quick_note} if evaluation.quick_note else None,
        "num_documents": headline["num_documents"]
        if headline
        else min(settings.num_documents, corpus["counts"]["test"]),
        "num_documents_held_out": corpus["counts"]["test"],
        "num_tokens": headline["num_tokens"] if headline else None,
        "systems": [
            {
                "key": system.key,
                "label": system.label,
                "role": system.role,
                "identity": system.identity,
                "digest": system.digest,
                "unavailable": system.unavailable,
            }
            for system in evaluation.systems
            if _takes_part(system, evaluation)
        ],
        "subject": ADAPTED,
        "tasks": tasks,
        "tasks_left_out": dict(evaluation.missing),
        "leak": _leak(evaluation.results),
        "paper": _paper(evaluation, corpus),
        "perplexity": headline,
        "completions": _completions(evaluation),
        "train": subject.summary(),
        "trained_on": subject.documents(evaluation.request.corpus / "train.parquet"),
        "models": {key: {"name": systems[key].spec, "digest": systems[key].digest} for key in (BASE, ADAPTED)},
        "corpus": {
            "counts": corpus["counts"],
            "split": corpus["split"],
            "inputs": corpus["identity"]["inputs"],
            "files": {name: record["sha256"] for name, record in corpus["files"].items()},
        },
        "settings": settings.model_dump(mode="json"),
        "recipe": subject.training.recipe if subject.training else None,
        "versions": versions(),
        "hardware": hardware(),
        "seconds": round(sum(kept.seconds for own in evaluation.measured.kept.values() for kept in own.values()), 1),
        "seed": settings.seed,
    }


def _takes_part(system: System, evaluation: Evaluation) -> bool:
    """Whether a system has a column: a baseline only where a task made use of it, or would have."""
    used = any(system.key in own for own in evaluation.measured.kept.values())
    return system.role != "baseline" or used or system.unavailable is not None


def _task(task: EvaluationTask, evaluation: Evaluation) -> dict[str, Any]:
    kept = evaluation.measured.kept[task.NAME]
    told = {
        key: own.measurement.details["left_out"] for key, own in kept.items() if "left_out" in own.measurement.details
    }
    left_out = told | {
        system.key: reason
        for system in evaluation.systems
        if system.key not in kept and (reason := _reason(system, task, evaluation))
    }
    seconds = {key: own.seconds for key, own in kept.items()}
    result = task_json(evaluation.results[task.NAME], task.TITLE, task.VERSION, seconds, left_out)
    for system in evaluation.systems:
        details = kept[system.key].measurement.details if system.key in kept else {}
        if "answered_by" in details:
            refused = f"; it would not take {' and '.join(details['refused'])}" if details["refused"] else ""
            result["notes"].append(f"{system.label} was answered by {', '.join(details['answered_by'])}{refused}.")
    return result


def _reason(system: System, task: EvaluationTask, evaluation: Evaluation) -> str | None:
    """Why a system was not measured in a task; a baseline for other tasks needs no reason."""
    if (task.NAME, system.key) in evaluation.measured.failed:
        return evaluation.measured.failed[task.NAME, system.key]
    if system.unavailable:
        return system.unavailable
    if system.role == "baseline":
        return None
    return f"{system.label} cannot {needed_ability(task)}"


def _headline(evaluation: Evaluation) -> dict[str, Any] | None:
    kept = evaluation.measured.kept.get(perplexity.NAME, {})
    if ADAPTED not in kept or BASE not in kept:
        return None
    return perplexity.headline({key: own.measurement for key, own in kept.items()}, evaluation.settings)


def _completions(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The first continuation of each abstract by every system, beside what the authors wrote."""
    kept = evaluation.measured.kept.get(completion.NAME, {})
    records: dict[str, dict[str, Any]] = {}
    for key, own in kept.items():
        for sample in own.measurement.samples:
            if "texts" in sample:
                record = records.setdefault(sample["id"], {name: sample[name] for name in _OF_COMPLETION})
                record[key] = sample["texts"][0].strip()
    return list(records.values())


def _leak(results: Mapping[str, TaskResult]) -> dict[str, Any] | None:
    """Held-out documents that a model was trained on are refused; papers of citation gold come from the whole corpus."""
    num_seen = results["retrieval"].details.get("num_seen_in_training", 0) if "retrieval" in results else 0
    if not num_seen:
        return None
    text = (
        f"{num_seen:,} of the papers whose citations were looked for were in the training of a model that is compared: what it "
        "gains in retrieval by citation may be memory. No other task uses them."
    )
    return {"num_documents": num_seen, "text": text}


def _paper(evaluation: Evaluation, corpus: Mapping[str, Any]) -> list[dict[str, Any]]:
    if evaluation.request.kind != "reproduce":
        return []
    subject, counts, split = evaluation.subject, corpus["counts"], corpus["split"]
    summary = subject.summary()
    run = {
        "base": next(system.label for system in evaluation.systems if system.key == BASE),
        "method": summary["method"] if summary else None,
        "num_papers": counts["train"] + counts["validation"] + counts["test"],
        "split": f"{counts['test']:,} documents, by {split['kind']}",
        "num_train_tokens": summary["num_tokens"] if summary else None,
        **{
            name: getattr(evaluation.settings, name)
            for name in ("packed_length", "temperature", "max_new_tokens", "num_embeddings")
        },
    }
    labels = {system.key: system.label for system in evaluation.systems}
    tables: list[dict[str, Any]] = plain_json(paper.paper_tables(evaluation.results, run, labels))
    return tables
