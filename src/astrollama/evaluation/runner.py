"""`evaluate` and `reproduce`: measure each system in each task, compare, and write the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astrollama.console import duration, say, warn
from astrollama.corpus.store import STAGE_NAME as CORPUS_STAGE
from astrollama.errors import NetworkError
from astrollama.evaluation.assemble import Evaluation, assemble
from astrollama.evaluation.candidates import ADAPTED, BASE, gather_systems
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.measurements import FOLDER, Kept, read_measurement, write_measurement
from astrollama.evaluation.presets import published, quick
from astrollama.evaluation.raters import VOTES, rater_table
from astrollama.evaluation.report import REPORT_HTML, REPORT_JSON, write_report
from astrollama.evaluation.subject import describe_subject, require_unseen
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import EvaluationTask, TaskResult, find_task, known_tasks
from astrollama.files import read_json, sha256_file
from astrollama.recipe import Recipe
from astrollama.runs import read_manifest, stage_directory, verify_files
from astrollama.sections import EvaluateSection

STAGE_NAME = "evaluation"
PAPER_TASKS = ("perplexity", "completion", "embeddings")
_DISPOSABLE = [REPORT_JSON, REPORT_HTML, "plots"]


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, on what.

    Attributes:
        model: anything `load_model` reads; for a run directory the report shows its training too.
        base: None takes the base that the run or the adapter records; an adapter is loaded on it, so it must be its own.
        others: further systems: see `gather_systems`.
        questions: files of multiple-choice questions, JSON lines.
        general: a file of general text.
        citations: a file of citations, JSON lines.
        quick: measure as little as answers within minutes.
    """

    model: str
    corpus: Path
    tasks: Sequence[str]
    base: str | None = None
    others: Sequence[str] = ()
    questions: tuple[Path, ...] = ()
    general: Path | None = None
    citations: Path | None = None
    quick: bool = False
    kind: Literal["evaluate", "reproduce"] = "evaluate"

    def files(self) -> dict[DataFile, list[str]]:
        """The SHA-256 of the files given of each kind."""
        given: dict[DataFile, tuple[Path | None, ...]] = {
            "questions": self.questions,
            "general": (self.general,),
            "citations": (self.citations,),
        }
        return {kind: [sha256_file(path) for path in paths if path] for kind, paths in given.items()}


def evaluate(request: Request, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Measure a model against its base, other models and baselines on the held-out documents of a corpus.

    What was measured is kept: stopped at any point, the same request goes on where it was, and one with further tasks,
    systems or files adds to it.

    Returns:
        The report, as `report.json` holds it.

    Raises:
        ModelError, NetworkError: a model cannot be had.
        CostCeilingError: an API would cost more than `recipe.api` allows.
        RunError: the corpus is none or was trained on, no base is known, or `out` holds something else.
        UserInputError: a task has an unknown name, or a file cannot be used.
    """
    tasks = [find_task(name) for name in known_tasks(request.tasks)]
    manifest = read_manifest(request.corpus, CORPUS_STAGE)
    verify_files(request.corpus, manifest, ["train.parquet", "test.parquet"])
    subject = describe_subject(request.model)
    settings = published(recipe.evaluate) if recipe.evaluate.published else recipe.evaluate
    settings, note = quick(settings) if request.quick else (settings, None)
    data = EvaluationData(
        request.corpus,
        settings.seed,
        request.questions,
        request.general,
        request.citations,
        subject.trained_ids(),
    )
    missing = {task.NAME: reason for task in tasks if (reason := task.missing(data, settings))}
    files = request.files()
    systems = gather_systems(request.model, request.base, request.others, subject, out / FOLDER, settings, recipe.api)
    for model in (request.model, *(system.spec for system in systems if system.role != "baseline")):
        require_unseen(request.corpus / "test.parquet", model)
    identity = {
        "corpus": {name: manifest["files"][name]["sha256"] for name in ("train.parquet", "test.parquet")},
        "files": files,
        "settings": settings.model_dump(mode="json", exclude={"device"}),
        "kind": request.kind,
        "models": {system.key: system.identity for system in systems if system.key in (ADAPTED, BASE)},
        "votes": sha256_file(out / VOTES) if (out / VOTES).is_file() else None,
        "systems": {system.key: [system.identity, system.unavailable] for system in systems},
        "tasks": [task.NAME for task in tasks],
    }
    with stage_directory(
        out,
        STAGE_NAME,
        identity,
        disposable=_DISPOSABLE,
        keeps=FOLDER,
        extensible=("systems", "tasks", "files", "votes", "kind"),
    ) as stage:
        if stage.state == "complete":
            say(f"{out}: the evaluation is already there")
            return read_json(out / REPORT_JSON)
        asked = [task for task in tasks if task.NAME not in missing]
        say(f"evaluating {subject.name} on {manifest['counts']['test']:,} held-out documents: {len(asked)} tasks")
        kept = _measure(asked, systems, data, settings, files)
        results = {}
        for task in asked:
            try:
                results[task.NAME] = _summarise(task, kept, data, settings)
            except NetworkError as error:  # the encoder that compares meanings cannot be fetched
                missing[task.NAME] = str(error)
                warn(f"{task.NAME} is left out: {error}")
        evaluation = Evaluation(request, recipe, settings, subject, systems, tasks, missing, kept, results, note)
        report = assemble(evaluation, manifest, rater_table(out))
        written = write_report(report, subject.metrics, out)
        stage.finish(written, {"tasks": len(results), "documents": report["num_documents"]})
    return report


def _measure(
    tasks: Sequence[EvaluationTask],
    systems: Sequence[System],
    data: EvaluationData,
    settings: EvaluateSection,
    files: Mapping[DataFile, list[str]],
) -> dict[str, dict[str, Kept]]:
    """The measurements of each task, by the system's key; one model is in memory at a time."""
    kept: dict[str, dict[str, Kept]] = {task.NAME: {} for task in tasks}
    # what may fail for reasons that lie elsewhere is asked first
    for system in sorted(systems, key=lambda system: system.role != "other"):
        for task in tasks:
            if system.unavailable or not task.NEEDS & system.abilities:
                continue
            inputs = {kind: files[kind] for kind in sorted(task.FILES)}
            found = read_measurement(system, task, inputs)
            if found is None:
                found = _measure_one(system, task, data, settings)
                if found is None:
                    break
                write_measurement(system, task, inputs, found.measurement, found.seconds)
            kept[task.NAME][system.key] = found
        system.close()
    order = [system.key for system in systems]
    return {name: dict(sorted(own.items(), key=lambda item: order.index(item[0]))) for name, own in kept.items()}


def _measure_one(system: System, task: EvaluationTask, data: EvaluationData, settings: EvaluateSection) -> Kept | None:
    """A measurement; None of a baseline whose weights cannot be fetched, which then is unavailable."""
    say(f"{system.label}: {task.NAME}")
    started = time.monotonic()
    try:
        measurement = task.measure(system, data, settings)
    except NetworkError as error:
        if system.role != "baseline":
            raise
        system.unavailable = str(error)
        warn(f"{system.label} is left out: {error}")
        return None
    seconds = time.monotonic() - started
    say(f"{system.label}: {task.NAME} took {duration(seconds)}")
    return Kept(measurement, round(seconds, 1))


def _summarise(
    task: EvaluationTask, kept: Mapping[str, Mapping[str, Kept]], data: EvaluationData, settings: EvaluateSection
) -> TaskResult:
    measurements = {key: own.measurement for key, own in kept[task.NAME].items()}
    return task.summarise(measurements, data, settings, ADAPTED)
