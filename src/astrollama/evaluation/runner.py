"""`evaluate`: choose held-out documents, run the tasks on base and adapted model, write samples and report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrollama.backends.hf import HFLanguageModel
from astrollama.console import say
from astrollama.corpus.store import STAGE_NAME as CORPUS_STAGE
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError, UserInputError
from astrollama.evaluation.completion import complete_documents
from astrollama.evaluation.perplexity import measure_perplexity
from astrollama.evaluation.report import REPORT_HTML, REPORT_JSON, write_report
from astrollama.models.load import LoadedModel, load_model, resolve_device
from astrollama.models.registry import MERGE_STAGE, TRAIN_STAGE
from astrollama.provenance import hardware, versions
from astrollama.records import Document
from astrollama.runs import MANIFEST, read_json, read_manifest, stage_directory, verify_files, write_text
from astrollama.sections import EvaluateSection
from astrollama.tokens.shards import INDEX

STAGE_NAME = "evaluation"
TASKS = ("perplexity", "completion")
SCHEMA_VERSION = 1
_OUTPUTS = ["perplexity.jsonl", "completions.jsonl", REPORT_JSON, REPORT_HTML]


@dataclass(frozen=True)
class TrainingRun:
    """What the report tells of the run that made the adapted model."""

    manifest: dict[str, Any]
    metrics: list[dict[str, Any]]


def evaluate(
    model: str, base: str | None, corpus: Path, out: Path, settings: EvaluateSection, tasks: Sequence[str]
) -> dict[str, Any]:
    """Measure `model` against `base` on the held-out documents of `corpus`.

    Args:
        model: anything `load_model` reads; for a run directory the report shows its training too.
        base: None takes the base that the run or the adapter records; an adapter is loaded on it, so it must be its own.

    Returns:
        The report, as `report.json` holds it.

    Raises:
        ModelError, NetworkError: a model cannot be had.
        RunError: `corpus` is no complete corpus or was trained on, no base is known, or `out` holds something else.
        UserInputError: a task has an unknown name, or the models have different tokenizers.
    """
    tasks = _known(tasks)
    corpus_manifest = read_manifest(corpus, CORPUS_STAGE)
    verify_files(corpus, corpus_manifest, ["test.parquet"])
    run = _training_run(Path(model))
    device = resolve_device(settings.device)
    adapted = load_model(model, device, base)
    base_model = load_model(_base_of(model, base, run, adapted), device)
    _require_comparable(base_model, adapted)
    if (Path(model) / INDEX).is_file():
        _require_unseen(corpus / "test.parquet", Path(model))
    identity = {
        "model": adapted.digest,
        "base": base_model.digest,
        "test.parquet": corpus_manifest["files"]["test.parquet"]["sha256"],
        "settings": settings.model_dump(mode="json", exclude={"device"}),
        "tokenizer": adapted.tokenizer.digest,
        "tasks": tasks,
    }
    with stage_directory(out, STAGE_NAME, identity, disposable=_OUTPUTS) as stage:
        if stage.state == "complete":
            say(f"{out}: the evaluation is already there")
            return read_json(out / REPORT_JSON)
        documents = choose_documents(corpus / "test.parquet", settings)
        say(f"evaluating on {len(documents)} of {corpus_manifest['counts']['test']:,} held-out documents")
        results = _run_tasks(base_model, adapted, documents, settings, tasks, out)
        report = {
            "schema_version": SCHEMA_VERSION,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "name": run.manifest["recipe"]["name"] if run else Path(model).name,
            "num_documents": len(documents),
            "num_documents_held_out": corpus_manifest["counts"]["test"],
            **results,
            "train": _train_summary(run),
            "models": {
                "base": {"name": base_model.name, "digest": base_model.digest},
                "adapted": {"name": adapted.name, "digest": adapted.digest},
            },
            "corpus": {
                "counts": corpus_manifest["counts"],
                "split": corpus_manifest["split"],
                "inputs": corpus_manifest["identity"]["inputs"],
                "files": {name: record["sha256"] for name, record in corpus_manifest["files"].items()},
            },
            "settings": settings.model_dump(mode="json"),
            "recipe": run.manifest["recipe"] if run else None,
            "versions": versions(),
            "hardware": hardware(),
        }
        write_report(report, run.metrics if run else [], out)
        stage.finish([name for name in _OUTPUTS if (out / name).is_file()], {"documents": len(documents)})
    return report


def choose_documents(path: Path, settings: EvaluateSection) -> list[Document]:
    """`num_documents` held-out documents drawn without replacement, in the order drawn; all if there are no more."""
    import numpy as np

    documents = list(read_documents(path))
    order = np.random.default_rng(settings.seed).permutation(len(documents))[: settings.num_documents]
    return [documents[index] for index in order.tolist()]


def _run_tasks(
    base: LoadedModel,
    adapted: LoadedModel,
    documents: list[Document],
    settings: EvaluateSection,
    tasks: Sequence[str],
    out: Path,
) -> dict[str, Any]:
    systems = HFLanguageModel(base), HFLanguageModel(adapted)
    results: dict[str, Any] = {}
    if "perplexity" in tasks:
        perplexity = measure_perplexity(*systems, documents, settings)
        _write_lines(out / "perplexity.jsonl", perplexity.samples)
        results |= {"num_tokens": perplexity.metrics["num_tokens"], "perplexity": perplexity.metrics}
    if "completion" in tasks:
        say("continuing abstracts with both models")
        completions = complete_documents(*systems, documents, settings)
        _write_lines(out / "completions.jsonl", completions)
        results["completions"] = completions
    return results


def _base_of(model: str, base: str | None, run: TrainingRun | None, adapted: LoadedModel) -> str:
    if base is not None:
        return base
    recorded = run.manifest["base"]["name"] if run else _base_of_merge(Path(model)) or adapted.base_name
    if recorded is None:
        raise RunError(f"{model} does not record the base that it was trained from", "name it with --base")
    return str(recorded)


def _base_of_merge(path: Path) -> str | None:
    if not (path / MANIFEST).is_file():
        return None
    manifest = read_json(path / MANIFEST)
    return str(manifest["base"]["name"]) if manifest.get("stage") == MERGE_STAGE else None


def _training_run(path: Path) -> TrainingRun | None:
    if not (path / MANIFEST).is_file():
        return None
    manifest = read_json(path / MANIFEST)
    if manifest.get("stage") != TRAIN_STAGE:
        return None
    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return TrainingRun(manifest, [record for record in map(json.loads, lines) if "loss" in record])


def _train_summary(run: TrainingRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    counts = run.manifest["counts"]
    return {
        "method": run.manifest["recipe"]["train"]["method"],
        "num_tokens": counts["tokens"],
        "tokens_per_second": run.manifest["tokens_per_second"],
        "seconds": run.manifest["train_seconds"],
        "steps": counts["steps"],
        "parameters": counts["parameters"],
        "parameters_trained": counts["parameters_trained"],
        "final_loss": run.metrics[-1]["loss"],
        "hardware": run.manifest["hardware"],
    }


def _known(tasks: Sequence[str]) -> list[str]:
    """The tasks in their own order, each once."""
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        raise UserInputError(f"there is no task {unknown[0] if unknown else ''!r}", f"choose from {', '.join(TASKS)}")
    return [task for task in TASKS if task in tasks]


def _require_comparable(base: LoadedModel, adapted: LoadedModel) -> None:
    if base.tokenizer.digest != adapted.tokenizer.digest:
        raise UserInputError(
            f"{adapted.name} and {base.name} have different tokenizers, so that their perplexities cannot be compared",
            "give a base with the same tokenizer",
        )


def _require_unseen(test: Path, run: Path) -> None:
    """Refuse held-out documents that the run was trained on."""
    import pyarrow.parquet as pq

    trained = pq.read_table(run / INDEX, columns=["id", "content_hash"]).to_pydict()
    ids, hashes = set(trained["id"]), set(trained["content_hash"])
    seen = [document.id for document in read_documents(test) if document.id in ids or document.content_hash in hashes]
    if seen:
        raise RunError(
            f"{run} was trained on {len(seen)} of the documents that {test.parent} holds out (such as {seen[0]})",
            "evaluate on the corpus that it was trained from",
        )


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
