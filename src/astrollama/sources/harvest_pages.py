"""The pages of one OAI-PMH list, each saved before the next is asked for.

A part and the cursor are written with every page, the cursor last, so a crash costs one page. Where a list cannot go on
(an expired token, a server that turns in a circle, an end that comes too soon) it is asked for again from the last
datestamp on, and what is known already is passed over. Each new beginning must bring something new, or the harvest ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrollama.console import progress, say, warn
from astrollama.errors import AstroLlamaError, NetworkError, RunError, UserInputError
from astrollama.files import read_json, sha256_file, write_json
from astrollama.sources.harvest_store import Index, read_index, write_part
from astrollama.sources.oai_client import OaiClient
from astrollama.sources.oai_records import OaiError, OaiRecord, Page

CURSOR = "cursor.json"
MAX_NEW_BEGINNINGS = 3  # in a row that bring nothing new
MAX_REPETITIONS = 4  # of a page that was served before
MAX_EMPTY_ANSWERS = 2  # to one request, before an empty page is believed
MAX_EMPTY_RUN = 100  # pages in a row with tokens and without records
_KNOWN_MARGIN = 1000  # records more than are known, in a row, that bring nothing new: then a list turns in a circle


@dataclass(frozen=True, slots=True)
class Window:
    """What to ask for: days are `YYYY-MM-DD`, "" for no limit; both are of datestamps, and inclusive."""

    metadata_format: str
    set_name: str
    from_day: str
    until_day: str


@dataclass
class Cursor:
    """Where a harvest is; `cursor.json` holds it.

    Attributes:
        token: asks for the next page; "" to begin the list at `list_from`.
        list_from: the first day of the list that is being read.
        list_size: the server's last `completeListSize` for the whole window, None where it gives none.
        last_day: the newest day in the list that is being read.
        ordered: whether records have come in the order of their days; else a list is begun from its first day again.
        started_day: the server's day when the first page came.
        parts: name, rows and SHA-256 of each.
    """

    list_from: str
    token: str = ""
    list_size: int | None = None
    last_day: str = ""
    last_datestamp: str = ""
    started_day: str = ""
    ordered: bool = True
    at_end: bool = False
    num_pages: int = 0
    num_received: int = 0
    num_requests: int = 0
    parts: list[dict[str, Any]] = field(default_factory=list)
    server: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def part_paths(self, folder: Path) -> list[Path]:
        """Where the parts lie."""
        return [folder / part["name"] for part in self.parts]


def collect(client: OaiClient, window: Window, folder: Path, base: Path | None) -> Cursor:
    """Harvest what the window holds and `base`, an earlier harvest, does not; goes on where `folder` says.

    Returns:
        The cursor at the end of the list; its parts lie in `folder`.

    Raises:
        UserInputError: the server refuses the set, the format or the days.
        NetworkError: the server cannot be reached, or turns in a circle.
        RunError: `folder` is damaged.
    """
    cursor = _load_cursor(folder, window)
    if cursor.at_end:
        return cursor
    if not cursor.server:
        cursor.server = asdict(client.identify())
    index = read_index(cursor.part_paths(folder), base)
    _Collector(client, window, cursor, folder, index).run()
    return cursor


def _load_cursor(folder: Path, window: Window) -> Cursor:
    """The cursor in `folder`, or one at the beginning; parts that are not what it says are harvested again."""
    if not (folder / CURSOR).is_file():
        return Cursor(list_from=window.from_day)
    try:
        cursor = Cursor(**read_json(folder / CURSOR))
    except TypeError as error:
        raise RunError(f"{folder / CURSOR} is damaged ({error})", "delete that harvest and begin again") from error
    whole = [part for part in cursor.parts if _is_whole(folder, part)]
    if len(whole) < len(cursor.parts):
        warn(
            f"{len(cursor.parts) - len(whole)} part(s) in {folder} are damaged: the list is read again from its beginning"
        )
        cursor = Cursor(list_from=window.from_day, parts=whole, server=cursor.server, started_day=cursor.started_day)
    elif cursor.num_pages:
        say(f"going on after {cursor.num_received:,} records, {cursor.last_datestamp or 'none with a datestamp'}")
    return cursor


def _is_whole(folder: Path, part: dict[str, Any]) -> bool:
    path = folder / part["name"]
    return path.is_file() and sha256_file(path) == str(part["sha256"])


class _Collector:
    """Reads a list page by page; what it counts beside the cursor tells a slow server from one that gets nowhere."""

    def __init__(self, client: OaiClient, window: Window, cursor: Cursor, folder: Path, index: Index) -> None:
        self._client = client
        self._window = window
        self._cursor = cursor
        self._folder = folder
        self._index = index
        self._tokens = {cursor.token}
        self._requests_before = cursor.num_requests
        self._forget_troubles()
        self._num_known_in_a_row = 0
        self._num_empty_in_a_row = 0
        self._num_empty_answers = 0
        self._num_repetitions = 0

    def _forget_troubles(self) -> None:
        self._num_beginnings = 0
        self._end_was_doubted = False

    def run(self) -> None:
        """Read to the end of the list."""
        cursor = self._cursor
        self._read_page()  # tells how long the list is
        with progress("harvesting", cursor.list_size, cursor.num_received) as bar:
            while not cursor.at_end:
                self._read_page()
                bar.update(cursor.num_received, cursor.last_datestamp)

    def _read_page(self) -> None:
        try:
            page = self._client.list_records(self._arguments())
        except OaiError as error:
            self._read_error(error)
            self._save()
            return
        if not page.records and self._num_empty_answers < MAX_EMPTY_ANSWERS:
            self._num_empty_answers += 1
            say("a page without records: asking for it again")
            self._client.pause(self._num_empty_answers)
            return
        fresh, num_new = self._unknown(page.records)
        if num_new:
            self._forget_troubles()
        self._note_days(page.records, fresh)
        self._advance(page, num_new)
        if fresh:
            self._write_part(fresh)
        self._save()

    def _arguments(self) -> dict[str, str]:
        """Of the request for the next page."""
        if self._cursor.token:
            return {"resumptionToken": self._cursor.token}
        window = self._window
        arguments = {
            "metadataPrefix": window.metadata_format,
            "set": window.set_name,
            "from": self._cursor.list_from,
            "until": window.until_day,
        }
        return {name: value for name, value in arguments.items() if value}

    def _read_error(self, error: OaiError) -> None:
        token = self._cursor.token
        if error.code == "noRecordsMatch":
            self._end(doubtful=bool(token))
        elif token and error.code in ("badResumptionToken", "badArgument"):
            self._begin_again("the resumption token has expired")
        else:
            raise _refusal(error, self._window)

    def _unknown(self, records: Sequence[OaiRecord]) -> tuple[list[OaiRecord], int]:
        """The records that are not known as they are, and how many of these are new papers or new datestamps.

        Of two with one datestamp the one that came later holds: a day is long, and a paper may change twice in it.
        """
        fresh, num_new = [], 0
        for record in records:
            found = (record.datestamp, record.record_hash)
            known = self._index.get(record.identifier)
            if known is not None and (found == known or record.datestamp < known[0]):
                continue
            fresh.append(record)
            num_new += known is None or record.datestamp > known[0]
            self._index[record.identifier] = found
        return fresh, num_new

    def _advance(self, page: Page, num_new: int) -> None:
        """Move the cursor behind a page."""
        cursor = self._cursor
        cursor.num_pages += 1
        cursor.num_received += len(page.records)
        cursor.started_day = cursor.started_day or page.response_day or datetime.now(UTC).date().isoformat()
        if cursor.list_from == self._window.from_day and page.complete_list_size is not None:
            cursor.list_size = page.complete_list_size
        self._num_empty_answers = 0
        self._num_empty_in_a_row = 0 if page.records else self._num_empty_in_a_row + 1
        self._num_known_in_a_row = 0 if num_new else self._num_known_in_a_row + len(page.records)
        circles = (
            self._num_known_in_a_row > len(self._index) + _KNOWN_MARGIN or self._num_empty_in_a_row > MAX_EMPTY_RUN
        )
        if not page.token:
            # the protocol wants the end marked, but in a list of one page
            self._end(doubtful=not page.records or (bool(cursor.token) and not page.marks_end))
        elif circles or (page.token in self._tokens and not num_new):
            self._repeat(at_once=circles)
        else:
            # a token that was used before but brings new papers is one of a server that counts by itself
            cursor.token = page.token
            self._tokens.add(page.token)
            self._num_repetitions = 0

    def _note_days(self, records: Sequence[OaiRecord], fresh: Sequence[OaiRecord]) -> None:
        """Note how far the list has come, and whether it comes in order; a page served again says nothing of that."""
        cursor = self._cursor
        today = datetime.now(UTC).date().isoformat()
        for record in fresh:
            if record.day:
                cursor.ordered = cursor.ordered and record.day >= cursor.last_day
                cursor.last_day = max(cursor.last_day, min(record.day, today))
        for record in records:
            if record.day:
                # a datestamp of the future must not hide what an update would find before it
                cursor.last_day = max(cursor.last_day, min(record.day, today))
                cursor.last_datestamp = max(cursor.last_datestamp, record.datestamp)

    def _repeat(self, *, at_once: bool) -> None:
        """Ask for a page once more that was answered with one that is known; after some times begin again."""
        self._num_repetitions += 1
        if at_once or self._num_repetitions > MAX_REPETITIONS:
            self._begin_again("the server serves the same pages again and again")
        else:
            say("a page that was served before: asking for the next one again")
            self._client.pause(self._num_repetitions)

    def _end(self, *, doubtful: bool) -> None:
        """End the list, unless records are missing by the server's own count, or it has none and the end is doubtful."""
        size = self._cursor.list_size
        missing = 0 if size is None else size - self._num_held()
        if (missing > 0 or (doubtful and size is None)) and not self._end_was_doubted:
            self._end_was_doubted = True
            self._begin_again(
                f"the list ended {missing:,} records short" if missing > 0 else "the list may have ended early"
            )
            return
        if missing > 0:
            text = f"{missing:,} records fewer than the server says that it has: it may count others, or have lost some"
            warn(text)
            self._cursor.warnings.append(text)
        self._cursor.token = ""
        self._cursor.at_end = True

    def _num_held(self) -> int:
        """The papers of the window that are known, deleted ones too."""
        return sum(not datestamp or datestamp >= self._window.from_day for datestamp, _ in self._index.values())

    def _begin_again(self, reason: str) -> None:
        """Ask for the list again from the last day on, or from its beginning if it does not come in order."""
        cursor = self._cursor
        self._num_beginnings += 1
        if self._num_beginnings > MAX_NEW_BEGINNINGS:
            raise NetworkError(
                f"the harvest gets nowhere at {cursor.last_datestamp or 'its beginning'}: {reason}",
                "give the same command again later: it goes on from where it was",
            )
        if cursor.ordered and cursor.last_day:
            cursor.list_from = cursor.last_day
        cursor.token = ""
        self._tokens = set()
        self._num_known_in_a_row = self._num_empty_in_a_row = self._num_repetitions = 0
        say(f"{reason}: listing again from {cursor.list_from or 'the beginning'}")

    def _write_part(self, records: Sequence[OaiRecord]) -> None:
        self._folder.mkdir(exist_ok=True)
        names = {part["name"] for part in self._cursor.parts}
        number = len(names)
        while (name := f"part-{number:05d}.parquet") in names:  # a damaged one was left out before
            number += 1
        write_part(self._folder / name, records)
        digest = sha256_file(self._folder / name)
        self._cursor.parts.append({"name": name, "rows": len(records), "sha256": digest})

    def _save(self) -> None:
        self._cursor.num_requests = self._requests_before + self._client.num_requests
        self._folder.mkdir(exist_ok=True)
        write_json(self._folder / CURSOR, asdict(self._cursor))


def _refusal(error: OaiError, window: Window) -> AstroLlamaError:
    """What the user asked for that the server does not have."""
    asked = f"set {window.set_name!r} from {window.from_day or 'the beginning'} until {window.until_day or 'today'}"
    if error.code == "cannotDisseminateFormat":
        return UserInputError(
            f"the server has no format {window.metadata_format!r} ({error})", "give --format arXiv or arXivRaw"
        )
    if error.code in ("badArgument", "noSetHierarchy"):
        return UserInputError(f"the server refuses {asked} ({error})", "check --set, --from and --until")
    return NetworkError(f"the server does not list {asked} ({error})", "check --url")


def first_day_of_update(cursor: Cursor, window: Window) -> str:
    """The day from which a later update asks: the last that was seen, or that of the harvest if that is earlier."""
    return min(cursor.last_day, cursor.started_day) if cursor.last_day else window.from_day
