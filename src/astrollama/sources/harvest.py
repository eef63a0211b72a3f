"""The stage that harvests papers over OAI-PMH: a directory with `papers.parquet`, `deleted.csv` and the manifest.

While it works, its pages lie in `pages/`. A later update harvests what is new into `update/`, a directory of the same
kind inside the first, which stays as it is until the new files are whole and take the place of the old.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from astrollama.console import say, warn
from astrollama.errors import InterruptedRunError, UserInputError
from astrollama.files import read_json, write_json
from astrollama.runs import MANIFEST, STAGE, StageDirectory, read_manifest, stage_directory, stage_state
from astrollama.signals import handle_stopping
from astrollama.sources.harvest_pages import Cursor, Window, collect, first_day_of_update
from astrollama.sources.harvest_store import DELETED, PAPERS, compact
from astrollama.sources.oai_client import OaiClient

STAGE_NAME = "harvest"
ARXIV_URL = "https://oaipmh.arxiv.org/oai"
OUTPUTS = (PAPERS, DELETED)
PAGES = "pages"
UPDATE = "update"

MetadataFormat = Literal["arXiv", "arXivRaw"]


@dataclass(frozen=True)
class HarvestSettings:
    """What to harvest, and how.

    Attributes:
        set_name: the server's set, for example `physics:astro-ph`.
        from_date, until_date: of datestamps, when records last changed; both inclusive, None for no limit.
        metadata_format: `arXivRaw` tells every version's date, `arXiv` each author's affiliations.
        url: the server's base URL.
        contact: a mail address or page for the server's keepers, sent with each request; "" to send none.
        delay: seconds between two requests, at least; arXiv asks for 3.
        timeout: seconds to wait for a connection, and for each next piece of an answer.
        backoff: upper bound of the first pause after a failure, in seconds.
    """

    set_name: str
    from_date: date | None = None
    until_date: date | None = None
    metadata_format: MetadataFormat = "arXiv"
    url: str = ARXIV_URL
    contact: str = ""
    delay: float = 3.0
    timeout: float = 60.0
    backoff: float = 1.0

    def __post_init__(self) -> None:
        if not self.set_name.strip():
            raise UserInputError("the set is empty", "name one, for example physics:astro-ph")
        if self.from_date and self.until_date and self.from_date > self.until_date:
            raise UserInputError(
                f"a harvest from {self.from_date} until {self.until_date} holds no day",
                "give the earlier day as --from",
            )
        for name in ("delay", "backoff"):
            if not 0 <= getattr(self, name) <= 3600:
                raise UserInputError(f"{name} = {getattr(self, name)}", "give seconds from 0 to 3600")
        if not 0 < self.timeout <= 3600:
            raise UserInputError(f"timeout = {self.timeout}", "give seconds, more than 0 and up to 3600")

    def identity(self) -> dict[str, str]:
        """What makes two harvests the same."""
        return {
            "url": self.url,
            "set": self.set_name,
            "format": self.metadata_format,
            "from": _day(self.from_date),
            "until": _day(self.until_date),
        }


def harvest(settings: HarvestSettings, out: Path, *, update: bool = False) -> dict[str, Any]:
    """Harvest into the directory `out`, or go on where a harvest stopped there.

    A complete harvest is left alone, unless `update` asks for what is new or `until_date` lies after its own.

    Returns:
        The manifest.

    Raises:
        UserInputError: the settings are impossible, or the server has no such set, format or days.
        NetworkError: the server does not answer as it should; the same harvest given again goes on.
        InterruptedRunError: the user stopped it; likewise.
        RunError: `out` holds something else, or is damaged.
    """
    _finish_update(out)
    if not (out / MANIFEST).is_file():
        return _harvest_into(out, settings, settings.identity()["from"])
    manifest = _complete_harvest(out, settings)
    since = manifest["next_from"]
    until = _day(settings.until_date)
    held_until = manifest["identity"]["until"]
    if until and until != held_until and until < since:
        raise UserInputError(
            f"{out} holds what changed until {held_until or since}, and not only until {until}",
            "choose another --out, or give no --until",
        )
    if (until and until < since) or not (update or _is_later(until, held_until)):
        say(
            f"{out}: the harvest is already there, up to {manifest['last_datestamp'] or 'no day'}; --update takes what came later"
        )
        return manifest
    news = _harvest_into(out / UPDATE, settings, since, base=out)
    if not news["counts"]["records_new_or_changed"]:
        # the papers are the same, so their file stays the same: what was made of it need not be made again
        write_json(out / MANIFEST, {**news, "files": manifest["files"]})
        shutil.rmtree(out / UPDATE)
    _finish_update(out)
    return read_manifest(out, STAGE_NAME)


def _complete_harvest(out: Path, settings: HarvestSettings) -> dict[str, Any]:
    """The manifest of a harvest that is complete, of the same things, though perhaps up to another day."""
    until = read_json(out / MANIFEST).get("identity", {}).get("until")
    stage_state(out, STAGE_NAME, settings.identity() | {"until": until})
    if (out / PAGES).exists():  # it was stopped while it tidied up
        shutil.rmtree(out / PAGES)
    return read_manifest(out, STAGE_NAME)


def _is_later(until: str, than: str) -> bool:
    return bool(than) and (not until or until > than)


def _harvest_into(folder: Path, settings: HarvestSettings, since: str, base: Path | None = None) -> dict[str, Any]:
    """Harvest from the day `since` on into `folder`; the result holds the papers of `base`, an earlier harvest, too."""
    window = Window(settings.metadata_format, settings.set_name, since, _day(settings.until_date))
    with stage_directory(folder, STAGE_NAME, settings.identity(), disposable=OUTPUTS, keeps=PAGES) as stage:
        if stage.state == "complete":  # another process has just ended it
            return read_manifest(folder, STAGE_NAME)
        with _stoppable(base or folder):
            client = OaiClient(
                settings.url,
                contact=settings.contact,
                delay=settings.delay,
                timeout=settings.timeout,
                backoff=settings.backoff,
            )
            with client:
                cursor = collect(client, window, folder / PAGES, base)
            manifest = _finish(stage, cursor, window, base)
        shutil.rmtree(folder / PAGES, ignore_errors=True)
    return manifest


def _finish(stage: StageDirectory, cursor: Cursor, window: Window, base: Path | None) -> dict[str, Any]:
    contents = compact(cursor.part_paths(stage.path / PAGES), base, stage.path)
    if contents.papers + contents.deleted == 0:
        warn(f"the server has no records of set {window.set_name!r} in these days")
    counts = {
        "papers": contents.papers,
        "deleted": contents.deleted,
        "records_received": cursor.num_received,
        "records_new_or_changed": sum(part["rows"] for part in cursor.parts),
        "pages": cursor.num_pages,
        "requests": cursor.num_requests,
    }
    last = cursor.last_datestamp
    if not last and base is not None:
        last = read_json(base / MANIFEST)["last_datestamp"]
    return stage.finish(
        list(OUTPUTS),
        counts,
        last_datestamp=last,
        next_from=first_day_of_update(cursor, window),
        server=cursor.server,
        warnings=cursor.warnings,
    )


def _finish_update(out: Path) -> None:
    """Let the files of a complete update take the places of the old ones; also where this was broken off before.

    Until the new manifest is there the directory counts as unfinished, so that nobody reads new papers by an old one.
    """
    update = out / UPDATE
    is_ours = (out / MANIFEST).is_file() or (out / STAGE).is_file()
    if not is_ours or not (update / MANIFEST).is_file():
        return
    manifest = read_manifest(update, STAGE_NAME)
    shutil.rmtree(update / PAGES, ignore_errors=True)
    write_json(out / STAGE, {"stage": STAGE_NAME, "identity": manifest["identity"]})
    (out / MANIFEST).unlink(missing_ok=True)
    for name in (*OUTPUTS, MANIFEST):
        if (update / name).is_file():
            (update / name).replace(out / name)
    (out / STAGE).unlink()
    shutil.rmtree(update)


@contextmanager
def _stoppable(out: Path) -> Iterator[None]:
    """Make Ctrl-C, a scheduler's SIGTERM and a lost connection one error, which says that nothing is lost."""
    try:
        with handle_stopping(signal.default_int_handler):
            yield
    except KeyboardInterrupt:
        kept = f"; {out} keeps every page but the last" if (out / PAGES).exists() or (out / UPDATE).exists() else ""
        raise InterruptedRunError(f"the harvest was stopped{kept}", "give the same command again to go on") from None


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def describe_harvest(manifest: Mapping[str, Any]) -> str:
    """One line on what a harvest holds."""
    counts = manifest["counts"]
    return (
        f"{counts['papers']:,} papers, {counts['deleted']:,} deleted, the last change of"
        f" {manifest['last_datestamp'] or 'no day'}; {counts['records_new_or_changed']:,} records new or changed"
    )
