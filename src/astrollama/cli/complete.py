"""`astrollama complete`: a text and how a model continues it."""

from __future__ import annotations

from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, print_json


def complete(
    text: Annotated[str, typer.Argument(help="The beginning of a text; white space at its end is left out.")],
    model: Annotated[
        str, typer.Option("--model", help="A run directory, or any model that `astrollama model show` takes.")
    ] = "astrosmol-135m",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to add at most.")] = 120,
    temperature: Annotated[
        float, typer.Option(min=0, max=100, help="Below 0.01 the likeliest token is taken; the paper used 0.3.")
    ] = 0.3,
    base: Annotated[str | None, typer.Option("--base", help="Where an adapter's base is now, if it has moved.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same continuation.")] = 0,
    json: JsonOption = False,
) -> None:
    """Continue a text.

    Example: astrollama complete "The magnetic field of the Milky Way" --model run
    """
    from astrollama.backends.hf import HFLanguageModel
    from astrollama.errors import UserInputError
    from astrollama.models.load import load_model, resolve_device

    if not text.strip():
        raise UserInputError("the text to continue is empty", "give at least one word")
    # a token of white space at the end is one that the model has hardly ever seen there
    text = text.rstrip().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    backend = HFLanguageModel(load_model(model, resolve_device("auto"), base))
    (continuation,) = backend.generate([text], max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    if json:
        print_json({"text": text, "continuation": continuation, "model": backend.name, "digest": backend.digest})
    else:
        typer.echo(text + continuation)
