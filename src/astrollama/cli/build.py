"""`astrollama corpus build`: a corpus from its recipe."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrollama.cli.options import (
    JsonOption,
    LikeOption,
    OnErrorOption,
    OutOption,
    SetOption,
    WorkersOption,
    print_json,
    tell_corpus,
)

if TYPE_CHECKING:
    from astrollama.corpus.measures import TokenCounter


def build(
    recipe: Annotated[
        str, typer.Argument(help="A recipe: a TOML file, or a built-in name, for example corpus/astro-ph.")
    ],
    out: OutOption,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE…]", help="Take these papers instead of the recipe's source.")
    ] = None,
    harvest: Annotated[
        Path | None,
        typer.Option("--harvest", help="Where the harvest lies or goes. Default: beside OUT, named as the recipe."),
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Ask the server for what is new before building.")] = False,
    set_: SetOption = None,
    like: LikeOption = None,
    on_error: OnErrorOption = "stop",
    workers: WorkersOption = 1,
    tokenizer: Annotated[
        str,
        typer.Option("--tokenizer", help="The model whose tokens the card counts. Default: the recipe's model.base."),
    ] = "",
    words_only: Annotated[bool, typer.Option("--words-only", help="Count no tokens: no model is needed.")] = False,
    json: JsonOption = False,
) -> None:
    """Harvest, import, split and describe: a recipe becomes a corpus with its card.

    Writes what corpus import writes, and README.md, a Hugging Face dataset card, with its pictures in plots/.
    Stopped, the same command goes on. To keep it current, build anew beside it with --update and --like.

    Example: astrollama corpus build corpus/astro-ph --out astro-ph --set source.contact=me@example.org
    """
    from astrollama.corpus.cluster import parts_maker
    from astrollama.corpus.from_recipe import build_corpus
    from astrollama.errors import UserInputError
    from astrollama.recipe import load_recipe
    from astrollama.runs import MANIFEST

    loaded = load_recipe(recipe, set_ or [])
    if (update or harvest) and (files or loaded.source.kind == "files"):
        raise UserInputError("--harvest and --update have no effect where papers come from files", "leave them out")
    if tokenizer and words_only:
        raise UserInputError("--tokenizer has no effect with --words-only", "leave one out")
    if update and (out / MANIFEST).is_file():
        raise UserInputError(
            f"{out} holds a corpus already, which is never changed", f"give another --out, and --like {out}"
        )
    manifest = build_corpus(
        loaded,
        out,
        files=files or [],
        harvest_folder=harvest or out.absolute().parent / f"{loaded.name}-harvest",
        update=update,
        on_error=on_error,
        like=like,
        make_parts=parts_maker(workers),
        make_counter=None if words_only else partial(_token_counter, tokenizer or loaded.model.base),
    )
    if json:
        print_json({key: manifest[key] for key in ("counts", "split", "decontamination", "seconds")})
    else:
        tell_corpus(manifest, out)
        typer.echo(f"described in {out / 'README.md'}")


def _token_counter(model: str) -> TokenCounter:
    """Counts what a document is made of, BOS and EOS left out."""
    from astrollama.corpus.measures import TokenCounter
    from astrollama.models.load import load_tokenizer
    from astrollama.models.registry import find_model

    found = find_model(model)
    tokenizer = load_tokenizer(found.path)
    return TokenCounter(found.name, lambda texts: [len(tokens) for tokens in tokenizer.encode(texts)])
