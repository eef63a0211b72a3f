"""`astrollama classify`: the category of a text."""

from __future__ import annotations

import json as json_library
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrollama.cli.options import JsonOption, LeaveOutOption, print_json, require_text_or_file

if TYPE_CHECKING:
    from astrollama.evaluation.categories.classify import Suggestion


def classify(
    text: Annotated[str | None, typer.Argument(help="An abstract, or as much of one as there is.")] = None,
    head: Annotated[
        Path | None,
        typer.Option(
            "--head",
            help="A head's folder, or an evaluation's, of which the best head is taken. Default: the one that comes along.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the head's model is now, if it has moved.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Where the base of the head's model is now, if it has moved.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="Papers to classify instead, as `corpus import` reads them, or a corpus; one line of JSON each.",
        ),
    ] = None,
    on_error: LeaveOutOption = "stop",
    top: Annotated[int, typer.Option(min=1, help="How many categories to show.")] = 3,
    json: JsonOption = False,
) -> None:
    """Tell the category of a text, by the head that comes along, on astrosmol-135m-encoder, or one that `evaluate` trained.

    Example: astrollama classify "We present radial velocities of a hot Jupiter's host star"
    """
    from astrollama.console import say
    from astrollama.corpus.abstracts import read_abstracts
    from astrollama.corpus.clean import repair_texts
    from astrollama.evaluation.categories.classify import classify as classify_texts
    from astrollama.evaluation.categories.classify import find_head, load_head_encoder
    from astrollama.evaluation.categories.heads import load_head

    require_text_or_file(text, file, on_error)
    folder = find_head(head)
    trained = load_head(folder)
    if file is not None:
        papers = [(paper.id, paper.text) for paper in read_abstracts(file, on_error)]
    else:
        papers = [("", text) for text in repair_texts([text or ""])]
    encoder = load_head_encoder(trained, model, base)
    if folder != head:
        which = "the head that comes along" if head is None else f"the head {folder}"
        say(f"by {which}, trained on {trained.base.name}: macro-F1 {trained.measured['macro_f1']:.3f}")
    found = classify_texts(trained, [text for _, text in papers], top, encoder=encoder)
    if file is not None:
        for (identifier, _), suggestions in zip(papers, found, strict=True):
            typer.echo(json_library.dumps({"id": identifier, "categories": _records(suggestions)}, ensure_ascii=False))
    elif json:
        print_json({"categories": _records(found[0]), "head": str(folder), "model": trained.base.name})
    else:
        for suggestion in found[0]:
            typer.echo(f"{100 * suggestion.probability:5.1f} %  {suggestion.category:12}  {suggestion.name}")


def _records(suggestions: list[Suggestion]) -> list[dict[str, Any]]:
    return [
        {"category": found.category, "name": found.name, "probability": round(found.probability, 6)}
        for found in suggestions
    ]
