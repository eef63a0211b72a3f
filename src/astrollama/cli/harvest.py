"""`astrollama corpus harvest`: papers from an OAI-PMH server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import typer

from astrollama.cli.options import JsonOption, OutOption, print_json


def harvest(
    set_: Annotated[str, typer.Option("--set", help="The server's set of papers, for example physics:astro-ph.")],
    out: OutOption,
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="Take records that changed on this day or later."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="Take records that changed on this day or before."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Take what is new or has changed since OUT was harvested.")
    ] = False,
    url: Annotated[str, typer.Option("--url", help="The server.")] = "https://oaipmh.arxiv.org/oai",
    metadata_format: Annotated[
        Literal["arXiv", "arXivRaw"],
        typer.Option("--format", help="arXivRaw has the date of every version, arXiv the authors' affiliations."),
    ] = "arXiv",
    contact: Annotated[
        str, typer.Option("--contact", help="A mail address to send with each request, for the server's keepers.")
    ] = "",
    delay: Annotated[
        float, typer.Option("--delay", min=0, help="Seconds between two requests; arXiv asks for 3.")
    ] = 3.0,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for an answer to begin or go on.")
    ] = 60.0,
    json: JsonOption = False,
) -> None:
    """Take papers from arXiv, or from another server that speaks OAI-PMH; stopped, the same command goes on.

    Writes papers.parquet and deleted.csv. A day is that of a record's last change, not of a paper's submission.

    Example: astrollama corpus harvest --set physics:astro-ph --contact me@example.org --out harvest
    """
    from astrollama.sources.harvest import HarvestSettings, describe_harvest
    from astrollama.sources.harvest import harvest as run_harvest

    settings = HarvestSettings(
        set_name=set_,
        from_date=from_ and from_.date(),
        until_date=until and until.date(),
        metadata_format=metadata_format,
        url=url,
        contact=contact,
        delay=delay,
        timeout=timeout,
    )
    manifest = run_harvest(settings, out, update=update)
    if json:
        print_json({key: manifest[key] for key in ("counts", "last_datestamp", "server", "warnings", "seconds")})
    else:
        typer.echo(describe_harvest(manifest))
