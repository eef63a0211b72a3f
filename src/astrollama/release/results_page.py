"""The text of `docs/results.md`, from reports alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from astrollama.console import duration
from astrollama.evaluation import paper
from astrollama.evaluation.candidates import ADAPTED, BASE
from astrollama.evaluation.paper import PaperFigure
from astrollama.evaluation.report.summary import BETTER, base_key, chance_words, num_comparisons, summary_rows
from astrollama.evaluation.report.words import (
    DASH,
    cell_text,
    interval_text,
    trained_on_words,
    value_text,
    verdict_words,
)
from astrollama.release.markdown import render, toml

Report = Mapping[str, Any]

# where the paper's settings are used: what was not measured has none
_SETTINGS_OF_TASKS = {
    "packed_length": "perplexity",
    "temperature": "completion",
    "max_new_tokens": "completion",
    "num_embeddings": "embeddings",
}


def results_page(reports: Mapping[str, Report], page: str) -> str:
    """The page of some reports, by name.

    Args:
        page: the name of its file.
    """
    return render(
        "results.md.j2",
        page=page,
        reports=reports,
        paper_columns=["", "the paper", *reports],
        paper_rows=_paper_rows(reports),
        tasks={name: _tasks(report) for name, report in reports.items()},
        short={name: _in_short(report) for name, report in reports.items()},
        chance={name: _chance(report) for name, report in reports.items()},
        made={name: made_rows(report) for name, report in reports.items()},
        not_measured={name: not_measured(report) for name, report in reports.items()},
        commands={name: shlex.join(report["command"]) if report["command"] else "" for name, report in reports.items()},
        recipes={name: toml(report["recipe"]) if report["recipe"] else "" for name, report in reports.items()},
    )


def value_with_interval(report: Report, task: str, system: str, metric: str) -> str:
    """A metric as a cell: its value and its interval, or a dash."""
    own = report["tasks"].get(task)
    metrics = own["systems"].get(system, {"metrics": {}})["metrics"] if own else {}
    if metric not in metrics:
        return DASH
    style = own["infos"][metric]["style"]
    measured = metrics[metric]
    return f"{value_text(measured['value'], style)} {interval_text(measured['ci95'], style)}".rstrip()


def against_all(report: Report, task: str, metric: str) -> str:
    """What the comparisons of a metric say: `better than smollm2-135m; worse than MiniLM, BM25`."""
    labels = {system["key"]: system["label"] for system in report["systems"]}
    found: dict[str, list[str]] = {}
    for comparison in report["tasks"][task]["comparisons"]:
        if comparison["metric"] == metric:
            words = verdict_words(comparison)
            words = f"{words} than" if words in ("better", "worse") else f"{words}:"
            found.setdefault(words, []).append(labels[comparison["against"]])
    return "; ".join(f"{words} {', '.join(names)}" for words, names in found.items())


def not_measured(report: Report) -> list[str]:
    """What is not there and why, a sentence each."""
    labels = {system["key"]: system["label"] for system in report["systems"]}
    told = [f"The task {name}: {reason}." for name, reason in report["tasks_left_out"].items()]
    told += [f"{own['label']}: {own['unavailable']}." for own in report["systems"] if own["unavailable"]]
    missing = {own["key"] for own in report["systems"] if own["unavailable"]}
    for task in report["tasks"].values():
        for key, own in task["systems"].items():
            if own["left_out"] and key not in missing:
                told.append(f"{labels[key]} in “{task['title']}”: {own['left_out']}.")
    if report["quick"]:
        told.append(report["quick"]["note"])
    return told


def made_rows(report: Report) -> list[tuple[str, str]]:
    """How an evaluation and the training before it were made: [what, how] rows of text."""
    train, corpus, versions = report["train"], report["corpus"], report["versions"]
    counts, split = corpus["counts"], corpus["split"]
    rows = [
        ("model", f"{report['models'][ADAPTED]['name']}, digest {report['models'][ADAPTED]['digest']}"),
        ("base", f"{report['models'][BASE]['name']}, digest {report['models'][BASE]['digest']}"),
    ]
    if train is not None:
        rows += [
            ("training", f"{train['method']}, {train['num_tokens']:,} tokens in {train['steps']:,} steps"),
            ("time of training", f"{duration(train['seconds'])}, {train['tokens_per_second']:,.1f} tokens/s"),
            ("hardware of training", hardware_words(train["hardware"])),
        ]
        if train.get("alpha", 1.0) != 1.0:
            share = f"{train['alpha']:g}"
            rows.append(("weights", f"drawn back to the base: base + {share} x (trained - base)"))
        if train.get("note"):
            rows.append(("record of the training", train["note"]))
    else:
        rows.append(("training", "not known: no run and no record of one is with the model"))
    rows.append(("trained on", trained_on_words(report.get("trained_on"))))
    held_out = f"from {split['held_out_from']} on" if split.get("held_out_from") else "at random"
    rows += [
        (
            "corpus",
            f"{counts['train']:,} documents to train on, {counts['validation']:,} to validate, {counts['test']:,} held out {held_out}",
        ),
        *((f"corpus from {name}", f"SHA-256 {digest}") for name, digest in corpus["inputs"]),
        *((name, f"SHA-256 {corpus['files'][name]}") for name in ("train.parquet", "test.parquet")),
        (
            "evaluation",
            f"{report['num_documents']:,} of {report['num_documents_held_out']:,} held-out documents, seed {report['seed']}",
        ),
        ("time of the evaluation", duration(report["seconds"])),
        ("hardware of the evaluation", hardware_words(report["hardware"])),
        ("made", report["created_at"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("report.json", f"SHA-256 {report['report_sha256']}"),
    ]
    return rows


def hardware_words(hardware: Mapping[str, Any]) -> str:
    """`AMD EPYC, 2 cores, 23.5 GiB`, with the GPU in front where there is one."""
    memory = f", {hardware['memory_gib']} GiB" if hardware.get("memory_gib") else ""
    machine = f"{hardware['processor'] or hardware['machine']}, {hardware['cores']} cores{memory}"
    return f"{hardware['gpu']}; {machine}" if hardware.get("gpu") else machine


def _paper_rows(reports: Mapping[str, Report]) -> list[list[str]]:
    """The paper's settings and figures, each with how it is known, and ours."""
    own = {name: _own_settings(report) for name, report in reports.items()}

    def row(figure: PaperFigure, metric: str, task: str, system: str) -> list[str]:
        values = [value_with_interval(report, task, system, metric) for report in reports.values()]
        return [figure.what, str(figure), *values]

    rows = [
        [figure.what, str(figure), *(settings[key] for settings in own.values())]
        for key, figure in paper.SETTINGS.items()
    ]
    for key, figure in paper.PERPLEXITIES.items():
        rows.append(row(figure, "packed_perplexity", "perplexity", key))
        rows[-1][0] += ", packed as the paper's"
    rows.append(
        [paper.REDUCTION.what, str(paper.REDUCTION), *(_lower_by(r, "packed_perplexity") for r in reports.values())]
    )
    for key, figure in paper.PERPLEXITIES.items():
        values = [value_with_interval(report, "perplexity", key, "perplexity") for report in reports.values()]
        rows.append([f"{figure.what}, by document", DASH, *values])
    rows.append([f"{paper.REDUCTION.what}, by document", DASH, *(_lower_by(r, "perplexity") for r in reports.values())])
    rows += [
        [figure.what, str(figure), *(DASH for _ in reports)] for figure in (paper.GPT3_COSINES, paper.ADAPTED_COSINES)
    ]
    for key, name in ((BASE, "base"), (ADAPTED, "adapted")):
        for metric, label in (
            ("mean_cosine", "mean cosine of pairs"),
            ("cosine_std", "standard deviation of the cosines"),
        ):
            values = [value_with_interval(report, "embeddings", key, metric) for report in reports.values()]
            rows.append([f"{label}, {name}", DASH, *values])
    return rows


def _own_settings(report: Report) -> dict[str, str]:
    """Ours under the keys of the paper's settings."""
    train, counts, settings = report["train"], report["corpus"]["counts"], report["settings"]
    return {
        "base": next((own["label"] for own in report["systems"] if own["key"] == BASE), DASH),
        "method": train["method"] if train else DASH,
        "num_papers": f"{counts['train'] + counts['validation'] + counts['test']:,}",
        "split": f"{counts['test']:,} documents, by {report['corpus']['split']['kind']}",
        "num_train_tokens": f"{train['num_tokens']:,}" if train else DASH,
        **{
            name: _plain(settings.get(name) if task in report["tasks"] else None)
            for name, task in _SETTINGS_OF_TASKS.items()
        },
    }


def _plain(value: float | None) -> str:
    return DASH if value is None else f"{value:,}"


def _lower_by(report: Report, metric: str) -> str:
    """By how much the perplexity is below the base's, with its interval."""
    task = report["tasks"].get("perplexity", {"comparisons": []})
    for own in task["comparisons"]:
        if own["metric"] == metric and own["against"] == BASE and own["difference"] is not None:
            ci95 = [0.0 - bound for bound in reversed(own["ci95"])] if own["ci95"] else None
            return f"{value_text(0.0 - own['difference'], 'percent')} {interval_text(ci95, 'percent')}".rstrip()
    return DASH


def _tasks(report: Report) -> list[dict[str, Any]]:
    """Of each task a table of its metrics, its notes and its own tables."""
    labels = {system["key"]: system["label"] for system in report["systems"]}
    subject = labels[report["subject"]]
    found = []
    for task in summary_rows(report):
        own = report["tasks"][task.name]
        shown = [key for key in labels if own["systems"].get(key, {"metrics": {}})["metrics"]]
        rows = [
            [
                row.label + (f" ({BETTER[row.better].split(':')[0]})"),
                row.num_samples,
                *(value_with_interval(report, task.name, key, row.metric) for key in shown),
                row.cells[report["subject"]].difference or DASH,
                against_all(report, task.name, row.metric) or DASH,
            ]
            for row in (task.primary, *task.others)
        ]
        columns = [
            "metric",
            "samples",
            *(labels[key] for key in shown),
            "change from the base",
            f"{subject} against the others",
        ]
        found.append(
            {
                "title": own["title"],
                "columns": columns,
                "rows": rows,
                "notes": own["notes"],
                "tables": [_own_table(table, labels) for table in own["tables"] if table["rows"]],
            }
        )
    return found


def _in_short(report: Report) -> list[list[str]]:
    """The primary metric of each task: [task, metric, samples, subject, base, against all] rows."""
    base, subject = base_key(report) or "", report["subject"]
    return [
        [
            task.title,
            f"{task.primary.label} ({BETTER[task.primary.better].split(':')[0]})",
            task.primary.num_samples,
            value_with_interval(report, task.name, subject, task.primary.metric),
            value_with_interval(report, task.name, base, task.primary.metric),
            against_all(report, task.name, task.primary.metric) or DASH,
        ]
        for task in summary_rows(report)
    ]


def _own_table(table: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A task's table with names in the place of systems' keys, by the rule that the report has."""
    columns = table["columns"]
    places = {place for place, name in enumerate(columns) if name in ("system", "against")}
    rows = [
        [cell_text(labels.get(cell, cell) if place in places else cell) for place, cell in enumerate(row)]
        for row in table["rows"]
    ]
    headings = columns if places else [labels.get(name, name) for name in columns]
    return {"title": table["title"], "columns": headings, "rows": rows, "note": table["note"]}


def _chance(report: Report) -> str:
    return "" if base_key(report) is None else chance_words(num_comparisons(summary_rows(report), report["subject"]))
