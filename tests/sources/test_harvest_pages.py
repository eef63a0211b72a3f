"""Servers with ways of their own, and what the harvester makes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from astrollama.errors import NetworkError
from astrollama.sources import harvest_pages
from astrollama.sources.harvest import harvest
from tests.sources.harvesting import NEWS, PAPERS, SAME, settings_for
from tests.sources.oai_server import (
    OaiServer,
    QuietHandler,
    Repository,
    compare,
    listening,
    revised,
)


class OddServer:
    """Answers ListRecords with what a function makes of the real server's answer; `queries` are those that came."""

    def __init__(self, change: Callable[[OddServer, str, bytes], bytes]) -> None:
        self.change = change
        self.queries: list[str] = []
        self.url = ""


@contextmanager
def odd(repository: Repository, change: Callable[[OddServer, str, bytes], bytes]) -> Iterator[OddServer]:
    real, strange = OaiServer(repository), OddServer(change)

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            query = urlsplit(self.path).query
            body = real.answer(query)
            if "verb=ListRecords" in query:
                strange.queries.append(query)
                body = strange.change(strange, query, body)
            self.send(200, body)

    with listening(Handler) as url:
        strange.url = f"{url}/oai"
        yield strange


def without_token(body: bytes) -> bytes:
    start, end = body.find(b"<resumptionToken"), body.find(b"</ListRecords>")
    return body[:start] + body[end:] if start >= 0 else body


def with_token(body: bytes, token: str) -> bytes:
    return without_token(body).replace(
        b"</ListRecords>", f"<resumptionToken>{token}</resumptionToken></ListRecords>".encode()
    )


def empty(body: bytes) -> bytes:
    start, end = body.find(b"<record>"), body.rfind(b"</record>") + len(b"</record>")
    return body[:start] + body[end:]


def circle(server: OddServer, query: str, body: bytes) -> bytes:
    """Every page that a token asks for leads to itself."""
    token = parse_qs(query).get("resumptionToken", [""])[0]
    return with_token(body, token) if token else body


def test_a_token_that_leads_to_itself_is_left_by_listing_again(tmp_path: Path) -> None:
    with odd(Repository(PAPERS, limit=20), circle) as server:
        harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


def test_a_circle_that_cannot_be_left_ends_in_an_error_and_goes_on_when_it_is_mended(tmp_path: Path) -> None:
    papers = [replace(paper, datestamp=NEWS) for paper in PAPERS]
    with odd(Repository(papers, limit=20), circle) as server:
        with pytest.raises(NetworkError, match=r"gets nowhere at 2007-06-20: the server serves the same pages"):
            harvest(settings_for(server.url), tmp_path / "h")
        assert len(server.queries) < 40
        server.change = lambda _, query, body: body
        harvest(settings_for(server.url), tmp_path / "h")
    assert compare(papers, tmp_path / "h", "arXiv") == SAME


def test_new_tokens_for_ever_with_the_same_papers_end_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harvest_pages, "_KNOWN_MARGIN", 10)
    first = OaiServer(Repository(PAPERS[:5])).answer("verb=ListRecords&metadataPrefix=arXiv")
    with odd(Repository(PAPERS), lambda server, *_: with_token(first, f"t{len(server.queries)}")) as server:
        with pytest.raises(NetworkError, match="gets nowhere"):
            harvest(settings_for(server.url), tmp_path / "h")
        assert len(server.queries) < 100


def test_empty_pages_for_ever_end_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest_pages, "MAX_EMPTY_RUN", 2)
    nothing = empty(OaiServer(Repository(PAPERS)).answer("verb=ListRecords&metadataPrefix=arXiv"))
    with odd(Repository(PAPERS), lambda server, *_: with_token(nothing, f"t{len(server.queries)}")) as server:
        with pytest.raises(NetworkError, match="gets nowhere at its beginning"):
            harvest(settings_for(server.url), tmp_path / "h")
        assert len(server.queries) < 100


def test_an_empty_page_with_a_token_is_passed(tmp_path: Path) -> None:
    """Where it stays empty; two more of its kind are asked for first."""

    def one_empty(server: OddServer, query: str, body: bytes) -> bytes:
        token = parse_qs(query).get("resumptionToken", [""])[0]
        if token == "detour":
            return OaiServer(repository).answer(f"verb=ListRecords&resumptionToken={kept[0]}")
        if token and not kept:
            kept.append(token)
        return with_token(empty(body), "detour") if kept and token == kept[0] else body

    kept: list[str] = []
    repository = Repository(PAPERS, limit=10)
    with odd(repository, one_empty) as server:
        manifest = harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME
    assert manifest["counts"]["requests"] == 7 + 3


def test_a_server_that_counts_pages_by_itself_has_one_token_for_all(tmp_path: Path) -> None:
    def constant(server: OddServer, query: str, body: bytes) -> bytes:
        if parse_qs(query).get("resumptionToken"):
            body = OaiServer(repository).answer(f"verb=ListRecords&resumptionToken={tokens.pop()}")
        tokens.append(body.partition(b"completeListSize")[2].partition(b">")[2].partition(b"<")[0].decode())
        return with_token(body, "the-token") if tokens[-1] else without_token(body)

    tokens: list[str] = []
    repository = Repository(PAPERS, limit=10)
    with odd(repository, constant) as server:
        # its list ends without the mark of an end, so the last day is asked for once more
        harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


def test_a_list_that_is_shorter_than_the_server_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with odd(
        Repository(PAPERS, limit=10),
        lambda server, query, body: body.replace(b'completeListSize="60"', b'completeListSize="64"'),
    ) as server:
        manifest = harvest(settings_for(server.url), tmp_path / "h")
        assert len(server.queries) == 7  # once more from the last day on
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME
    assert "4 records fewer than the server says" in manifest["warnings"][0]
    assert "warning: 4 records fewer" in capsys.readouterr().err


@pytest.mark.parametrize("tell_size", [True, False])
def test_a_page_that_lost_its_token_is_not_the_end(tell_size: bool, tmp_path: Path) -> None:
    """Whether the server counts its records or, as arXiv, does not."""
    repository = Repository(PAPERS, limit=10)
    repository.tell_size = tell_size
    with odd(repository, lambda server, _, body: without_token(body) if len(server.queries) == 3 else body) as server:
        manifest = harvest(settings_for(server.url), tmp_path / "h")
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME
    assert manifest["warnings"] == []


def test_a_list_in_no_order_begins_at_its_beginning_again(tmp_path: Path) -> None:
    """From the last datestamp on, the papers that it had not shown yet would be lost."""

    class Shuffled(Repository):
        def put(self, papers: Any) -> None:
            super().put(papers)
            self._names.sort(key=lambda name: name[::-1])

        def list_identifiers(self, metadataprefix: str, *arguments: Any) -> tuple[list[str], int, None]:
            first, *_, cursor = arguments
            names = [n for n in self._names if first is None or self.papers[n].datestamp >= first]
            return names[cursor : cursor + self.limit], len(names), None

    def expire(server: OddServer, query: str, body: bytes) -> bytes:
        if len(server.queries) != 4:
            return body
        return b'<OAI-PMH><error code="badResumptionToken">gone</error></OAI-PMH>'

    with odd(Shuffled(PAPERS, limit=10), expire) as server:
        harvest(settings_for(server.url), tmp_path / "h")
        assert "from=" not in server.queries[4]
    assert compare(PAPERS, tmp_path / "h", "arXiv") == SAME


def test_a_token_that_expires_at_once_ends_in_an_error(tmp_path: Path) -> None:
    def expire(server: OddServer, query: str, body: bytes) -> bytes:
        gone = b'<OAI-PMH><error code="badResumptionToken">gone</error></OAI-PMH>'
        return gone if "resumptionToken" in query else body

    repository = Repository([replace(p, datestamp=PAPERS[0].datestamp) for p in PAPERS], limit=10)
    with odd(repository, expire) as server:
        with pytest.raises(NetworkError, match="gets nowhere at 2007-05-23: the resumption token has expired"):
            harvest(settings_for(server.url), tmp_path / "h")
        assert len(server.queries) == 8


def test_a_paper_that_changes_twice_in_a_day_is_its_later_self(tmp_path: Path) -> None:
    """It is served on two pages with one datestamp and two texts, for it changed between them."""
    paper = PAPERS[1]
    later = replace(paper, texts={**paper.texts, "title": "Changed since"})
    bodies = [OaiServer(Repository([p])).answer("verb=ListRecords&metadataPrefix=arXiv") for p in (paper, later)]

    def twice(server: OddServer, query: str, body: bytes) -> bytes:
        return with_token(bodies[0], "t") if len(server.queries) == 1 else with_token(bodies[1], "")

    with odd(Repository(PAPERS), twice) as server:
        manifest = harvest(settings_for(server.url), tmp_path / "h")
    assert compare([later], tmp_path / "h", "arXiv") == SAME
    assert manifest["counts"]["records_new_or_changed"] == 2


def test_an_older_copy_never_takes_the_place_of_a_newer_one(tmp_path: Path) -> None:
    newer = revised(PAPERS[1], datetime(2008, 1, 1, tzinfo=UTC))
    bodies = [OaiServer(Repository([p])).answer("verb=ListRecords&metadataPrefix=arXiv") for p in (newer, PAPERS[1])]

    def backwards(server: OddServer, query: str, body: bytes) -> bytes:
        return with_token(bodies[0], "t") if len(server.queries) == 1 else with_token(bodies[1], "")

    with odd(Repository(PAPERS), backwards) as server:
        harvest(settings_for(server.url), tmp_path / "h")
    assert compare([newer], tmp_path / "h", "arXiv") == SAME
