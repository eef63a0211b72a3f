"""`astrollama rate`: people choose between two systems' continuations without knowing whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrollama.cli.options import JsonOption, print_json
from astrollama.console import say

if TYPE_CHECKING:
    from astrollama.evaluation.rating.raters import WinRate


def rate(
    evaluation: Annotated[
        Path,
        typer.Argument(
            metavar="EVALUATION", help="The directory that `astrollama evaluate` writes, or has begun to write."
        ),
    ],
    systems: Annotated[
        str, typer.Option("--systems", help="Which systems, with commas between. Default: all that continued texts.")
    ] = "",
    rater: Annotated[
        str, typer.Option("--rater", help="Who judges; each person goes on where they were.")
    ] = "anonymous",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where the page is; 0 takes a free port.")] = 0,
    tally: Annotated[
        bool, typer.Option("--tally", help="Print the win rates instead, with 95 % intervals over prompts.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Judge completions blind, on a page that only this machine can reach; votes go to EVALUATION/votes.jsonl at once.

    Left and right are drawn anew for each pair and person, and nothing tells whose text is whose before all are judged.
    Ctrl-C ends it.

    Example: astrollama rate evaluation --systems adapted,base --rater anna
    """
    from astrollama.errors import UserInputError

    chosen = [name.strip() for name in systems.split(",") if name.strip()]
    if tally:
        from astrollama.evaluation.rating.raters import tally as count

        found = count(evaluation, chosen)
        if json:
            print_json([one.as_json() for one in found])
            return
        for one in found:
            typer.echo(describe(one))
        if not found:
            typer.echo("nobody has voted yet")
        return
    if json:
        raise UserInputError("--json is for the win rates", "add --tally")

    from astrollama.evaluation.rating.page import ADDRESS, Rating, rating_server

    rating = Rating(evaluation, chosen, rater)
    with rating_server(rating, port) as server:
        say(f"http://{ADDRESS}:{server.server_address[1]}/ waits for {rater}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            done, total = rating.progress
            say(f"{done} of {total} pairs are judged; the same command goes on from here")


def describe(one: WinRate) -> str:
    """One line on a win rate."""
    interval = one.win_rate.ci95
    shown = (
        f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f} %, 95 % interval)"
        if interval
        else " (too few for an interval)"
    )
    people = f"{one.num_raters} {'person' if one.num_raters == 1 else 'people'}"
    agreement = "" if one.agreement is None else f"; people agree in {100 * one.agreement:.0f} %"
    if one.alpha is not None:
        agreement += f" (Krippendorff's alpha {one.alpha:.2f})"
    return (
        f"{one.first} wins against {one.second} in {100 * one.win_rate.value:.0f} %{shown} of {one.win_rate.num_samples} prompts, "
        f"judged by {people}: {one.num_first} to {one.num_second}, {one.num_equal} equal, {one.num_both_bad} both bad{agreement}"
    )
