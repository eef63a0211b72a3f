"""`astrollama pack`: a corpus to tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, OutOption, print_json


def pack(
    corpus: Annotated[Path, typer.Argument(help="A corpus directory.")],
    out: OutOption,
    model: Annotated[str, typer.Option("--model", help="Whose tokenizer to use.")] = "smollm2-135m",
    json: JsonOption = False,
) -> None:
    """Tokenise the training documents of a corpus into memory-mapped shards, each document between BOS and EOS.

    The validation documents are packed too, apart, to be measured on during training. How documents share sequences
    (pack.attention, pack.sequence_length) is the recipe's matter, at training time.

    Example: astrollama pack corpus --model smollm2-135m --out tokens
    """
    from astrollama.console import counted
    from astrollama.errors import ModelError
    from astrollama.models.load import load_tokenizer
    from astrollama.models.registry import find_model
    from astrollama.tokens.shards import pack_corpus

    found = find_model(model)
    if found.kind == "adapter":
        raise ModelError(f"{found.name} is an adapter", "name its base, whose tokenizer it has")
    manifest = pack_corpus(corpus, load_tokenizer(found.path), found.name, out)
    counts = manifest["counts"]
    if json:
        print_json({"counts": counts, "tokenizer": manifest["tokenizer"], "seconds": manifest["seconds"]})
    else:
        typer.echo(
            f"{counted(counts['documents'], 'document')}, {counts['tokens']:,} tokens, the longest {counts['longest_document']:,}; "
            f"for validation {counted(counts['validation_documents'], 'document')}, {counts['validation_tokens']:,} tokens"
        )
