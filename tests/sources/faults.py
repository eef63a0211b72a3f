"""A proxy on loopback between a harvester and an OAI-PMH server that does to the answers what networks and servers do.

Which request meets which fault comes from a seed. Run as a program: `python -m tests.sources.faults URL --seed 1`; it
prints its URL, and at its path `/faults` tells how many of each kind it has made.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen
from xml.sax.saxutils import escape

from tests.sources.oai_server import QuietHandler, listening

# of the connection, of HTTP or of XML: any request can meet these
PASSING = ("503", "429", "timeout", "reset", "truncated", "malformed", "not_utf8")
# of the protocol: they need a page, the later ones a resumption token in the request
OF_PAGES = ("empty_page", "early_end")
OF_TOKENS = ("same_page", "expired_token", "token_repeats")
KINDS = (*PASSING, *OF_PAGES, *OF_TOKENS)
MAX_IN_A_ROW = 2

_RECORDS = re.compile(rb"<record>.*</record>", re.DOTALL)
_TOKEN = re.compile(rb"(<resumptionToken[^>]*>)([^<]*)(</resumptionToken>)")
_EXPIRED = b"""<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2024-01-01T00:00:00Z</responseDate>
<request>http://127.0.0.1/oai</request><error code="badResumptionToken">The token has expired.</error></OAI-PMH>"""


class FaultProxy:
    """Decides what happens to each request; `counts` are the faults that were made, by kind."""

    def __init__(self, upstream: str, seed: int, rate: float, hold: float, kinds: tuple[str, ...] = KINDS) -> None:
        """Say what to do.

        Args:
            upstream: the URL of the server.
            seed: of the choices.
            rate: how many of the requests meet a fault.
            hold: seconds without an answer that make a timeout.
            kinds: of the faults; each is made once before any is made again.
        """
        self.upstream = upstream
        self.url = ""
        self.counts: Counter[str] = Counter()
        self.num_requests = 0
        self._random = random.Random(seed)
        self._rate = rate
        self._hold = hold
        self._kinds = kinds
        self._deck: list[str] = []
        self._in_a_row = 0
        self._last_page = b""
        self._lock = threading.Lock()

    def answer(self, handler: QuietHandler) -> None:
        """Answer one request, well or not."""
        query = urlsplit(handler.path).query
        with urlopen(f"{self.upstream}?{query}", timeout=30) as response:
            body = response.read()
        token = parse_qs(query).get("resumptionToken", [""])[0]
        with self._lock:
            self.num_requests += 1
            kind = self._draw(token, body)
            shown = self._changed(kind, body, token)
            if kind is None and b"<ListRecords>" in body:
                self._last_page = body
            choice = self._random.random()
        if kind in ("503", "429"):
            soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
            handler.send(int(kind), b"busy", {"Retry-After": soon if choice < 0.2 else "0"})
        elif kind == "timeout":
            time.sleep(self._hold)
            handler.close_connection = True
        elif kind == "reset":
            _reset(handler, body[: len(body) // 2] if choice < 0.5 else b"")
        elif kind == "truncated" and choice < 0.5:
            _reset(handler, shown, len(body), hard=False)
        else:
            handler.send(200, shown)

    def _draw(self, token: str, body: bytes) -> str | None:
        """The kind of fault for this request; None for none."""
        if self._random.random() >= self._rate or self._in_a_row == MAX_IN_A_ROW:
            self._in_a_row = 0
            return None
        if not self._deck:
            self._deck = [*self._kinds]
            self._random.shuffle(self._deck)
        possible = set(PASSING)
        if b"<record>" in body:
            possible |= set(OF_PAGES)
            # without a next page there is no token to repeat
            possible |= set(OF_TOKENS) if token and (self._last_page and _TOKEN.search(body)) else set()
        kind = next((kind for kind in self._deck if kind in possible), None)
        if kind is None:
            return None
        self._deck.remove(kind)
        self._in_a_row += 1
        self.counts[kind] += 1
        return kind

    def _changed(self, kind: str | None, body: bytes, token: str) -> bytes:
        middle = len(body) // 3 + self._random.randrange(1, len(body) // 3)
        match kind:
            case "truncated":
                return body[:middle]
            case "malformed":
                return body[:middle] + b"<" + body[middle:] + b"</>"
            case "not_utf8":
                return body[:middle] + b"\xc3\x28\xff" + body[middle:]
            case "empty_page":
                return (
                    _RECORDS.sub(b"", body) if self._random.random() < 0.5 else _TOKEN.sub(b"", _RECORDS.sub(b"", body))
                )
            case "early_end":
                return _TOKEN.sub(b"", body)
            case "same_page":
                return self._last_page
            case "expired_token":
                return _EXPIRED
            case "token_repeats":
                return _TOKEN.sub(lambda match: match[1] + escape(token).encode() + match[3], body)
        return body


def _reset(handler: QuietHandler, part: bytes, length: int = 10_000_000, *, hard: bool = True) -> None:
    """Send a part of a response and drop the connection; `hard` with a TCP reset, else in the ordinary way."""
    if part:
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(part)
        handler.wfile.flush()
    if hard:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
    handler.close_connection = True


@contextmanager
def faulty(proxy: FaultProxy) -> Iterator[FaultProxy]:
    """Run a proxy on a free port of loopback."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            if self.path == "/faults":
                self.send(200, json.dumps({"faults": proxy.counts, "requests": proxy.num_requests}).encode())
            else:
                proxy.answer(self)

        def finish(self) -> None:
            if self.connection.fileno() >= 0:
                BaseHTTPRequestHandler.finish(self)

    with listening(Handler) as url:
        proxy.url = f"{url}/oai"
        yield proxy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--hold", type=float, default=3.0)
    given = parser.parse_args()
    with faulty(FaultProxy(given.upstream, given.seed, given.rate, given.hold)) as proxy:
        print(proxy.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
