from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from astrollama.cli import harvest as command
from astrollama.cli.main import run
from astrollama.errors import InterruptedRunError, RunError, UserInputError
from astrollama.sources import harvest_pages
from astrollama.sources.files import FileSource
from astrollama.sources.harvest import HarvestSettings, MetadataFormat, harvest
from astrollama.sources.sample import SAMPLE
from tests.sources.faults import KINDS, FaultProxy, faulty
from tests.sources.harvesting import PAPERS, SAME, files_of, held_by, settings_for
from tests.sources.oai_server import (
    DAY,
    SECOND,
    SET,
    OaiServer,
    Repository,
    compare,
    read_papers,
    serve,
)

# the harvester as a program, with short pauses
PROGRAM = """
import sys
from pathlib import Path
from astrollama.errors import AstroLlamaError
from astrollama.sources.harvest import HarvestSettings, harvest
settings = HarvestSettings("physics:astro-ph", url=sys.argv[1], delay=float(sys.argv[3]), timeout=0.5, backoff=0.01)
try:
    harvest(settings, Path(sys.argv[2]))
except AstroLlamaError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def server() -> Iterator[OaiServer]:
    with serve(Repository(PAPERS, limit=10)) as running:
        yield running


def start(url: str, out: Path, delay: float = 0.0) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, url, str(out), str(delay)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.005)


@pytest.mark.parametrize("metadata_format", ["arXiv", "arXivRaw"])
@pytest.mark.parametrize("granularity", [DAY, SECOND])
def test_every_record_is_what_the_server_holds(
    metadata_format: MetadataFormat, granularity: str, tmp_path: Path
) -> None:
    with serve(Repository(PAPERS, limit=10, granularity=granularity)) as server:
        manifest = harvest(settings_for(server.url, metadata_format=metadata_format), tmp_path / "h")
        assert compare(held_by(server), tmp_path / "h", metadata_format, granularity) == SAME
    assert manifest["counts"] == {
        "papers": 59,
        "deleted": 1,
        "records_received": 60,
        "records_new_or_changed": 60,
        "pages": 6,
        "requests": 7,
    }
    assert manifest["server"]["granularity"] == granularity
    assert manifest["next_from"] == "2007-06-09"
    assert files_of(tmp_path / "h") == {"papers.parquet", "deleted.csv", "manifest.json"}


def test_what_was_harvested_can_be_imported(server: OaiServer, tmp_path: Path) -> None:
    harvest(settings_for(server.url), tmp_path / "h")
    papers = list(FileSource([tmp_path / "h" / "papers.parquet"]).papers())
    assert len(papers) == 59
    assert {paper.date for paper in papers} == {p.versions[0].isoformat() for p in PAPERS if not p.deleted}  # type: ignore[union-attr]


def test_a_complete_harvest_asks_for_nothing(server: OaiServer, tmp_path: Path) -> None:
    first = harvest(settings_for(server.url), tmp_path / "h")
    server.requests.clear()
    assert harvest(settings_for(server.url), tmp_path / "h") == first
    assert server.requests == []


def test_days_limit_what_is_taken(server: OaiServer, tmp_path: Path) -> None:
    settings = settings_for(server.url, from_date=date(2007, 5, 25), until_date=date(2007, 5, 27))
    harvest(settings, tmp_path / "h")
    wanted = [p for p in PAPERS if date(2007, 5, 25) <= p.datestamp.date() <= date(2007, 5, 27)]
    assert 5 < len(wanted) < 15
    assert compare(wanted, tmp_path / "h", "arXiv") == SAME


def test_nothing_in_these_days_is_a_harvest_of_nothing(
    server: OaiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = harvest(settings_for(server.url, until_date=date(1999, 1, 1)), tmp_path / "h")
    assert manifest["counts"]["papers"] == 0
    assert compare([], tmp_path / "h", "arXiv") == SAME
    assert "the server has no records of set 'physics:astro-ph'" in capsys.readouterr().err
    # and what comes later is found by the same harvest, extended
    harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"set_name": "physics:nowhere"}, "refuses set 'physics:nowhere'.*there is no set physics:nowhere"),
        ({"metadata_format": "marc21"}, "no format 'marc21'.*give --format arXiv or arXivRaw"),
    ],
)
def test_what_the_server_does_not_have_is_the_users_input(
    changes: dict[str, Any], message: str, server: OaiServer, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError, match=message):
        harvest(settings_for(server.url, **changes), tmp_path / "h")
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from_date": date(2020, 1, 2), "until_date": date(2020, 1, 1)}, "holds no day"),
        ({"delay": -1.0}, "delay = -1"),
        ({"delay": float("nan")}, "delay = nan"),
        ({"timeout": 0.0}, "timeout = 0"),
        ({"set_name": " "}, "the set is empty"),
    ],
)
def test_impossible_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        settings_for("http://127.0.0.1/oai", **changes)


def test_a_directory_holds_one_harvest(server: OaiServer, tmp_path: Path) -> None:
    harvest(settings_for(server.url), tmp_path / "h")
    with pytest.raises(RunError, match='set is "physics:astro-ph", now "physics:gr-qc"'):
        harvest(settings_for(server.url, set_name="physics:gr-qc"), tmp_path / "h")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="holds no run"):
        harvest(settings_for(server.url), tmp_path / "other")


# faults, kills and interruptions


def test_after_every_fault_and_two_kills_every_record_is_there_once(tmp_path: Path) -> None:
    papers = [replace(p, identifier=f"{p.identifier}.{n}") for n in range(2) for p in read_papers(SAMPLE, 150)]
    out = tmp_path / "h"
    with (
        serve(Repository(papers, limit=8)) as server,
        faulty(FaultProxy(server.url, seed=1, rate=0.5, hold=0.8)) as proxy,
    ):
        for pages in (5, 20):
            process = start(proxy.url, out)
            wait_for(lambda: len([*out.glob("pages/part-*")]) >= pages)  # noqa: B023
            assert process.poll() is None
            process.kill()
            process.communicate()
            assert not (out / "manifest.json").exists()
        process = start(proxy.url, out)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    found = compare(papers, out, "arXiv")
    print(f"{len(papers)} papers served, {dict(proxy.counts)} faults, 2 kills: {found}")
    assert found == SAME
    assert set(proxy.counts) == set(KINDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_harvest_says_how_to_go_on(number: int, server: OaiServer, tmp_path: Path) -> None:
    out = tmp_path / "h"
    process = start(server.url, out, delay=0.2)
    wait_for((out / "pages" / "cursor.json").exists)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == InterruptedRunError.exit_code == 130
    assert "keeps every page but the last: give the same command again to go on" in output
    num_before = len(server.requests)
    harvest(settings_for(server.url), out)
    assert compare(held_by(server), out, "arXiv") == SAME
    # no page that was kept is asked for again
    assert len(server.requests) <= num_before + 6


def stop_at(server: OaiServer, page: int) -> Callable[..., Any]:
    """A harvest that is stopped, as by Ctrl-C, when it asks for this page."""

    def stopped(out: Path, **changes: Any) -> None:
        real = server.answer

        def answer(query: str) -> bytes:
            if len(server.requests) > page:
                os.kill(os.getpid(), signal.SIGINT)
            return real(query)

        server.answer = answer  # type: ignore[method-assign]
        with pytest.raises(InterruptedRunError):
            harvest(settings_for(server.url, delay=0.02, **changes), out)
        server.answer = real  # type: ignore[method-assign]

    return stopped


def test_an_unfinished_harvest_goes_on_with_the_same_days_only(server: OaiServer, tmp_path: Path) -> None:
    stop_at(server, 3)(tmp_path / "h")
    with pytest.raises(RunError, match="unfinished run"):
        harvest(settings_for(server.url, until_date=date(2007, 6, 1)), tmp_path / "h")
    harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


def test_a_damaged_part_is_harvested_again(
    server: OaiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "h"
    stop_at(server, 4)(out)
    parts = sorted(out.glob("pages/part-*"))
    assert len(parts) >= 3
    parts[1].write_bytes(b"PAR1")
    harvest(settings_for(server.url), out)
    assert compare(PAPERS, out, "arXiv") == SAME
    assert "1 part(s)" in capsys.readouterr().err


def test_a_crash_between_part_and_cursor_costs_that_page(
    server: OaiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = harvest_pages.write_json
    with monkeypatch.context() as patch:

        def fail(path: Path, value: dict[str, Any]) -> None:
            if value["num_pages"] == 3:
                raise OSError("the power is gone")
            real(path, value)

        patch.setattr(harvest_pages, "write_json", fail)
        with pytest.raises(OSError, match="the power is gone"):
            harvest(settings_for(server.url), tmp_path / "h")
    assert len([*tmp_path.glob("h/pages/part-*")]) == 3
    server.requests.clear()
    manifest = harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME
    assert manifest["counts"]["pages"] == 6
    assert len(server.requests) == 4  # the third page again, and those after it


def test_a_crash_in_the_compaction_costs_no_request(
    server: OaiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("astrollama.sources.harvest.compact", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            harvest(settings_for(server.url), tmp_path / "h")
    server.requests.clear()
    harvest(settings_for(server.url), tmp_path / "h")
    assert server.requests == []
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


def test_two_harvests_do_not_work_in_one_directory(server: OaiServer, tmp_path: Path) -> None:
    process = start(server.url, tmp_path / "h", delay=1)
    wait_for((tmp_path / "h" / "pages" / "cursor.json").exists)
    with pytest.raises(RunError, match="another process is at work"):
        harvest(settings_for(server.url), tmp_path / "h")
    process.kill()
    process.communicate()


def test_under_nohup_a_lost_connection_stops_nothing(server: OaiServer, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        real = server.answer

        def answer(query: str) -> bytes:
            os.kill(os.getpid(), signal.SIGHUP)
            return real(query)

        server.answer = answer  # type: ignore[method-assign]
        harvest(settings_for(server.url), tmp_path / "h")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


# the command


def test_the_commands_defaults_are_those_of_the_settings() -> None:
    options = inspect.signature(command.harvest).parameters
    defaults = HarvestSettings(SET)
    for name in ("metadata_format", "url", "contact", "delay", "timeout"):
        assert options[name].default == getattr(defaults, name)


def test_the_command(server: OaiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["corpus", "harvest", "--set", SET, "--url", server.url, "--delay", "0", "--out", str(tmp_path / "h")]
    assert run([*words, "--from", "1992-04-01", "--until", "2023-07-31"]) == 0
    line = "59 papers, 1 deleted, the last change of 2007-06-09; 60 records new or changed\n"
    assert capsys.readouterr().out == line
    assert run([*words, "--from", "1992-04-01", "--until", "2023-07-31", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["papers"] == 59


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "1992-13-01"], "'1992-13-01' does not match the format"),
        (["--until", "yesterday"], "'yesterday' does not match"),
        (["--from", "2023-07-31", "--until", "1992-04-01"], "holds no day"),
        (["--format", "oai_dc"], "Invalid value for '--format'"),
        (["--delay", "-1"], "Invalid value for '--delay'"),
        (["--url", "file:///etc/passwd"], "no address of an OAI-PMH server"),
        (["--contact", "me at home"], "the contact 'me at home'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_in_the_command_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["corpus", "harvest", "--set", SET, "--out", str(tmp_path / "h"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "h").exists()
