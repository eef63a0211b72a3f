"""`astrollama evaluate`: what changed, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, OutOption, SetOption, print_json


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run directory, or any model that `astrollama model show` takes.")
    ],
    corpus: Annotated[Path, typer.Option("--corpus", help="The corpus whose held-out documents to use.")],
    out: OutOption,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            help="What to compare with. Default: the base that the run records. An adapter needs its own base.",
        ),
    ] = None,
    tasks: Annotated[str, typer.Option("--tasks", help="Which tasks, with commas between.")] = "perplexity,completion",
    recipe: Annotated[
        str, typer.Option("--recipe", help="The recipe whose evaluate section to use.")
    ] = "smollm2-135m-cpu",
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Compare a model with its base on held-out documents: perplexity with intervals, and completions side by side.

    Writes report.html, report.json and one record a document to OUT.

    Example: astrollama evaluate run --corpus corpus --out evaluation --set evaluate.num_documents=100
    """
    from astrollama.evaluation.runner import evaluate as run_evaluation
    from astrollama.recipe import load_recipe

    settings = load_recipe(recipe, set_ or []).evaluate
    report = run_evaluation(model, base, corpus, out, settings, [name.strip() for name in tasks.split(",")])
    if json:
        print_json(report)
        return
    if "perplexity" in report:
        typer.echo(describe_perplexity(report))
    typer.echo(f"the report is {out / 'report.html'}")


def describe_perplexity(report: dict[str, object]) -> str:
    """One line on the perplexities."""
    from astrollama.evaluation.report import verdict

    perplexity = report["perplexity"]
    assert isinstance(perplexity, dict)
    interval = perplexity["relative_reduction_ci95"]
    shown = f" (reduction {interval[0]:.1%} to {interval[1]:.1%}, 95 % interval)" if interval else ""
    reduction = perplexity["relative_reduction"]
    return (
        f"perplexity {perplexity['base']:.2f} -> {perplexity['adapted']:.2f}, "
        f"{abs(reduction):.1%} {'lower' if reduction >= 0 else 'higher'}{shown}, "
        f"on {perplexity['num_documents']} documents; {verdict(perplexity)[0]}"
    )
