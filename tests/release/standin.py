"""A model hub on loopback that can be written to: the part of the Hugging Face HTTP API that a publication takes.

Repositories, the check of a card's header, large files by Git LFS in one piece or in parts, and commits. Nothing of Xet: a hub
need not know it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_of_the_owner"
READER = "hf_of_a_reader"
OWNER = "owner"
LARGE = (".safetensors", ".gguf", "tokenizer.json")  # what goes to LFS
LICENCES = {"apache-2.0", "mit", "llama2", "llama3"}


@dataclass
class Repository:
    private: bool
    commits: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"* text\n"})
    large: set[str] = field(default_factory=set)


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class WritableHub:
    """The hub.

    Attributes:
        faults: what answers a step instead, by its name, once; it is given the proper way.
        steps: the names of the steps that were asked for, in order.
        part_bytes: large files come in parts of this size; 0: in one piece.
        lies: files that are listed with another hash.
    """

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, Repository] = {}
        self.storage: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.faults: dict[str, Callable[[Callable[[], Answer]], Answer]] = {}
        self.steps: list[str] = []
        self.part_bytes = 0
        self.lies: set[str] = set()
        self.warnings: list[str] = []

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        path = unquote(urlsplit(url).path).strip("/").split("/")
        step, act = self._route(method, path, parse_qs(urlsplit(url).query))
        self.steps.append(step)
        if step in self.faults:
            return self.faults.pop(step)(lambda: act(body))
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if step not in ("validate", "store", "complete") and token not in (TOKEN, READER):
            return Answer(401, {"error": "no"}, {"X-Error-Message": "Invalid credentials in Authorization header"})
        if step in ("create", "preupload", "batch", "commit") and token == READER:
            return Answer(403, {"error": "You have no write permission"})
        return act(body)

    def _route(
        self, method: str, path: list[str], query: dict[str, list[str]]
    ) -> tuple[str, Callable[[bytes], Answer]]:
        repo = "/".join(path[2:4])
        match (method, path):
            case ("GET", ["api", "models", _, _, *_]):
                return "info", lambda _: self._info(repo)
            case ("POST", ["api", "repos", "create"]):
                return "create", self._create
            case ("POST", ["api", "validate-yaml"]):
                return "validate", self._validate
            case ("POST", ["api", "models", _, _, "preupload", "main"]):
                return "preupload", lambda body: self._preupload(repo, json.loads(body))
            case ("POST", ["api", "models", _, _, "commit", "main"]):
                return "commit", lambda body: self._commit(repo, body)
            case ("POST", [_, _, "info", "lfs", "objects", "batch"]):
                return "batch", lambda body: self._batch(json.loads(body))
            case ("PUT", ["storage", oid]):
                return "store", lambda body: self._store(oid, int(query.get("part", ["0"])[0]), body)
            case ("POST", ["storage", oid]):
                return "complete", lambda _: self._complete(oid)
            case ("POST", ["verify"]):
                return "verify", lambda body: self._verify(json.loads(body))
        return "unknown", lambda _: Answer(404, {"error": f"no {method} {path}"})

    def _info(self, repo: str) -> Answer:
        if repo not in self.repositories:
            return Answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        own = self.repositories[repo]
        siblings: list[dict[str, Any]] = []
        for name, data in own.files.items():
            content = b"another" if name in self.lies else data
            sibling: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_oid(content)}
            if name in own.large:
                sibling["lfs"] = {"size": len(data), "sha256": sha256(content), "pointerSize": 130}
            siblings.append(sibling)
        head = own.commits[-1] if own.commits else "0" * 40
        return Answer(200, {"id": repo, "sha": head, "private": own.private, "siblings": siblings})

    def _create(self, body: bytes) -> Answer:
        wanted = json.loads(body)
        owner = wanted["organization"]
        repo = f"{owner}/{wanted['name']}"
        if owner != OWNER:
            return Answer(403, {"error": f"You don't have the rights to create a model under the namespace {owner}"})
        if repo in self.repositories:
            return Answer(409, {"error": "You already created this model repo"})
        self.repositories[repo] = Repository(private=wanted.get("visibility") == "private")
        return Answer(200, {"url": f"{self.url}/{repo}"})

    def _validate(self, body: bytes) -> Answer:
        errors = header_errors(json.loads(body)["content"])
        found = {
            "errors": [{"message": own} for own in errors],
            "warnings": [{"message": own} for own in self.warnings],
        }
        return Answer(400 if errors else 200, found)

    def _preupload(self, repo: str, wanted: dict[str, Any]) -> Answer:
        if repo not in self.repositories:
            return Answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        modes = [
            {
                "path": own["path"],
                "uploadMode": "lfs" if own["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for own in wanted["files"]
        ]
        return Answer(200, {"files": modes})

    def _batch(self, wanted: dict[str, Any]) -> Answer:
        objects: list[dict[str, Any]] = []
        for own in wanted["objects"]:
            described: dict[str, Any] = {"oid": own["oid"], "size": own["size"]}
            if own["oid"] not in self.storage:
                upload: dict[str, Any] = {"href": f"{self.url}/storage/{own['oid']}"}
                if self.part_bytes:
                    count = -(-own["size"] // self.part_bytes)
                    urls = {str(n): f"{upload['href']}?part={n}" for n in range(1, count + 1)}
                    upload["header"] = {"chunk_size": str(self.part_bytes), **urls}
                described["actions"] = {"upload": upload, "verify": {"href": f"{self.url}/verify"}}
            objects.append(described)
        return Answer(200, {"transfer": "multipart" if self.part_bytes else "basic", "objects": objects})

    def _store(self, oid: str, part: int, body: bytes) -> Answer:
        if part:
            self.parts.setdefault(oid, {})[part] = body
        else:
            self.storage[oid] = body
        return Answer(200, None, {"ETag": f'"{sha256(body)}"'})

    def _complete(self, oid: str) -> Answer:
        parts = self.parts.pop(oid)
        self.storage[oid] = b"".join(parts[number] for number in sorted(parts))
        return Answer(200, {"success": True})

    def _verify(self, wanted: dict[str, Any]) -> Answer:
        stored = self.storage.get(wanted["oid"], b"")
        whole = sha256(stored) == wanted["oid"] and len(stored) == wanted["size"]
        return Answer(200 if whole else 422, {"error": "" if whole else "the object is not whole"})

    def _commit(self, repo: str, body: bytes) -> Answer:
        own = self.repositories[repo]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                own.files[value["path"]] = base64.b64decode(value["content"])
                own.large.discard(value["path"])
            elif line["key"] == "lfsFile":
                own.files[value["path"]] = self.storage[value["oid"]]
                own.large.add(value["path"])
        own.commits.append(hashlib.sha1(body).hexdigest())
        return Answer(200, {"commitUrl": f"{self.url}/{repo}/commit/{own.commits[-1]}", "commitOid": own.commits[-1]})


def header_errors(card: str) -> list[str]:
    """What the hub has against a card's header."""
    header = yaml.safe_load(card.split("---\n")[1])
    errors = [] if header.get("license") in LICENCES else [f'"license" must be one of [{", ".join(sorted(LICENCES))}]']
    for model in header.get("model-index", []):
        for result in model["results"]:
            if not {"type"} <= result["task"].keys() or not {"type", "name"} <= result["dataset"].keys():
                errors.append('"model-index" has a result without task type, dataset type or dataset name')
            errors += ['"model-index" has a metric without value' for own in result["metrics"] if "value" not in own]
    return errors


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serve() -> Iterator[WritableHub]:
    """Run the hub on a free port of loopback."""
    hub = WritableHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): text for name, text in self.headers.items()}
            answer = hub.answer(self.command, self.path, headers, body)
            if answer.status == 0:  # hang up
                self.close_connection = True
                return
            data = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, text in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = take

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
