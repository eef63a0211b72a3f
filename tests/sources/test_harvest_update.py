from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from astrollama.errors import InterruptedRunError, RunError, UserInputError
from astrollama.runs import read_manifest
from astrollama.sources.harvest import harvest
from tests.sources.harvesting import NEWS, PAPERS, SAME, files_of, held_by, rows_of, settings_for
from tests.sources.oai_server import (
    SET,
    OaiServer,
    Repository,
    ServedPaper,
    compare,
    revised,
    serve,
)


@pytest.fixture
def server() -> Iterator[OaiServer]:
    with serve(Repository(PAPERS, limit=10)) as running:
        yield running


def change(repository: Repository) -> list[ServedPaper]:
    """Two papers are new, two are revised, two are deleted, and one that was deleted is there again."""
    live = [paper for paper in PAPERS if not paper.deleted]
    (gone,) = [paper for paper in PAPERS if paper.deleted]
    new = [replace(live[0], identifier=f"oai:arXiv.org:new.{n}", datestamp=NEWS) for n in range(2)]
    changed = [revised(paper, NEWS + timedelta(hours=30)) for paper in live[3:5]]
    deleted = [replace(paper, deleted=True, datestamp=NEWS) for paper in live[7:9]]
    back = [replace(gone, deleted=False, datestamp=NEWS + timedelta(days=3))]
    repository.put([*new, *changed, *deleted, *back])
    return [*new, *changed, *deleted, *back]


def test_an_update_takes_what_is_new_and_equals_a_fresh_harvest(server: OaiServer, tmp_path: Path) -> None:
    out = tmp_path / "h"
    first = harvest(settings_for(server.url), out)
    news = change(server.repository)
    server.requests.clear()
    second = harvest(settings_for(server.url), out, update=True)
    assert compare(held_by(server), out, "arXiv") == SAME
    assert server.requests == [
        {"verb": "Identify"},
        {"verb": "ListRecords", "metadataPrefix": "arXiv", "set": SET, "from": first["next_from"]},
    ]
    assert second["counts"]["records_new_or_changed"] == len(news) == 7
    overlap = [paper for paper in PAPERS if paper.datestamp.date().isoformat() == first["next_from"]]
    assert second["counts"]["records_received"] == 7 + len(overlap)
    assert (second["last_datestamp"], second["next_from"]) == ("2007-06-23", "2007-06-23")
    assert files_of(out) == {"papers.parquet", "deleted.csv", "manifest.json"}

    harvest(settings_for(server.url), tmp_path / "fresh")
    assert rows_of(out) == rows_of(tmp_path / "fresh")
    assert (out / "deleted.csv").read_bytes() == (tmp_path / "fresh" / "deleted.csv").read_bytes()


def test_an_update_without_news_changes_nothing(server: OaiServer, tmp_path: Path) -> None:
    first = harvest(settings_for(server.url), tmp_path / "h")
    papers = (tmp_path / "h" / "papers.parquet").read_bytes()
    second = harvest(settings_for(server.url), tmp_path / "h", update=True)
    assert (tmp_path / "h" / "papers.parquet").read_bytes() == papers
    assert second["counts"]["records_new_or_changed"] == 0
    assert second["last_datestamp"] == first["last_datestamp"]
    assert second["next_from"] == first["next_from"]


def test_a_deleted_paper_does_not_come_back_in_an_older_copy(tmp_path: Path) -> None:
    paper, gone = PAPERS[1], replace(PAPERS[1], deleted=True, datestamp=NEWS)
    with serve(Repository([gone, PAPERS[2]])) as server:
        harvest(settings_for(server.url), tmp_path / "h")
        stale = OaiServer(Repository([paper])).answer("verb=ListRecords&metadataPrefix=arXiv")
        server.answer = lambda query: stale if "ListRecords" in query else OaiServer(server.repository).answer(query)  # type: ignore[method-assign]
        harvest(settings_for(server.url), tmp_path / "h", update=True)
    assert compare([gone, PAPERS[2]], tmp_path / "h", "arXiv") == SAME


def test_a_later_until_extends_a_harvest(server: OaiServer, tmp_path: Path) -> None:
    out = tmp_path / "h"
    for until in (date(2007, 5, 28), date(2007, 5, 28), date(2007, 6, 2), None):
        manifest = harvest(settings_for(server.url, until_date=until), out)
        last = until or date.max
        assert compare([p for p in PAPERS if p.datestamp.date() <= last], out, "arXiv") == SAME
    assert manifest["identity"]["until"] == ""
    assert 10 < manifest["counts"]["records_received"] < 40
    with pytest.raises(UserInputError, match=r"and not only until 2007-05-25: choose another --out"):
        harvest(settings_for(server.url, until_date=date(2007, 5, 25)), out)


def test_an_update_that_is_killed_leaves_the_harvest_as_it_was_and_goes_on(server: OaiServer, tmp_path: Path) -> None:
    out = tmp_path / "h"
    manifest = harvest(settings_for(server.url), out)
    held = held_by(server)
    server.repository.limit = 2
    news = change(server.repository)
    server.requests.clear()

    real = server.answer

    def answer(query: str) -> bytes:
        if len(server.requests) > 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(query)

    server.answer = answer  # type: ignore[method-assign]
    with pytest.raises(InterruptedRunError):
        harvest(settings_for(server.url, delay=0.02), out, update=True)
    server.answer = real  # type: ignore[method-assign]
    assert (out / "update" / "pages" / "cursor.json").exists()
    assert compare(held, out, "arXiv") == SAME
    assert harvest(settings_for(server.url), out) == manifest

    server.requests.clear()
    done = harvest(settings_for(server.url), out, update=True)
    assert {"verb": "Identify"} not in server.requests
    assert done["counts"]["records_new_or_changed"] == len(news)
    assert compare(held_by(server), out, "arXiv") == SAME
    assert files_of(out) == {"papers.parquet", "deleted.csv", "manifest.json"}


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_an_update_broken_off_while_it_takes_its_place_is_ended_by_the_next_command(
    moves: int, server: OaiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "h"
    harvest(settings_for(server.url), out)
    change(server.repository)
    real, done = Path.replace, []

    def replace_some(path: Path, target: Path) -> Path:
        if path.parent == out / "update" and not path.name.startswith("."):
            if len(done) == moves:
                raise KeyboardInterrupt
            done.append(path)
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        with pytest.raises(KeyboardInterrupt):
            harvest(settings_for(server.url), out, update=True)
    with pytest.raises(RunError, match="unfinished"):
        read_manifest(out, "harvest")
    server.requests.clear()
    harvest(settings_for(server.url), out)
    assert server.requests == []
    assert compare(held_by(server), out, "arXiv") == SAME
    again = harvest(settings_for(server.url), out, update=True)
    assert again["counts"]["records_new_or_changed"] == 0
    assert files_of(out) == {"papers.parquet", "deleted.csv", "manifest.json"}


def test_a_harvest_in_a_folder_named_update_stays_there(server: OaiServer, tmp_path: Path) -> None:
    harvest(settings_for(server.url), tmp_path / "update")
    with pytest.raises(RunError, match="holds no run"):
        harvest(settings_for(server.url), tmp_path)
    assert compare(PAPERS, tmp_path / "update", "arXiv") == SAME


def test_pages_left_behind_by_a_kill_at_the_very_end_are_tidied_up(server: OaiServer, tmp_path: Path) -> None:
    manifest = harvest(settings_for(server.url), tmp_path / "h")
    (tmp_path / "h" / "pages").mkdir()
    (tmp_path / "h" / "pages" / "cursor.json").write_text("{}")
    assert harvest(settings_for(server.url), tmp_path / "h") == manifest
    assert files_of(tmp_path / "h") == {"papers.parquet", "deleted.csv", "manifest.json"}
