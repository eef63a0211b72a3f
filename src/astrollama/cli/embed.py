"""`astrollama embed`: texts to vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, print_json


def embed(
    text: Annotated[str | None, typer.Argument(help="A title, an abstract, a question.")] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", help="An encoder: a run of one, minilm, or any model that `astrollama model show` takes."
        ),
    ] = "astrosmol-135m-encoder",
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Papers whose abstracts to embed instead, as `corpus import` reads them."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --file: the Parquet file to write, with `id`, `title`, `vector`.")
    ] = None,
    base: Annotated[str | None, typer.Option("--base", help="Where an adapter's base is now, if it has moved.")] = None,
    json: JsonOption = False,
) -> None:
    """Turn a text, or the abstracts of a file, into vectors of length 1: the closer two texts, the higher their product.

    Example: astrollama embed --file papers.jsonl --out vectors.parquet
    """
    from astrollama.backends.encoders import load_encoder
    from astrollama.errors import UserInputError
    from astrollama.search.embed import embed_papers, embed_texts, require_writable
    from astrollama.sources.files import read_abstracts

    if (text is None) == (file is None):
        raise UserInputError("a text or a file is needed, and not both", "give TEXT, or --file PAPERS")
    if (file is None) != (out is None):
        raise UserInputError("--file and --out belong together", "a TEXT's vector is printed")
    if file is not None and out is not None:
        require_writable(file, out)
        papers = read_abstracts(file)
        done = embed_papers(load_encoder(model, base), papers, out)
        if json:
            print_json({**done, "out": str(out)})
        else:
            typer.echo(f"{done['papers']:,} vectors of {done['dimensions']} numbers are in {out}")
        return
    assert text is not None
    if not text.strip():
        raise UserInputError("the text is empty", "give at least one word")
    encoder = load_encoder(model, base)
    (vector_D,) = embed_texts(encoder, [text]).tolist()
    if json:
        print_json({"text": text, "model": encoder.name, "digest": encoder.digest, "vector": vector_D})
    else:
        typer.echo(" ".join(f"{value:.6f}" for value in vector_D))
