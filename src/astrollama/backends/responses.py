"""Answers of APIs on disk: what was paid for once is never asked again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrollama.errors import AstroLlamaError, UserInputError
from astrollama.files import write_json

Json = Any


def responses_folder() -> Path:
    """Where answers lie: `$XDG_CACHE_HOME/astrollama/responses`, or the system's place for caches."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("astrollama")) / "responses"


class ResponseCache:
    """One JSON file a request, `<2 hex>/<SHA-256 of the request>.json`.

    A file holds the `request`, the `response` with its usage and the name of the model that answered, the `date`, and
    what else the caller keeps. A request names the server, the endpoint and every parameter, and never the key. What a
    server answers under the same name with another model behind it is not told apart: delete the folder then.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            UserInputError: nothing can be written there, so nothing should be paid for.
        """
        self._folder = folder
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            raise UserInputError(
                f"answers cannot be kept in {folder}", "set XDG_CACHE_HOME to a folder that can be written to"
            )

    def get(self, request: Mapping[str, Json]) -> dict[str, Json] | None:
        """The record of an answer; None where there is none, or its file is damaged."""
        try:
            record = json.loads(self._path(request).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = isinstance(record, dict) and record.get("request") == request
        return record if whole and isinstance(record.get("response"), dict) else None

    def put(self, request: Mapping[str, Json], response: Mapping[str, Json], **more: Json) -> None:
        """Keep an answer.

        Raises:
            AstroLlamaError: the disk is full, or does not take it.
        """
        path = self._path(request)
        record = {"request": request, "response": response, "date": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            # Several threads answer at once, and the permissions of a file are the process's to set.
            with self._lock:
                path.parent.mkdir(exist_ok=True)
                write_json(path, record | more, shared=True)
        except OSError as error:
            raise AstroLlamaError(
                f"an answer cannot be kept in {path} ({error.strerror})",
                "check the folder, then give the command again",
            ) from error

    def _path(self, request: Mapping[str, Json]) -> Path:
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest}.json"
