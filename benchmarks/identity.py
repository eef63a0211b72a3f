"""Checks that would catch a harness which measures nothing.

    python benchmarks/identity.py --corpus corpus --general wikitext2_valid.txt.gz

`astrollama evaluate` measures a model against itself, where no comparison of any task may show a difference, and a copy
with shuffled weights (the entries of each matrix permuted within it) against the model, where the primary metric of every
task must be worse. Prints a table for each; exit code 1 where a check fails. Without `--whole` each task is given as few
samples as show it. Other options go to `astrollama evaluate`, such as `--tasks` or `--questions`; without `--general` the
forgetting task has 16 questions alone, which are too few.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _shuffled import shuffled_copy
from _training import passive_threads, table
from astrollama.evaluation.presets import quick
from astrollama.files import read_json
from astrollama.models.registry import find_model
from astrollama.sections import EvaluateSection

ADAPTED, BASE = "adapted", "base"
# where the amounts of `--quick` are too few to tell shuffled weights from others
MORE = {
    "num_choices": 60,
    "num_embeddings": 36,
    "num_title_queries": 36,
    "num_train_labelled": 60,
    "num_test_labelled": 36,
    "num_builtin_questions": 60,
    "num_general_tokens": 10_000,
    "num_conviction": 24,
    "temperatures": (0.3,),
}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffling")
    parser.add_argument("--whole", action="store_true", help="evaluate with all samples")
    parser.add_argument("--keep", type=Path, help="a folder for the shuffled model and both evaluations")
    options, more = parser.parse_known_args()
    passive_threads()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        shuffled = folder / "shuffled-model"
        if not shuffled.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shuffled_copy(find_model(options.model).path, shuffled, options.seed)
        how = [
            "--base",
            options.model,
            "--corpus",
            str(options.corpus),
            *([] if options.whole else few_samples()),
            *more,
        ]
        itself = no_difference(evaluate(options.model, folder / "itself", how))
        worse = far_worse(evaluate(str(shuffled), folder / "shuffled", how))
    print(f"## {options.model} against itself\n\n{table(itself)}\n")
    print(f"## {options.model} with shuffled weights (seed {options.seed}) against itself\n\n{table(worse)}")
    failed = [f"{row['task']} ({row['metric']})" for row in (*itself, *worse) if row["check"] != "passed"]
    if failed:
        sys.exit(f"error: {len(failed)} checks failed: {', '.join(failed)}")


def few_samples() -> list[str]:
    chosen = quick(EvaluateSection())[0].model_copy(update=MORE)
    settings = {name: value for name, value in chosen if value != EvaluateSection.model_fields[name].default}
    return [word for name, value in settings.items() for word in ("--set", f"evaluate.{name}={as_toml(value)}")]


def as_toml(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def evaluate(model: str, out: Path, how: list[str]) -> Row:
    command = [sys.executable, "-m", "astrollama.cli", "evaluate", model, "--out", str(out), *how]
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"error: the evaluation of {model} failed with status {done.returncode}")
    return read_json(out / "report.json")


def no_difference(report: Row) -> list[Row]:
    """Of each task the comparison that lies farthest from none; without an interval the difference must be 0 itself."""
    rows = []
    for name, task in report["tasks"].items():
        comparisons = with_base(task)
        apart = [own for own in comparisons if own["difference"] != 0 and not includes_zero(own["ci95"])]
        shown = max(apart or comparisons, key=lambda own: abs(own["difference"]), default=None)
        rows.append(row(name, task, shown, passed=bool(comparisons) and not apart) | {"comparisons": len(comparisons)})
    return rows


def far_worse(report: Row) -> list[Row]:
    """Of each task the comparison in its primary metric."""
    rows = []
    for name, task in report["tasks"].items():
        primary = next((own for own in with_base(task) if own["metric"] == task["primary_metric"]), None)
        rows.append(row(name, task, primary, passed=primary is not None and primary["verdict"] == "worse"))
    return rows


def with_base(task: Row) -> list[Row]:
    return [own for own in task["comparisons"] if own["against"] == BASE]


def includes_zero(ci95: list[float] | None) -> bool:
    return ci95 is not None and ci95[0] <= 0 <= ci95[1]


def row(name: str, task: Row, comparison: Row | None, *, passed: bool) -> Row:
    metric = comparison["metric"] if comparison else task["primary_metric"]
    values = {key: task["systems"].get(key, {"metrics": {}})["metrics"].get(metric) for key in (BASE, ADAPTED)}
    ci95 = comparison["ci95"] if comparison else None
    return {
        "task": name,
        "metric": metric,
        "samples": values[BASE]["num_samples"] if values[BASE] else "-",
        **{key: f"{value['value']:.4g}" if value else "-" for key, value in values.items()},
        "difference": f"{comparison['difference']:.4g}" if comparison else "no comparison",
        "95 %": f"[{ci95[0]:.4g}, {ci95[1]:.4g}]" if ci95 else "-",
        "check": "passed" if passed else "FAILED",
    }


if __name__ == "__main__":
    main()
