"""`docs/results.md`: the paper's figures and ours on one page, made from evaluations' reports and checked against them.

What the page shows of a report is kept beside it, `results/NAME.json` for `results.md`, so that anybody can make the page
again, and so that a figure which was changed by hand is found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrollama.errors import RunError, UserInputError
from astrollama.evaluation.report import REPORT_JSON, SCHEMA_VERSION
from astrollama.evaluation.runner import STAGE_NAME
from astrollama.files import read_json, sha256_file, write_json, write_text
from astrollama.provenance import without_places
from astrollama.release.results_page import results_page
from astrollama.runs import MANIFEST, read_manifest, verify_files

# samples to read and what is drawn: the report has them
_NOT_KEPT = ("completions", "perplexity", "paper")
_MADE_BY = "Made by `astrollama results`"  # stands on each page
_NOT_KEPT_OF_TASKS = ("figures", "examples", "details")


def write_results(reports: Sequence[Path], page: Path) -> list[str]:
    """Write the page and keep what it shows of new reports; without any the page is made again from those that are kept.

    Args:
        reports: evaluation directories, or their `report.json`.

    Returns:
        The names of all reports on the page.

    Raises:
        RunError: a report is missing, damaged or of another version.
        UserInputError: there is no report at all, two have the same name, the page is not named `….md`, or
            another file has its name.
    """
    if page.suffix != ".md" or page.is_dir():
        raise UserInputError(f"{page} is no name of a page", "write it as a file that ends in .md")
    if page.is_file() and _MADE_BY not in page.read_text(encoding="utf-8", errors="replace"):
        raise UserInputError(f"{page} is no page of results and would be lost", "choose another --out")
    new = [_keep(path) for path in reports]
    names = [name for name, _ in new]
    for name in names:
        if names.count(name) > 1:
            raise UserInputError(f"two reports are named {name}", "give directories with names of their own")
    kept = dict(sorted((_kept(page) | dict(new)).items()))
    if not kept:
        raise UserInputError(f"{kept_folder(page)} holds no report", "name an evaluation directory")
    text = results_page(kept, page.name)
    kept_folder(page).mkdir(parents=True, exist_ok=True)
    for name, report in new:
        write_json(kept_folder(page) / f"{name}.json", report)
    write_text(page, text)
    return sorted(kept)


def check_results(page: Path) -> list[str]:
    """Compare a page with what the reports that are kept beside it make; returns their names.

    Raises:
        RunError: the page is missing or is not what its reports make.
    """
    kept = _kept(page)
    if not kept:
        raise RunError(
            f"{kept_folder(page)} holds no report", f"make the page: astrollama results EVALUATION --out {page}"
        )
    if not page.is_file() or page.read_text(encoding="utf-8") != results_page(kept, page.name):
        raise RunError(
            f"{page} is not what {kept_folder(page)} makes", f"make it again: astrollama results --out {page}"
        )
    return sorted(kept)


def kept_folder(page: Path) -> Path:
    """Where the reports of a page are kept."""
    return page.with_suffix("")


def read_report(path: Path) -> tuple[Path, dict[str, Any]]:
    """The place and the content of an evaluation's report, checked against the evaluation's manifest where there is one.

    Args:
        path: an evaluation directory, or its `report.json`.

    Raises:
        RunError: it is missing, unfinished, damaged, no report, or of another version.
    """
    if path.is_dir():
        verify_files(path, read_manifest(path, STAGE_NAME), [REPORT_JSON])
        path = path / REPORT_JSON
    report = read_json(path)
    if report.get("schema_version") != SCHEMA_VERSION or "tasks" not in report:
        found = report.get("schema_version", "none")
        raise RunError(
            f"{path} is no report of schema version {SCHEMA_VERSION} (it has {found})", "evaluate the model again"
        )
    return path, report


def _kept(page: Path) -> dict[str, dict[str, Any]]:
    """The reports that are kept beside a page, by name and in the order of names."""
    return dict(sorted((path.stem, read_report(path)[1]) for path in kept_folder(page).glob("*.json")))


def _keep(path: Path) -> tuple[str, dict[str, Any]]:
    """What a page needs of a report, under the name of its directory."""
    file, report = read_report(path)
    folder = file.resolve().parent
    name = re.sub(r"[^\w.-]+", "-", folder.name if file.name == REPORT_JSON else file.stem).strip("-.") or "report"
    kept = {key: value for key, value in report.items() if key not in _NOT_KEPT}
    kept["tasks"] = {
        task: {key: value for key, value in own.items() if key not in _NOT_KEPT_OF_TASKS}
        for task, own in report["tasks"].items()
    }
    kept["report_sha256"] = sha256_file(file)
    kept["command"] = _command(folder)
    return name, _plain(without_places(kept))


def _command(folder: Path) -> list[str] | None:
    """The command that made an evaluation, where its directory tells."""
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    command: list[str] | None = manifest.get("command") if manifest.get("stage") == STAGE_NAME else None
    return command


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be read again."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
