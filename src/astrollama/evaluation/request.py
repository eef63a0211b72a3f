"""What an evaluation is asked for, and how a later request adds to what an earlier one left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from astrollama.errors import RunError
from astrollama.evaluation.data import DataFile
from astrollama.files import sha256_file


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, on what.

    Attributes:
        model: anything `load_model` reads; for a run directory the report shows its training too.
        base: None takes the base that the run or the adapter records; an adapter is loaded on it, so it must be its own.
        others: further systems: as for `find_model`; `openai:NAME` for a chat model behind the OpenAI protocol,
            `openai-embeddings:NAME` for one that embeds; `gpt-4` and `gpt-3` are those of the paper.
        questions: files of multiple-choice questions, JSON lines.
        general: a file of general text.
        citations: a file of citations, JSON lines.
        quick: measure as little as answers within minutes.
        given: the settings of `evaluate` that the command itself gives, which stand whatever `quick` asks for.
        remembered: those of `others` that only an earlier request named.
    """

    model: str
    corpus: Path
    tasks: Sequence[str]
    base: str | None = None
    others: Sequence[str] = ()
    questions: tuple[Path, ...] = ()
    general: Path | None = None
    citations: Path | None = None
    quick: bool = False
    given: frozenset[str] = frozenset()
    remembered: frozenset[str] = frozenset()
    kind: Literal["evaluate", "reproduce"] = "evaluate"

    def files(self) -> dict[DataFile, tuple[Path, ...]]:
        """The files given, by kind."""
        return {
            "questions": self.questions,
            "general": (self.general,) if self.general else (),
            "citations": (self.citations,) if self.citations else (),
        }

    def record(self) -> dict[str, Any]:
        """What `added_to` reads again."""
        files = {kind: [str(path.resolve()) for path in paths] for kind, paths in self.files().items()}
        return {"tasks": list(self.tasks), "others": list(self.others), "files": files}


def added_to(earlier: dict[str, Any], request: Request) -> Request:
    """A request with the tasks, the systems and, where it gives none of a kind, the files of a complete earlier one.

    Raises:
        RunError: a file of the earlier one is gone.
    """
    files = {kind: tuple(map(Path, paths)) for kind, paths in earlier["files"].items()}
    for kind, paths in request.files().items():
        files[kind] = paths or files[kind]
        for path in files[kind]:
            if not path.is_file():
                raise RunError(
                    f"{path}, which this evaluation was made with, is gone", "give it again, or another --out"
                )
    return replace(
        request,
        tasks=[*earlier["tasks"], *request.tasks],
        others=list(dict.fromkeys([*earlier["others"], *request.others])),
        remembered=frozenset(earlier["others"]).difference(request.others),
        questions=files["questions"],
        general=next(iter(files["general"]), None),
        citations=next(iter(files["citations"]), None),
    )


def hashes(paths: Sequence[Path]) -> list[str]:
    """The SHA-256 of each file."""
    return [sha256_file(path) for path in paths]
