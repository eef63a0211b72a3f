"""`astrollama export`: a trained model in the formats that people use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from astrollama.cli.options import JsonOption, OutOption, print_json


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A run, an adapter, a model folder or a name of `astrollama model list`."),
    ],
    format_: Annotated[
        Literal["hf", "adapter", "gguf"],
        typer.Option(
            "--format",
            help="hf: a whole model for transformers; adapter: a PEFT adapter; gguf: for llama.cpp, Ollama and LM Studio.",
        ),
    ],
    out: OutOption,
    base: Annotated[
        str | None, typer.Option("--base", help="Where the base is now, if it has moved or is not recorded.")
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        typer.Option("--dtype", help="Of the weights, with hf and adapter. Default: float32."),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            "--rank",
            min=1,
            help="With adapter: of a fully trained model's difference to its base, which is what is written.",
        ),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            "--quantization", help="With gguf: the files to write, of f16, q8_0, q4_0, q4_1. Default: f16,q8_0,q4_1."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", help="A corpus whose held-out documents to compare on. Default: the built-in sample."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Export a model, and prove it equal to what was trained: by tokens, logits, perplexity and completions.

    What was written is read back, for gguf in llama.cpp itself where llama-cpp-python is installed. An export that differs
    is deleted.

    Example: astrollama export run --format gguf --out astro-gguf --corpus corpus
    """
    from astrollama.errors import UserInputError
    from astrollama.release.export import ExportSettings
    from astrollama.release.export import export as export_model
    from astrollama.release.gguf_quantisation import DEFAULT_QUANTISATIONS, parse_quantisations

    idle = {
        "--dtype": dtype is not None and format_ == "gguf",
        "--rank": rank is not None and format_ != "adapter",
        "--quantization": quantization is not None and format_ != "gguf",
    }
    for option, given in idle.items():
        if given:
            raise UserInputError(f"{option} has no effect with --format {format_}", "leave it out")
    settings = ExportSettings(
        format_,
        dtype or "float32",
        rank or 0,
        DEFAULT_QUANTISATIONS if quantization is None else parse_quantisations(quantization),
    )
    manifest = export_model(model, out, settings, base, corpus)
    if json:
        print_json({key: manifest[key] for key in ("model", "base", "format", "files", "parity")} | {"out": str(out)})
        return
    for name, checks in manifest["parity"]["checks"].items():
        for engine in ("transformers", "llama.cpp"):
            if engine in checks:
                typer.echo(f"{name} in {engine}: {_describe(checks[engine])}")
        if "low_rank" in checks:
            kept, base_perplexity = checks["low_rank"]["kept"], checks["low_rank"]["base_perplexity"]
            typer.echo(f"{kept:.1%} of the squared difference is kept; the base's perplexity is {base_perplexity:.3f}")
    typer.echo(f"{manifest['counts']['bytes'] / 1e6:,.1f} MB in {out}, with SHA256SUMS and parity.json")


def _describe(figures: dict[str, Any]) -> str:
    """One line on how a file compares in an engine."""
    if "not_asked" in figures:
        return f"not asked, {figures['not_asked']}; {figures['fix']}"
    tokens = figures["tokens"]
    told = [f"tokens equal on {tokens['equal']:,} of {tokens['texts']:,} texts"]
    if "vectors" in figures:
        vectors = figures["vectors"]
        least = f"{vectors['least_cosine']:.6f}"
        return f"{told[0]}; cosines of {vectors['texts']} vectors with the source's {least} at least"
    logits, perplexity = figures["logits"], figures["perplexity"]
    change = perplexity["ratio"] - 1
    told += [
        f"logits off by {logits['rms_share_of_spread']:.3%} of their spread, {logits['greatest_difference']:.3g} at most",
        f"perplexity {perplexity['source']:.3f} to {perplexity['exported']:.3f} ({change:+.3%})",
    ]
    if "greedy" in figures:
        greedy = figures["greedy"]
        told.append(f"{greedy['equal']} of {greedy['prompts']} greedy completions equal")
        if greedy["differences"] and perplexity["tolerance"] is not None:
            margin = max(part["margin"] for part in greedy["differences"])
            told.append(f"the others part at ties, where the margin of the logits is {margin:.2g} at most")
    return "; ".join(told)
