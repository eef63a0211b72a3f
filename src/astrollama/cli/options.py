"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key of the recipe, for example train.peak_lr=1e-4; may be repeated."
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", help="The directory to write; it must be new, empty, or hold this very run.")
]
OnErrorOption = Annotated[
    Literal["stop", "skip"],
    typer.Option("--on-error", help="At a record that cannot be read: stop, or keep it in rejected.parquet and go on."),
]
LeaveOutOption = Annotated[
    Literal["stop", "skip"],
    typer.Option(
        "--on-error",
        help="With --file, at a record that cannot be read or has no abstract: stop, or tell it, leave it out and go on.",
    ),
]
LikeOption = Annotated[
    Path | None,
    typer.Option(
        "--like", help="An earlier corpus: its papers keep their split, and what it held out is never trained on."
    ),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Processes that clean and fingerprint; more than 1 need datatrove.")
]


def print_json(value: Any) -> None:
    """Print a result for programs."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print(flush=True)


def tell_corpus(manifest: Mapping[str, Any], out: Path) -> None:
    """Print what an import did, and how the split stays where the newest months were held out by share."""
    typer.echo(describe_corpus(manifest))
    if manifest["split"]["kind"] == "date" and not manifest["identity"]["like"]:
        typer.echo(f"when the corpus grows, give --like {out}: else newer months are held out, and these trained on")


def require_text_or_file(text: str | None, file: Path | None, on_error: str) -> None:
    """Refuse a text and a file at once, neither, and `--on-error skip` where no file is read.

    Raises:
        UserInputError: so it is.
    """
    from astrollama.errors import UserInputError

    if (text is None) == (file is None):
        raise UserInputError("a text or a file is needed, and not both", "give TEXT, or --file PAPERS")
    if file is None and on_error == "skip":
        raise UserInputError("--on-error has no effect without --file", "leave it out")


def describe_corpus(manifest: Mapping[str, Any]) -> str:
    """One line on what an import did."""
    from astrollama.console import counted

    counts, split = manifest["counts"], manifest["split"]
    told = [f"{counts['train']:,} to train on"]
    if counts["validation"]:
        since = f" (from {split['validation_from']} on)" if split["validation_from"] else ""
        told.append(f"{counts['validation']:,} to validate{since}")
    held_out = f"from {split['held_out_from']} on" if split["held_out_from"] else "at random"
    told.append(f"{counts['test']:,} held out ({held_out})")
    rejected = counts["rejected"]
    if rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejected.items())
        told.append(f"{sum(rejected.values()):,} rejected ({reasons})")
    if counts["other_category"]:
        told.append(f"{counts['other_category']:,} of other categories")
    return f"{counted(counts['records'], 'record')}: {', '.join(told)}"
