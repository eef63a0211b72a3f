"""`astrollama demo`: the whole path, from abstracts to a report."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from astrollama.cli.evaluate import describe_perplexity
from astrollama.cli.options import JsonOption, OnErrorOption, SetOption, describe_corpus, print_json

REPORTS = ("report.html", "report.json")
TASKS = ("perplexity", "completion")


def demo(
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", help="Your own papers (as for `corpus import`). Default: the built-in sample."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Minutes of training. Default: what the recipe says.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where everything goes. Default: runs/demo, or runs/demo-NAME for your own papers."),
    ] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="A TOML file or a built-in name.")] = "demo",
    set_: SetOption = None,
    on_error: OnErrorOption = "stop",
    json: JsonOption = False,
) -> None:
    """Show what the shipped model does, then go the whole path: base model, corpus, tokens, training, evaluation, report.

    Stopped at any point, the same command goes on where it was.

    Example: astrollama demo --corpus papers.jsonl.gz --minutes 5 --out runs/mine
    """
    from astrollama.cli.opening import show_shipped_models
    from astrollama.console import counted, say
    from astrollama.corpus.build import import_corpus
    from astrollama.evaluation.request import Request
    from astrollama.evaluation.runner import evaluate
    from astrollama.files import copy_file, read_json
    from astrollama.models.load import load_tokenizer
    from astrollama.models.registry import find_model
    from astrollama.recipe import load_recipe
    from astrollama.runs import stage_directory
    from astrollama.sections import budget_in_words
    from astrollama.sources.files import FileSource
    from astrollama.sources.sample import SAMPLE
    from astrollama.tokens.shards import pack_corpus
    from astrollama.training.run import train

    settings = list(set_ or [])
    if minutes is not None:
        settings.append(f'train.budget="{Decimal(str(minutes)):f} minutes"')
    resolved = load_recipe(recipe, settings)
    source = FileSource([corpus or SAMPLE], on_error, resolved.corpus.text_field, resolved.corpus.categories)
    home = out or Path("runs") / ("demo" if corpus is None else f"demo-{corpus.name.split('.')[0]}")
    identity = {
        "recipe": resolved.model_dump(mode="json"),
        "on_error": on_error,
        "inputs": source.hashes,
    }
    with stage_directory(home, "demo", identity, disposable=REPORTS, keeps="corpus") as stage:
        if stage.state != "complete":
            say(f"1/5  base model: {resolved.model.base}")
            base = find_model(resolved.model.base)
            show_shipped_models(base.name)
            say(f"2/5  corpus: {corpus or 'the built-in sample, 240 abstracts'}")
            say(f"     {describe_corpus(import_corpus(source, resolved.corpus, home / 'corpus'))}")
            say("3/5  tokens")
            packed = pack_corpus(home / "corpus", load_tokenizer(base.path), base.name, home / "tokens")
            say(f"     {counted(packed['counts']['documents'], 'document')}, {packed['counts']['tokens']:,} tokens")
            say(f"4/5  training: {resolved.train.method}, {budget_in_words(resolved.train.budget)}")
            run = train(
                resolved, home / "tokens", home / "run", resume=True, how_to_resume="give the same command to go on"
            )
            steps = counted(run["counts"]["steps"], "step")
            say(f"     {run['counts']['tokens']:,} tokens in {steps} at {run['tokens_per_second']:,.0f} tokens/s")
            say("5/5  evaluation")
            evaluate(Request(str(home / "run"), home / "corpus", TASKS), resolved, home / "evaluation")
            for name in REPORTS:
                copy_file(home / "evaluation" / name, home / name)
            stage.finish([*REPORTS], {})
    _print_end(read_json(home / "report.json"), home, json)


def _print_end(report: dict[str, Any], home: Path, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    if report["perplexity"] and report["perplexity"]["relative_reduction"] is not None:
        typer.echo(describe_perplexity(report))
    typer.echo(f"the report is {(home / 'report.html').resolve()}")
