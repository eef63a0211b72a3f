"""`astrollama embed`: texts to vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, LeaveOutOption, print_json, require_text_or_file


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
        typer.Option(
            "--file",
            help="Papers whose abstracts to embed instead, as `corpus import` reads them; or a corpus, its texts.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="With --file: the .parquet file to write, with `id`, `title`, `vector`; earlier vectors are replaced.",
        ),
    ] = None,
    on_error: LeaveOutOption = "stop",
    base: Annotated[str | None, typer.Option("--base", help="Where an adapter's base is now, if it has moved.")] = None,
    json: JsonOption = False,
) -> None:
    """Turn a text, or the abstracts of a file, into vectors of length 1: the closer two texts, the higher their product.

    Example: astrollama embed --file papers.jsonl --out vectors.parquet
    """
    from astrollama.backends.encoders import load_encoder
    from astrollama.console import counted
    from astrollama.corpus.abstracts import read_abstracts
    from astrollama.errors import UserInputError
    from astrollama.search.embed import embed_papers, embed_texts, require_writable

    require_text_or_file(text, file, on_error)
    if (file is None) != (out is None):
        raise UserInputError("--file and --out belong together", "a TEXT's vector is printed")
    if file is not None and out is not None:
        require_writable(file, out)
        papers = read_abstracts(file, on_error)
        done = embed_papers(load_encoder(model, base), papers, out)
        if json:
            print_json({**done, "out": str(out)})
        else:
            typer.echo(f"{out} has {counted(done['papers'], 'vector')} of {counted(done['dimensions'], 'number')}")
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
