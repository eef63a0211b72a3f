"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

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


def print_json(value: Any) -> None:
    """Print a result for programs."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print(flush=True)
