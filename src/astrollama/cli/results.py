"""`astrollama results`: evaluations on one page, beside the paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, print_json
from astrollama.errors import UserInputError


def results(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[EVALUATION]...", help="Directories that `astrollama evaluate` wrote, or report.json files."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="The page. What it shows is kept beside it, in a folder of its name.")
    ] = Path("results.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where the page is not what the kept reports make.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a page of results, the paper's figures and ours, from evaluations' reports.

    Without EVALUATION the page is made again from the reports that are kept beside it. A report replaces one of the same name,
    which is its directory's.

    Example: astrollama results evaluation --out results.md
    """
    from astrollama.release.results import check_results, write_results

    if check and reports:
        raise UserInputError("--check reads the reports that are kept beside the page", "leave EVALUATION away")
    names = check_results(out) if check else write_results(reports or [], out)
    if json:
        print_json({"page": str(out), "reports": names})
    else:
        typer.echo(f"{out} {'is what its reports make' if check else 'shows'}: {', '.join(names)}")
