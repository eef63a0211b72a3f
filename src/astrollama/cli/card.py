"""`astrollama card`: the model card of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, print_json

ExportArgument = Annotated[Path, typer.Argument(metavar="EXPORT", help="The directory that `astrollama export` wrote.")]


def card(
    export: ExportArgument,
    evaluation: Annotated[
        Path,
        typer.Option(
            "--evaluation", help="Of the model that was exported, or of the export; its metrics go into the card."
        ),
    ],
    corpus: Annotated[
        Path | None,
        typer.Option(
            "--corpus", help="The evaluation's corpus: without it the card has no dates and licences of papers."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The model's name. Default: the directory's.")] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", help="The base's licence as a hub names it, where the base does not tell it."),
    ] = None,
    base_id: Annotated[
        str | None,
        typer.Option(
            "--base-id", metavar="OWNER/NAME", help="Where a hub has the base, where the run does not tell it."
        ),
    ] = None,
    watts: Annotated[
        float | None,
        typer.Option(
            "--watts", min=0, help="The machine's power while it trained; without it the card tells no energy."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write the model card of an export, README.md, from what training, evaluation and export recorded.

    Data, recipe, metrics with intervals, known failures, limits, hardware, energy, licence. You may add to it by hand; `astrollama
    publish` checks it again.

    Example: astrollama card exported --evaluation evaluation --corpus corpus
    """
    from astrollama.release.card import CardRequest, write_card

    path = write_card(export, CardRequest(evaluation, corpus, name, licence, base_id, watts))
    if json:
        print_json({"card": str(path)})
    else:
        typer.echo(f"the card is {path}")
