"""The blind pairwise page: a server on this machine alone that shows two continuations and takes votes.

No answer names a system, or lets one be guessed, before the person has judged every pair.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from astrollama.errors import AstroLlamaError, RunError, UserInputError
from astrollama.evaluation.rating.raters import (
    CHOICES,
    MAX_RATER_CHARACTERS,
    Pair,
    in_order_of,
    read_pairs,
    read_votes,
    save_vote,
    shown_order,
    tally,
)

ADDRESS = "127.0.0.1"
MAX_BODY_BYTES = 4096


class RefusedError(Exception):
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Rating:
    """One person's way through the pairs of an evaluation."""

    def __init__(self, evaluation: Path, systems: Sequence[str], rater: str) -> None:
        """Go on where this person was.

        Raises:
            RunError, UserInputError: as for `read_pairs`; the name cannot be used.
        """
        if not rater.strip() or not rater.isprintable() or len(rater) > MAX_RATER_CHARACTERS:
            raise UserInputError(f"{rater!r} is no name for a rater", f"give up to {MAX_RATER_CHARACTERS} characters")
        self._evaluation = evaluation
        self._systems = systems
        self._rater = rater
        self._pairs = {pair.id: pair for pair in in_order_of(rater, read_pairs(evaluation, systems))}
        self._voted = {vote.pair for vote in read_votes(evaluation) if vote.rater == rater} & self._pairs.keys()
        self._lock = Lock()

    @property
    def progress(self) -> tuple[int, int]:
        """How many pairs are judged, and how many there are."""
        return len(self._voted), len(self._pairs)

    def state(self) -> dict[str, Any]:
        """What the page shows next: a pair, or the result when all are judged."""
        done, total = self.progress
        pair = next((pair for pair in self._pairs.values() if pair.id not in self._voted), None)
        if pair is None:
            return {"done": done, "total": total, "result": self._result()}
        left, right = shown_order(self._rater, pair)
        shown = {"id": pair.id, "prompt": pair.prompt, "left": pair.texts[left], "right": pair.texts[right]}
        return {"done": done, "total": total, "pair": shown}

    def vote(self, request: object) -> dict[str, Any]:
        """Save a vote; the answer has what the authors wrote.

        Raises:
            RefusedError: the vote is for no pair, for one that is judged already, or no choice.
        """
        pair, choice = self._pair_of(request)
        with self._lock:
            if pair.id in self._voted:
                raise RefusedError(HTTPStatus.CONFLICT, "this pair is judged already")
            save_vote(self._evaluation, self._rater, pair, choice)
            self._voted.add(pair.id)
        return {"truth": pair.truth}

    def _pair_of(self, request: object) -> tuple[Pair, Any]:
        if not isinstance(request, dict) or request.keys() != {"id", "choice"}:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a vote has an id and a choice")
        name, choice = request["id"], request["choice"]
        if not isinstance(name, str) or name not in self._pairs:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such pair")
        if choice not in CHOICES:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"a choice is one of {', '.join(CHOICES)}")
        return self._pairs[name], choice

    def _result(self) -> list[dict[str, Any]]:
        return [
            {"first": found.first, "second": found.second, "won": found.num_first, "lost": found.num_second,
             "equal": found.num_equal, "both_bad": found.num_both_bad}
            for found in tally(self._evaluation, self._systems)
        ]  # fmt: skip


@contextmanager
def rating_server(rating: Rating, port: int) -> Iterator[ThreadingHTTPServer]:
    """A server of the page on `ADDRESS`; port 0 takes a free one. The caller lets it serve.

    Raises:
        RunError: the port is taken.
    """
    try:
        server = _Server((ADDRESS, port), type("Handler", (_Handler,), {"rating": rating}))
    except OSError as error:
        raise RunError(
            f"port {port} cannot be had ({error.strerror})", "choose another --port, or 0 for any"
        ) from error
    with server:
        yield server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away before its answer is nothing to tell."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Answer(NamedTuple):
    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    policy: str = "default-src 'none'"


class _Handler(BaseHTTPRequestHandler):
    rating: Rating
    server: _Server
    server_version = "astrollama"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        self._send(self._answer({"/": _page, "/state": lambda: _json(self.rating.state())}))

    def do_POST(self) -> None:
        self._send(self._answer({"/vote": lambda: _json(self.rating.vote(self._body()))}))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — http.server's name
        """The terminal is the rater's."""

    def _answer(self, known: Mapping[str, Callable[[], _Answer]]) -> _Answer:
        try:
            self._require_own_host()
            return known.get(self.path, _no_page)()
        except RefusedError as error:
            return _json({"error": str(error)}, error.status)
        except (AstroLlamaError, OSError) as error:
            return _json({"error": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _require_own_host(self) -> None:
        """Another site's page may reach this address through a name of its own (DNS rebinding), or send a form here."""
        port = self.server.server_port
        own = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in own or (origin and origin not in {f"http://{host}" for host in own}):
            raise RefusedError(HTTPStatus.FORBIDDEN, "this page is for this machine alone")

    def _body(self) -> object:
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a vote is JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a vote has up to {MAX_BODY_BYTES} bytes")
        try:
            value: object = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "that is no JSON") from error
        return value

    def _send(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Content-Security-Policy", answer.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(answer.body)


def _json(value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> _Answer:
    return _Answer(json.dumps(value).encode(), status=status)


def _no_page() -> _Answer:
    return _json({"error": "there is no such page"}, HTTPStatus.NOT_FOUND)


def _page() -> _Answer:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    nonce = secrets.token_urlsafe(16)
    environment = Environment(loader=PackageLoader("astrollama.evaluation"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("rate.html.j2").render(nonce=nonce)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return _Answer(page.encode(), "text/html; charset=utf-8", policy=policy)
