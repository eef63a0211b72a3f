"""What is known of the model that an evaluation is about: its run, its base, and the documents that it was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.files import read_json
from astrollama.models.folder import BASE_RECORD, read_base_record
from astrollama.models.history import TrainingRecord, training_of
from astrollama.models.registry import MERGE_STAGE, TRAIN_STAGE, documents_of, local_folder
from astrollama.records import paper_and_version
from astrollama.runs import MANIFEST


@dataclass(frozen=True)
class Subject:
    """The model that is evaluated.

    Attributes:
        name: of its recipe, or of its folder.
        base: what it was made from, as it was recorded.
        training: how it was trained, or None where that is not known.
        metrics: the steps of the run that it is, one record each; empty of what was made from a run.
        trained_on: a Parquet file with `id` and `content_hash` of each training document, or None where it is not known.
    """

    name: str
    base: str | None
    training: TrainingRecord | None
    metrics: list[dict[str, Any]]
    trained_on: Path | None

    def summary(self) -> dict[str, Any] | None:
        """What the report tells of the training, or None."""
        if self.training is None:
            return None
        told = self.training.model_dump(mode="json", exclude={"recipe"})
        return told | {"final_loss": self.metrics[-1]["loss"] if self.metrics else None}

    def documents(self, train: Path) -> dict[str, int] | None:
        """How many documents it was trained on, and how many of them are in the training part of a corpus, the file `train`.

        Documents of one content count once. None where no list of them is with the model.
        """
        if self.trained_on is None:
            return None
        trained, of_corpus = (set(_trained(path)["content_hash"]) for path in (self.trained_on, train))
        return {
            "num_documents": len(trained),
            "num_of_corpus": len(trained & of_corpus),
            "num_in_corpus": len(of_corpus),
        }

    def trained_papers(self) -> frozenset[str]:
        """The identifiers of the papers that it was trained on, without version; empty where they are not known."""
        if self.trained_on is None:
            return frozenset()
        return frozenset(paper_and_version(own)[0] for own in _trained(self.trained_on)["id"])


def describe_subject(model: str) -> Subject:
    """What can be known of a model: of a run all; of what was made from one, how and on what it was trained, and its base."""
    path = local_folder(model)
    trained_on = documents_of(path)
    home = path if trained_on is None else trained_on.parent  # a run's own weights, `run/model`, know their run too
    manifest = read_json(home / MANIFEST) if (home / MANIFEST).is_file() else {}
    stage = manifest.get("stage")
    if stage == TRAIN_STAGE:
        steps = _steps(home / "metrics.jsonl")
        return Subject(manifest["recipe"]["name"], str(manifest["base"]["name"]), training_of(home), steps, trained_on)
    base = str(manifest["base"]["name"]) if stage == MERGE_STAGE else None
    if base is None and (path / BASE_RECORD).is_file():
        base = read_base_record(path).name
    return Subject(path.name or model, base, training_of(path), [], trained_on)


def require_unseen(test: Path, model: str) -> None:
    """Refuse held-out documents that a model was trained on, as far as that is known.

    Raises:
        RunError: there are some.
    """
    trained_on = describe_subject(model).trained_on
    if trained_on is None:
        return
    trained = _trained(trained_on)
    papers, hashes = {paper_and_version(own)[0] for own in trained["id"]}, set(trained["content_hash"])
    seen = [
        document.id
        for document in read_documents(test)
        if paper_and_version(document.id)[0] in papers or document.content_hash in hashes
    ]
    if seen:
        raise RunError(
            f"{model} was trained on {len(seen)} of the documents that {test.parent} holds out (such as {seen[0]})",
            "evaluate on the corpus that it was trained from",
        )


def _steps(path: Path) -> list[dict[str, Any]]:
    """The records of a run's steps.

    Raises:
        RunError: the file is missing, empty or damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        steps = [record for record in map(json.loads, lines) if "loss" in record]
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error})", "evaluate the folder of its model instead") from error
    if not steps:
        raise RunError(f"{path} holds no step", "evaluate the folder of its model instead")
    return steps


def _trained(path: Path) -> dict[str, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns: dict[str, list[str]] = pq.read_table(path, columns=["id", "content_hash"]).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            f"{path} cannot be read ({error})", "it tells what a model was trained on: restore it"
        ) from error
    return columns
