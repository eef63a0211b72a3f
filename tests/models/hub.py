"""A model hub on loopback: the part of the Hugging Face HTTP API that downloading a model takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves folders as model repositories; `requests` are those that came, `lie_about` has wrong hashes."""

    def __init__(self, models: dict[str, Path]) -> None:
        self.models = models
        self.requests: list[str] = []
        self.lie_about: set[str] = set()
        self.url = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        self.requests.append(path)
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            folder = self.models.get("/".join(parts[2:4]))
            if folder is None:
                return 404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}'
            if parts[4:5] == ["tree"]:
                return self._json([self._tree_entry(file) for file in sorted(folder.iterdir())])
            if parts[4:5] == ["revision"] and parts[5] not in ("main", COMMIT):
                return 404, {"X-Error-Code": "RevisionNotFound"}, b'{"error": "Invalid rev id"}'
            siblings = [self._sibling(file) for file in sorted(folder.iterdir())]
            return self._json({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": siblings, "private": False})
        if len(parts) >= 5 and parts[2] == "resolve":
            file = self.models["/".join(parts[:2])] / "/".join(parts[4:])
            if not file.is_file():
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            data = file.read_bytes()
            headers = {
                "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "Accept-Ranges": "bytes",
            }
            return 200, headers, data
        return 404, {}, b""

    def _sibling(self, file: Path) -> dict[str, object]:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if file.name in self.lie_about:
            digest = "0" * 64
        sibling: dict[str, object] = {"rfilename": file.name, "size": file.stat().st_size}
        if file.suffix == ".safetensors":
            sibling["lfs"] = {"size": file.stat().st_size, "sha256": digest, "pointerSize": 100}
        return sibling

    def _tree_entry(self, file: Path) -> dict[str, object]:
        return {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0" * 40}

    @staticmethod
    def _json(value: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


@contextmanager
def serve(models: dict[str, Path]) -> Iterator[Hub]:
    """Run a hub on a free port of loopback."""
    hub = Hub(models)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
