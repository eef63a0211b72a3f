"""`astrollama publish`: an export on a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrollama.cli.card import ExportArgument
from astrollama.cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from astrollama.release.publish import Publication


def publish(
    export: ExportArgument,
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="The repository on the hub.")],
    evaluation: Annotated[
        Path | None, typer.Option("--evaluation", help="Refuse a card whose metrics are not this evaluation's.")
    ] = None,
    documents: Annotated[
        bool,
        typer.Option(
            "--documents/--no-documents", help="Send documents.parquet, the list of what the model was trained on."
        ),
    ] = True,
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is for its owner alone; one that is there must be so.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Add to a repository that holds files; those of the same name are replaced."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload. Without it nothing is sent.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what would be published on a Hugging Face hub, and with --yes upload it.

    Only an export that passed parity, whose files are unchanged and whose card (`astrollama card`) passes its check. The token
    is taken from HF_TOKEN, the hub's address from HF_ENDPOINT. One commit shows all files; they are compared with what was sent.

    Example: astrollama publish exported --repo owner/name
    """
    from astrollama.release.publish import plan_publication
    from astrollama.release.publish import publish as upload

    publication = plan_publication(export, repo, evaluation, documents=documents)
    if not json:
        _tell(publication, private=private)
    address = upload(publication, private=private, update=update) if yes else None
    if json:
        print_json(_as_json(publication) | {"published": address})
    elif address:
        typer.echo(f"published, and what the hub lists is what was sent: {address}")
    else:
        typer.echo("nothing was sent: add --yes to upload it")


def _tell(publication: Publication, *, private: bool) -> None:
    typer.echo(f"{publication.hub}/{publication.repo}{' (private if it is new)' if private else ''}")
    for key in ("license", "base_model", "base_model_relation", "library_name", "pipeline_tag", "language"):
        if key in publication.card:
            typer.echo(f"  {key.replace('_', ' '):<22} {publication.card[key]}")
    typer.echo(f"  {'tags':<22} {', '.join(publication.card.get('tags', []))}")
    typer.echo(f"  {'metrics in the card':<22} {publication.num_metrics}")
    for file in publication.files:
        typer.echo(f"  {file.bytes:>15,}  {file.sha256}  {file.name}")
    typer.echo(f"  {publication.bytes:>15,}  in {len(publication.files)} files")


def _as_json(publication: Publication) -> dict[str, Any]:
    return {
        "repo": publication.repo,
        "hub": publication.hub,
        "card": publication.card,
        "num_metrics": publication.num_metrics,
        "files": [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in publication.files],
    }
