"""`astrollama plan`: what a run would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, SetOption, print_json


def plan(
    recipe: Annotated[str, typer.Argument(help="A TOML file or a built-in name, for example llama2-7b-paper.")],
    tokens: Annotated[
        Path | None, typer.Option("--tokens", help="The directory that `astrollama pack` wrote, if there is one.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Packed general text, where the recipe has a replay.share.")
    ] = None,
    num_tokens: Annotated[
        int | None, typer.Option("--num-tokens", min=1, help="Tokens of an epoch, where there is no such directory.")
    ] = None,
    tokens_a_document: Annotated[
        int | None,
        typer.Option("--tokens-a-document", min=2, help="Mean length to assume without --tokens. Default: 291."),
    ] = None,
    hardware: Annotated[
        str, typer.Option("--hardware", help="`this-machine`, which is measured, or a GPU: a100-40gb, h100, h200, …")
    ] = "this-machine",
    devices: Annotated[int, typer.Option("--devices", min=1, help="How many of them.")] = 1,
    utilisation: Annotated[
        float | None,
        typer.Option(
            "--utilisation",
            min=0.01,
            max=1.0,
            help="Share of the hardware's matrix-product rate to expect. Default: what was measured on CPUs, 0.4 on GPUs.",
        ),
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option("--price-per-hour", min=0.0, help="Of one device; the plan then has a cost.")
    ] = None,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Estimate tokens, steps, operations, memory, disk, time and cost of a run; needs no weights and fetches nothing.

    Example: astrollama plan llama2-7b-paper --num-tokens 77000000 --hardware a100-40gb --devices 4
    """
    from astrollama.console import warn
    from astrollama.errors import UserInputError
    from astrollama.recipe import load_recipe
    from astrollama.training.plan import TOKENS_A_DOCUMENT, Machines, assume_data, describe_plan, plan_run, read_data

    loaded = load_recipe(recipe, set_ or [])
    if tokens is not None and (num_tokens is not None or tokens_a_document is not None):
        raise UserInputError(
            "--num-tokens and --tokens-a-document have no effect with --tokens",
            "leave them out: lengths are read there",
        )
    if tokens is None and replay is not None:
        raise UserInputError("--replay has no effect without --tokens", "give the corpus's tokens, too")
    if tokens is None:
        data = assume_data(loaded, num_tokens or 0, tokens_a_document or TOKENS_A_DOCUMENT)
    else:
        data = read_data(loaded, tokens, replay)
    made = plan_run(loaded, data, Machines(hardware, devices, utilisation, price_per_hour))
    if devices > loaded.micro_batches_a_step:
        warn(f"a step has {loaded.micro_batches_a_step} micro-batch(es): only so many of {devices} devices have work")
    if json:
        print_json(made)
    else:
        typer.echo(describe_plan(made))
