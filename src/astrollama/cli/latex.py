"""`astrollama corpus latex`: source packages to text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from astrollama.cli.options import JsonOption, OutOption, print_json

REASONS_SHOWN = 10


def latex(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE…",
            help="arXiv source packages, .tex files, folders of these, unpacked papers, or arXiv's bulk tars.",
        ),
    ],
    out: OutOption,
    parts: Annotated[
        Literal["abstract", "introduction-conclusion", "full"],
        typer.Option(
            "--parts", help="What the text holds; introduction-conclusion has the abstract too, as in AstroLLaMA-Chat."
        ),
    ] = "introduction-conclusion",
    metadata: Annotated[
        list[Path] | None,
        typer.Option(
            "--metadata",
            help="Titles, categories, dates and licences by id: any file that corpus import reads; may be repeated.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, show_default="one a core", help="Papers converted at a time.")
    ] = os.cpu_count() or 1,
    time_limit: Annotated[float, typer.Option("--time-limit", min=1.0, help="Seconds that one paper may take.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Turn LaTeX sources into text: title, abstract and sections, citations and references as placeholders.

    Writes papers.parquet, a row for each paper with its status (ok, partial, no_tex, failed), and manifest.json. Given again
    after an interruption, it goes on where it stopped.

    Example: astrollama corpus latex sources --out full-text --metadata papers.jsonl
    """
    from astrollama.corpus.latex import convert_sources
    from astrollama.sources.files import FileSource

    manifest = convert_sources(
        sources,
        out,
        parts=parts,
        metadata=FileSource(metadata, "skip") if metadata else None,
        num_workers=workers,
        seconds=time_limit,
    )
    counts = manifest["counts"]
    if json:
        print_json({"counts": counts, "seconds": manifest["seconds"]})
        return
    statuses = ", ".join(f"{counts[status]:,} {status}" for status in ("ok", "partial", "no_tex", "failed"))
    typer.echo(f"{counts['papers']:,} papers: {statuses}")
    reasons = list(counts["reasons"].items())
    for reason, count in reasons[:REASONS_SHOWN]:
        typer.echo(f"{count:>9,}  {reason}")
    if len(reasons) > REASONS_SHOWN:
        typer.echo(f"{len(reasons) - REASONS_SHOWN:>9,} more reasons stand in {out / 'manifest.json'}")
