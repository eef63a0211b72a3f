"""`astrollama evaluate` and `astrollama reproduce`: what changed, measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrollama.cli.options import JsonOption, OutOption, SetOption, print_json

if TYPE_CHECKING:
    from astrollama.evaluation.request import Request

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A run directory, or any model that `astrollama model show` takes.")
]
CorpusOption = Annotated[Path, typer.Option("--corpus", help="The corpus whose held-out documents to use.")]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base", help="What to compare with. Default: the base that the run records. An adapter needs its own base."
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="SYSTEM",
        help="A further system: any model; gpt-4 or gpt-3, the paper's; openai:NAME (chat) or openai-embeddings:NAME "
        "behind the OpenAI protocol. May be repeated.",
    ),
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="The recipe whose sections `evaluate` and `api` to use.")]


def evaluate(
    model: ModelArgument,
    corpus: CorpusOption,
    out: OutOption,
    base: BaseOption = None,
    with_: WithOption = None,
    tasks: Annotated[str, typer.Option("--tasks", help="Which tasks, with commas between, or `all`.")] = "all",
    questions: Annotated[
        list[Path] | None,
        typer.Option("--questions", help="Multiple-choice questions, JSON lines, such as MMLU. May be repeated."),
    ] = None,
    general: Annotated[
        Path | None, typer.Option("--general", help="General text, to measure what was forgotten.")
    ] = None,
    citations: Annotated[
        Path | None, typer.Option("--citations", help="Who cites whom, JSON lines with `id` and `refs`, for retrieval.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Answer within minutes, with less of all but what `--set` gives; the report says how much wider its "
            "intervals are.",
        ),
    ] = False,
    recipe: RecipeOption = "smollm2-135m-cpu",
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Compare a model with its base, other models and baselines, in nine tasks, with intervals.

    Tasks: perplexity, completion, embeddings, retrieval, categorisation, knowledge, forgetting, conviction, calibration.
    Writes report.html, report.json, plots and one record a sample to OUT. What is measured is kept: stopped at any point,
    the same command goes on, and one with more tasks or systems adds to it.

    Example: astrollama evaluate run --corpus corpus --out evaluation --quick
    """
    from astrollama.evaluation.request import Request
    from astrollama.evaluation.task import TASKS

    names = list(TASKS) if tasks == "all" else [name.strip() for name in tasks.split(",")]
    request = Request(model, corpus, names, base, with_ or (), tuple(questions or ()), general, citations, quick)
    _run(request, recipe, set_ or [], out, json)


def reproduce(
    model: ModelArgument,
    corpus: CorpusOption,
    out: OutOption,
    base: BaseOption = None,
    with_: WithOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Answer within minutes instead of with the paper's amounts.")
    ] = False,
    recipe: RecipeOption = "smollm2-135m-cpu",
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Repeat the AstroLLaMA paper's three experiments, and set its own figures beside ours.

    Perplexity, completion and embeddings with the paper's settings: packed pieces of 512 tokens, temperature 0.3, up to
    1,024 new tokens, 10,000 abstracts embedded. What `--set` gives in `evaluate` stands, also
    with `--quick`.

    Example: astrollama reproduce run --corpus corpus --out paper --set evaluate.num_embeddings=1000
    """
    from astrollama.evaluation.request import Request
    from astrollama.evaluation.runner import PAPER_TASKS

    request = Request(model, corpus, PAPER_TASKS, base, with_ or (), quick=quick, kind="reproduce")
    _run(request, recipe, ["evaluate.published=true", *(set_ or [])], out, json)


def _run(request: Request, recipe: str, settings: list[str], out: Path, as_json: bool) -> None:
    from astrollama.evaluation.report import REPORT_HTML, summary_lines
    from astrollama.evaluation.runner import evaluate as run_evaluation
    from astrollama.recipe import load_recipe

    # upon an empty section, so that what the recipe sets is none of what the command sets
    given = load_recipe(recipe, ["evaluate={}", *settings]).evaluate.model_fields_set
    report = run_evaluation(replace(request, given=frozenset(given)), load_recipe(recipe, settings), out)
    if as_json:
        print_json(report)
        return
    for line in summary_lines(report):
        typer.echo(line)
    typer.echo(f"the report is {out / REPORT_HTML}")


def describe_perplexity(report: dict[str, Any]) -> str:
    """One line on the perplexities of a base and a model with the same tokens."""
    from astrollama.evaluation.report import verdict

    perplexity = report["perplexity"]
    interval = perplexity["relative_reduction_ci95"]
    shown = f" (reduction {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %, 95 % interval)" if interval else ""
    reduction = perplexity["relative_reduction"]
    return (
        f"perplexity {perplexity['base']:.2f} -> {perplexity['adapted']:.2f}, "
        f"{100 * abs(reduction):.1f} % {'lower' if reduction >= 0 else 'higher'}{shown}, "
        f"on {perplexity['num_documents']} documents; {verdict(perplexity)[0]}"
    )
