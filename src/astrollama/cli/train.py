"""`astrollama train`: tokens to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrollama.cli.options import JsonOption, OutOption, SetOption, print_json
from astrollama.console import speaks

if TYPE_CHECKING:
    from astrollama.recipe import Recipe


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A TOML file or a built-in name, for example smollm2-135m-cpu, smollm2-135m-lora, smollm2-135m-gpu."
        ),
    ],
    out: OutOption,
    tokens: Annotated[
        Path | None,
        typer.Option("--tokens", help="The directory that `astrollama pack` wrote; a language model needs it."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", help="The corpus whose pairs of texts an encoder learns from.")
    ] = None,
    citations: Annotated[
        Path | None,
        typer.Option(
            "--citations", help="Who cites whom, JSON lines with `id` and `refs`, where encoder.pairs asks for it."
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="Packed general text, of which `replay.share` of the tokens are taken."),
    ] = None,
    set_: SetOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the last checkpoint if OUT holds an unfinished run; the budget may be longer than before.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and print the plan; write nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a base model on packed documents: every weight, or a low-rank adapter; or an encoder on pairs of texts.

    Ctrl-C ends the step, saves a checkpoint and says how to go on. On several GPUs: torchrun --nproc-per-node 8 -m
    astrollama.cli train …

    Example: astrollama train smollm2-135m-cpu --tokens tokens --out run --set train.budget="5 minutes"
    """
    from astrollama.recipe import load_recipe

    loaded = load_recipe(recipe, set_ or [])
    data = _data_of(loaded, tokens, corpus)
    if dry_run:
        from astrollama.training.plan import describe_plan, make_plan

        plan = make_plan(loaded, data, out, replay, resume=resume)
        if speaks() and json:
            print_json(plan)
        elif speaks():
            typer.echo(describe_plan(plan))
        return

    from astrollama.console import counted
    from astrollama.training.run import train as run_training

    manifest = run_training(loaded, data, out, resume=resume, replay=replay, citations=citations)
    if not speaks():
        return
    summary = {
        **manifest["counts"],
        "seconds": manifest["train_seconds"],
        "tokens_per_second": manifest["tokens_per_second"],
    }
    if json:
        print_json({**summary, "out": str(out)})
    else:
        typer.echo(
            f"{summary['tokens']:,} tokens in {counted(summary['steps'], 'step')} at {summary['tokens_per_second']:,.0f} tokens/s; "
            f"the model is in {out / 'model'}"
        )


def _data_of(recipe: Recipe, tokens: Path | None, corpus: Path | None) -> Path:
    """What the objective learns from."""
    from astrollama.console import warn
    from astrollama.errors import UserInputError

    name, own, other = ("--tokens", tokens, corpus)
    if recipe.train.objective == "contrastive":
        name, own, other = ("--corpus", corpus, tokens)
    if own is None:
        what = "a directory that `astrollama pack` wrote" if name == "--tokens" else "a corpus, for its pairs of texts"
        raise UserInputError(f"train.objective = {recipe.train.objective!r} needs {name}", f"give {what}")
    if other is not None:
        warn(
            f"{'--corpus' if name == '--tokens' else '--tokens'} has no effect with train.objective = {recipe.train.objective!r}"
        )
    return own
