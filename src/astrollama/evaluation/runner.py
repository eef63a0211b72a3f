"""`evaluate` and `reproduce`: measure each system in each task, compare, and write the report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astrollama.console import counted, say, warn
from astrollama.corpus.store import STAGE_NAME as CORPUS_STAGE
from astrollama.errors import NetworkError, RunError, UserInputError
from astrollama.evaluation.assemble import Evaluation, assemble
from astrollama.evaluation.candidates import ADAPTED, BASE, base_of, check_systems, gather_systems
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.figures import Table
from astrollama.evaluation.measurements import FOLDER, Kept
from astrollama.evaluation.measuring import measure_all, measurement_hashes
from astrollama.evaluation.presets import published, quick, quick_note
from astrollama.evaluation.rating.raters import VOTES, rater_table
from astrollama.evaluation.report import REPORT_HTML, REPORT_JSON, write_report
from astrollama.evaluation.request import Request, added_to, hashes
from astrollama.evaluation.subject import describe_subject, require_unseen
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import TASKS, EvaluationTask, TaskResult, find_task, known_tasks, needed_ability
from astrollama.files import read_json, sha256_file
from astrollama.recipe import Recipe
from astrollama.runs import MANIFEST, read_manifest, refuse_early, stage_directory, verify_files
from astrollama.sections import EvaluateSection

STAGE_NAME = "evaluation"
PAPER_TASKS = ("perplexity", "completion", "embeddings")
_DISPOSABLE = [REPORT_JSON, REPORT_HTML, "plots"]
_EXTENSIBLE = ("files", "votes", "systems", "tasks", "measurements")


def evaluate(request: Request, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Measure a model against its base, other models and baselines on the held-out documents of a corpus.

    What was measured is kept: stopped at any point, the same request goes on where it was, and one with further tasks,
    systems or files adds to it. What was deleted of it is measured anew, what was changed is refused.

    Returns:
        The report, as `report.json` holds it.

    Raises:
        ModelError, NetworkError: a model cannot be had.
        CostCeilingError: an API would cost more than `recipe.api` allows.
        RunError: the corpus is none or was trained on, no base is known, or `out` holds something else.
        UserInputError: a task has an unknown name, or a file cannot be used.
    """
    # what takes long, hashes of weights and libraries for them, comes last: most mistakes are told at once
    wanted = known_tasks(request.tasks)
    refuse_early(out, STAGE_NAME)
    request = _with_earlier(request, out)
    manifest = read_manifest(request.corpus, CORPUS_STAGE)
    check_systems(request, recipe.api)
    subject = describe_subject(request.model)
    compared = [request.model, base_of(request, subject), *request.others]
    verify_files(request.corpus, manifest, ["train.parquet", "test.parquet"])
    tasks = [find_task(name) for name in known_tasks(request.tasks)]
    whole = published(recipe.evaluate) if recipe.evaluate.published else recipe.evaluate
    settings, left_out = quick(whole, request.given) if request.quick else (whole, {})
    trained_on = frozenset[str]().union(*(describe_subject(model).trained_papers() for model in compared))
    data = EvaluationData(
        request.corpus, settings.seed, request.questions, request.general, request.citations, trained_on
    )
    missing = {task.NAME: reason for task in tasks if (reason := task.missing(data, settings))}
    missing |= {name: _kept_by(left_out[name], whole) for name in missing.keys() & left_out.keys()}
    asked = [task for task in tasks if task.NAME not in missing]
    for model in compared:
        require_unseen(request.corpus / "test.parquet", model)
    systems = gather_systems(request, subject, out / FOLDER, settings, recipe.api)
    missing |= _beyond(asked, systems)
    asked = [task for task in asked if task.NAME not in missing]
    files = _files_in_use(request, tasks)
    if "citations" in left_out and files.get("citations"):
        warn(f"--citations has no effect: {_kept_by(left_out['citations'], whole)}")
    identity = {
        "corpus": {name: manifest["files"][name]["sha256"] for name in ("train.parquet", "test.parquet")},
        "settings": settings.model_dump(mode="json", exclude={"device"}),
        "kind": request.kind,
        "models": {system.key: system.identity for system in systems if system.key in (ADAPTED, BASE)},
        "files": files,
        "votes": sha256_file(out / VOTES) if (out / VOTES).is_file() else None,
        "systems": {system.key: [system.identity, system.unavailable] for system in systems},
        "tasks": [task.NAME for task in tasks],
        "measurements": measurement_hashes(asked, systems, files),
    }
    with stage_directory(
        out, STAGE_NAME, identity, disposable=_DISPOSABLE, keeps=FOLDER, extensible=_EXTENSIBLE
    ) as stage:
        if stage.state == "complete":
            say(f"{out}: the evaluation is already there")
            return read_json(out / REPORT_JSON)
        say(f"evaluating {subject.name} on {manifest['counts']['test']:,} held-out documents: {_told(asked, wanted)}")
        measured = measure_all(asked, systems, data, settings, files)
        results, unreachable = _summarise(asked, measured.kept, data, settings)
        note = None
        if request.quick:
            note = quick_note(whole, settings, left_out, results, ADAPTED, manifest["counts"]["test"])
        evaluation = Evaluation(
            request, settings, subject, systems, tasks, missing | unreachable, measured, results, note
        )
        report = assemble(evaluation, manifest, _votes(out))
        written = write_report(report, subject.metrics, out)
        if measured.unreachable or unreachable:
            warn("what could not be fetched is left out: give the same command again when the network is back")
        else:
            stage.identity = identity | {"measurements": measurement_hashes(asked, systems, files)}
            counts = {"tasks": len(results), "documents": report["num_documents"]}
            others = [system.spec for system in systems if system.role == "other"]
            stage.finish(written, counts, request=replace(request, others=others).record())
    return report


def _with_earlier(request: Request, out: Path) -> Request:
    """The request with what a complete evaluation in `out` was asked for."""
    if not (out / MANIFEST).is_file():
        return request
    return added_to(read_manifest(out, STAGE_NAME)["request"], request)


def _beyond(asked: Sequence[EvaluationTask], systems: Sequence[System]) -> dict[str, str]:
    """Why the evaluated model itself cannot do a task, by its name: without it there is nothing to compare.

    Raises:
        UserInputError: it can do none of those that are asked for.
    """
    subject = next(system for system in systems if system.key == ADAPTED)
    beyond = {
        task.NAME: f"{subject.label} cannot {needed_ability(task)}"
        for task in asked
        if not task.NEEDS & subject.abilities
    }
    if beyond and len(beyond) == len(asked):
        name, reason = next(iter(beyond.items()))
        can = [own for own in TASKS if find_task(own).NEEDS & subject.abilities]
        raise UserInputError(f"the task {name} is not for this model: {reason}", f"give --tasks {','.join(can)}")
    for name, reason in beyond.items():
        warn(f"{name} is left out: {reason}")
    return beyond


def _kept_by(amount: str, whole: EvaluateSection) -> str:
    """Why a quick look has none of something, and how it would."""
    return f"--quick leaves it out; --set evaluate.{amount}={getattr(whole, amount)} keeps it"


def _told(asked: Sequence[EvaluationTask], wanted: Collection[str]) -> str:
    """How many tasks there are: those that this command names, and those that earlier ones named."""
    now = sum(task.NAME in wanted for task in asked)
    earlier = len(asked) - now
    return counted(now, "task") + (f", and {counted(earlier, 'task')} of earlier commands" if earlier else "")


def _files_in_use(request: Request, tasks: Sequence[EvaluationTask]) -> dict[DataFile, list[str]]:
    """The hashes of the files that a task reads, by kind; others are told to have no effect."""
    files: dict[DataFile, list[str]] = {}
    for kind, paths in request.files().items():
        if any(kind in task.FILES for task in tasks):
            files[kind] = hashes(paths)
        elif paths:
            warn(f"--{kind} has no effect: no task that is asked for reads it")
    return files


def _summarise(
    tasks: Sequence[EvaluationTask],
    kept: Mapping[str, Mapping[str, Kept]],
    data: EvaluationData,
    settings: EvaluateSection,
) -> tuple[dict[str, TaskResult], dict[str, str]]:
    """The results by task, and why a task has none, where the encoder that compares meanings cannot be fetched."""
    results: dict[str, TaskResult] = {}
    unreachable: dict[str, str] = {}
    for task in tasks:
        measurements = {key: own.measurement for key, own in kept[task.NAME].items()}
        try:
            results[task.NAME] = task.summarise(measurements, data, settings, ADAPTED)
        except NetworkError as error:
            unreachable[task.NAME] = str(error)
            warn(f"{task.NAME} is left out: {error}")
    return results, unreachable


def _votes(out: Path) -> Table | None:
    """What people chose; damaged votes are told, and stop no report."""
    try:
        return rater_table(out)
    except RunError as error:
        warn(f"votes are left out: {error}")
        return None
