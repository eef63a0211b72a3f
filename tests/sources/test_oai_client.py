from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from astrollama import __version__
from astrollama.errors import NetworkError, UserInputError
from astrollama.sources import oai_client
from astrollama.sources.oai_client import OaiClient
from astrollama.sources.oai_records import OaiError
from tests.sources.oai_server import QuietHandler, listening

PAGE = b"<OAI-PMH><ListRecords><resumptionToken>next</resumptionToken></ListRecords></OAI-PMH>"
ERROR = b'<OAI-PMH><error code="badArgument">no such set</error></OAI-PMH>'

Act = Callable[[QuietHandler], object]


class Server:
    """Answers each request with the next act, the last one for ever; `paths`, `headers` and `times` are what came."""

    def __init__(self, acts: tuple[Act, ...]) -> None:
        self.acts = [*acts]
        self.url = ""
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []


@contextmanager
def serve(*acts: Act) -> Iterator[Server]:
    server = Server(acts)

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            server.paths.append(self.path)
            server.headers.append(dict(self.headers))
            server.times.append(time.monotonic())
            (server.acts.pop(0) if len(server.acts) > 1 else server.acts[0])(self)

    with listening(Handler) as url:
        server.url = f"{url}/oai"
        yield server


def send(body: bytes = PAGE, status: int = 200, **headers: str) -> Act:
    return lambda handler: handler.send(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


def client_of(server: Server, *, contact: str = "", delay: float = 0, timeout: float = 5) -> OaiClient:
    return OaiClient(server.url, contact=contact, delay=delay, timeout=timeout, backoff=0.001)


def ask(server: Server, timeout: float = 5) -> str:
    """The token of the page that the client gets."""
    with client_of(server, timeout=timeout) as client:
        return client.list_records({"metadataPrefix": "arXiv"}).token


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, and not made."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def test_it_says_who_asks() -> None:
    with serve(send()) as server, client_of(server, contact="me@example.org") as client:
        client.list_records({"metadataPrefix": "arXiv", "set": "physics:astro-ph"})
    assert server.headers[0]["User-Agent"] == f"astrollama/{__version__} (me@example.org)"
    assert parse_qs(urlsplit(server.paths[0]).query) == {
        "verb": ["ListRecords"],
        "metadataPrefix": ["arXiv"],
        "set": ["physics:astro-ph"],
    }


@pytest.mark.parametrize("token", ["a|b", "from%3D2007-05-23%26skip%3D10", "a+b/c==", "ü &\t=;#?", "%", "%zz"])
def test_a_token_goes_back_as_it_came(token: str) -> None:
    with serve(send()) as server, client_of(server) as client:
        client.list_records({"resumptionToken": token})
    assert parse_qs(urlsplit(server.paths[0]).query)["resumptionToken"] == [token]


def test_there_is_a_pause_between_two_requests() -> None:
    with serve(send(), send(status=503), send()) as server, client_of(server, delay=0.1) as client:
        client.list_records({})
        client.list_records({})
    assert client.num_requests == len(server.times) == 3
    assert all(later - earlier >= 0.1 for earlier, later in zip(server.times, server.times[1:], strict=False))


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_it_is_asked_to(status: int, pauses: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    acts = [send(b"", status, Retry_After=value) for value in ("7", date, past, "soon", "")]
    with serve(*acts, send()) as server:
        assert ask(server) == "next"
    asked = [pause for pause in pauses if pause >= 0.1]
    assert len(server.paths) == 6
    assert asked[0] == 7
    assert asked[1:] == [pytest.approx(100, abs=5)]  # the others ask for nothing, so its own short pauses hold


def test_a_pause_of_more_than_an_hour_is_left_to_the_user(pauses: list[float]) -> None:
    with (
        serve(send(b"", 503, Retry_After="7200")) as server,
        pytest.raises(NetworkError, match="asks to wait 2 h 0 min"),
    ):
        ask(server)
    with serve(send(b"", 503, Retry_After="9" * 400)) as server, pytest.raises(NetworkError, match="asks to wait"):
        ask(server)
    assert not [pause for pause in pauses if pause]


@pytest.mark.parametrize(
    "act",
    [
        send(b"", 500),
        send(b"", 502),
        send(b"", 408),
        send(b"<html><body>Please log in</body></html>"),
        send(PAGE[:-20]),
        send(b"\xff" + PAGE),
        send(PAGE, Content_Length=str(len(PAGE) + 10), Connection="close"),
        send(PAGE, Content_Encoding="gzip"),
        lambda handler: handler.connection.close(),
    ],
    ids=["500", "502", "408", "html", "cut-off", "not-utf8", "short", "no-gzip", "closed"],
)
def test_what_may_pass_is_tried_again(act: Act, capsys: pytest.CaptureFixture[str]) -> None:
    def end(handler: QuietHandler) -> None:
        act(handler)
        handler.close_connection = True

    with serve(end, send()) as server:
        assert ask(server) == "next"
    assert len(server.paths) == 2
    assert "attempt 2 of 8" in capsys.readouterr().err


def test_a_silent_server_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(lambda handler: time.sleep(1), send()) as server:
        assert ask(server, timeout=0.5) == "next"
    assert "no answer within 0.5 s (ReadTimeout): attempt 2 of 8" in capsys.readouterr().err


def test_pauses_grow_and_it_gives_up_with_the_reason(pauses: list[float]) -> None:
    with (
        serve(send(b"", 503)) as server,
        OaiClient(server.url, contact="", delay=0, timeout=5, backoff=4) as client,
        pytest.raises(NetworkError) as caught,
    ):
        client.list_records({})
    message = str(caught.value)
    assert server.url in message
    assert "failed 8 times, at last with: status 503" in message
    assert "goes on from where it was" in message
    made = [pause for pause in pauses if pause]
    assert len(made) == 7
    assert all(pause <= 4 * 2**number for number, pause in enumerate(made))
    assert max(made) > 4


def test_no_server_at_all() -> None:
    with serve(send()) as server:
        url = server.url
    with (
        OaiClient(url, contact="", delay=0, timeout=1, backoff=0.001) as client,
        pytest.raises(NetworkError, match="failed"),
    ):
        client.identify()


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_status_that_will_not_change_is_not_tried_again(status: int) -> None:
    with serve(send(b"nothing here", status)) as server, pytest.raises(NetworkError, match=f"with status {status}"):
        ask(server)
    assert len(server.paths) == 1


@pytest.mark.parametrize("status", [200, 400, 422])
def test_the_protocols_errors_come_with_any_status(status: int) -> None:
    with serve(send(ERROR, status)) as server, pytest.raises(OaiError, match="badArgument: no such set"):
        ask(server)
    assert len(server.paths) == 1


def test_a_server_that_does_not_identify_itself() -> None:
    with serve(send(ERROR)) as server, client_of(server) as client, pytest.raises(NetworkError, match="check --url"):
        client.identify()


def test_an_answer_has_a_greatest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oai_client, "MAX_BYTES", 2**20)
    bomb = gzip.compress(bytes(2**26))
    for act in (send(bytes(2**20 + 1)), send(bomb, Content_Encoding="gzip")):
        with serve(act) as server, pytest.raises(NetworkError, match="more than 1 MiB"):
            ask(server)


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oai_client, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(oai_client, "WHOLE_ANSWER", 1)

    def drip(handler: QuietHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b"<")
            time.sleep(0.05)

    with serve(drip) as server, pytest.raises(NetworkError, match=re.escape("not whole after 0.4 s")):
        ask(server, timeout=0.4)


def test_redirects_are_followed_to_the_web_only_and_not_for_ever() -> None:
    with serve(send(b"", 302, Location="/elsewhere"), send()) as server:
        assert ask(server) == "next"
        assert server.paths[1] == "/elsewhere"
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/", "/oai"):
        with serve(send(b"", 302, Location=target)) as server, pytest.raises(NetworkError, match="redirects"):
            ask(server)


@pytest.mark.parametrize(
    "url",
    [
        "oaipmh.arxiv.org/oai",
        "file:///etc/passwd",
        "ftp://example.org/oai",
        "http://",
        "http://[::1",
        "http://a b/oai",
        "http://user:secret@example.org/oai",
        "http://example.org/oai?verb=Identify",
        "http://example.org/oai#here",
        "",
    ],
)
def test_an_address_that_cannot_be_asked(url: str) -> None:
    with pytest.raises(UserInputError, match="no address of an OAI-PMH server"):
        OaiClient(url, contact="", delay=0, timeout=1, backoff=1)


@pytest.mark.parametrize("contact", ["me@example.org\r\nX-Evil: 1", "mé@example.org", "me (at) home", "a b"])
def test_a_contact_that_cannot_be_sent(contact: str) -> None:
    with pytest.raises(UserInputError, match="the contact"):
        OaiClient("http://127.0.0.1:9/oai", contact=contact, delay=0, timeout=1, backoff=1)
