"""Servers on loopback that speak the OpenAI protocol: one of ours that can fail in every way, and `transformers serve`."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.sources.oai_server import QuietHandler, listening

DIMENSIONS = 8
WORD_TOKENS = 2  # what our server counts for a word
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"

Json = dict[str, Any]
Act = Callable[[QuietHandler, Json], object]


class ApiServer:
    """Answers each request with the next act, and after those as the protocol says; `bodies` and `headers` are what came.

    Attributes:
        most_at_once: the highest number of requests under way at one time.
        delay: seconds that a proper answer takes.
    """

    def __init__(self, acts: tuple[Act, ...]) -> None:
        self.acts = [*acts]
        self.url = ""
        self.paths: list[str] = []
        self.bodies: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.delay = 0.0
        self.most_at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()

    def take(self, handler: QuietHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.paths.append(handler.path)
            self.bodies.append(body)
            self.headers.append({name.lower(): text for name, text in handler.headers.items()})
            self.times.append(time.monotonic())
            act = self.acts.pop(0) if self.acts else self._properly
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            act(handler, body)
        finally:
            with self._lock:
                self._under_way -= 1

    def _properly(self, handler: QuietHandler, body: Json) -> None:
        time.sleep(self.delay)
        answer = embeddings(body) if handler.path.endswith("/embeddings") else chat(body)
        handler.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


@contextmanager
def serve(*acts: Act) -> Iterator[ApiServer]:
    server = ApiServer(acts)

    class Handler(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802
            server.take(self)

    with listening(Handler) as url:
        server.url = f"{url}/v1"
        yield server


def chat(body: Json, text: str | None = None) -> Json:
    """An answer that tells apart whatever can be told apart of a request."""
    asked = body["messages"][-1]["content"]
    mark = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
    text = f"and so it goes on, {mark}." if text is None else text
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": WORD_TOKENS * len(asked.split()), "completion_tokens": WORD_TOKENS * len(text.split())}
    return {
        "model": f"{body['model']}-0613",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage | {"total_tokens": sum(usage.values())},
    }


def vector_of(text: str) -> np.ndarray:
    """The vector that our server has for a text: float32 (D,)."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint8)[:DIMENSIONS].astype(np.float32) - 128


def embeddings(body: Json) -> Json:
    """The vectors of all inputs, the last first: their order is told by `index` alone."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {"index": index, "embedding": base64.b64encode(vector_of(text).tobytes()).decode()}
        for index, text in enumerate(texts)
    ]
    num_tokens = sum(WORD_TOKENS * len(text.split()) for text in texts)
    usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
    return {"model": body["model"], "data": data[::-1], "usage": usage}


def answering(answer: Callable[[Json], object]) -> Act:
    """Status 200 with what `answer` makes of the request; bytes go out as they are."""

    def act(handler: QuietHandler, body: Json) -> None:
        value = answer(body)
        handler.send(200, value if isinstance(value, bytes) else json.dumps(value).encode())

    return act


def refusing(status: int, error: object = "no", headers: Mapping[str, str] | None = None) -> Act:
    """A status of 400 and above, with the protocol's `error` object."""
    return lambda handler, _: handler.send(
        status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


def refusing_parameter(name: str) -> Act:
    """What OpenAI says to a parameter that a model does not take."""
    error = {"message": f"Unsupported parameter: '{name}' is not supported with this model.", "param": name}
    return refusing(400, error | {"type": "invalid_request_error", "code": "unsupported_parameter"})


def breaking_off(handler: QuietHandler, _: Json) -> None:
    """Half an answer, and the connection ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def sleeping(seconds: float) -> Act:
    """Nothing for a while; whoever waited is gone by then."""

    def act(handler: QuietHandler, _: Json) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


@contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """`transformers serve` with a model folder, on a free port of loopback; gives its base URL.

    A tokenizer without a chat template gets one that leaves the text as it is.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command += ["--chat-template-kwargs", json.dumps({"chat_template": TEMPLATE})]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(f"the server ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server does not answer: {log.read_text()[-2000:]}")
