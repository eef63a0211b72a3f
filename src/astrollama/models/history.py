"""What a model was trained on and how: kept beside it wherever it goes, for its run stays behind.

A run tells both itself. A merge, an export and a model that comes with the package carry the list of the training documents
(`documents.parquet`) and the record of the training (`training.json`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from astrollama.errors import RunError
from astrollama.files import copy_file, read_json, write_json
from astrollama.models.registry import TRAIN_STAGE, documents_of, record_folders
from astrollama.provenance import without_places
from astrollama.runs import MANIFEST
from astrollama.tokens.shards import INDEX

TRAINING = "training.json"
_AS_IN_THE_MANIFEST = ("tokens_per_second", "hardware", "recipe", "command", "versions", "finished_at")


class TrainingRecord(BaseModel):
    """How a model was trained.

    Attributes:
        num_tokens: that were trained on.
        seconds: of the steps.
        parameters: of the whole model, its adapter among them.
        alpha: how far from the base to the trained weights the merges since went; 1 where there was none.
        note: of a record that no run wrote: where it comes from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["full", "lora", "qlora"]
    num_tokens: int
    steps: int
    seconds: float
    tokens_per_second: float
    parameters: int
    parameters_trained: int
    hardware: dict[str, Any]
    recipe: dict[str, Any]
    command: list[str]
    versions: dict[str, str | None]
    finished_at: str
    alpha: float = 1.0
    note: str | None = None


def training_of(place: Path) -> TrainingRecord | None:
    """How a model was trained, or None where it does not tell.

    Args:
        place: a run's folder; a model's, which may lie in its run's or merge's; or a GGUF file, beside which its record lies.

    Raises:
        RunError: the record is damaged.
    """
    for folder in record_folders(place):
        manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
        if manifest.get("stage") == TRAIN_STAGE:
            return _record(_facts_of_run(manifest), folder / MANIFEST)
        if (folder / TRAINING).is_file():
            return _record(read_json(folder / TRAINING), folder / TRAINING)
    return None


def keep_history(place: Path, folder: Path, alpha: float = 1.0) -> list[str]:
    """Put what is known of a model's training into the folder of what is made from it; returns the files' names.

    Of absolute paths only the last part is kept: what is made may be published.

    Args:
        place: of the model, as for `training_of`.
        alpha: how far from its base to the model a merge goes.

    Raises:
        RunError: the record of its training is damaged.
    """
    names = []
    documents, training = documents_of(place), training_of(place)
    if documents is not None:  # so that no evaluation takes them for held-out ones
        copy_file(documents, folder / INDEX)
        names.append(INDEX)
    if training is not None:
        record = training.model_copy(update={"alpha": training.alpha * alpha})
        write_json(folder / TRAINING, without_places(record.model_dump(mode="json")))
        names.append(TRAINING)
    return names


def _record(facts: dict[str, Any], path: Path) -> TrainingRecord:
    try:
        return TrainingRecord.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} tells no training ({where}: {first['msg']})", "restore it") from error


def _facts_of_run(manifest: dict[str, Any]) -> dict[str, Any]:
    counts, recipe = manifest.get("counts", {}), manifest.get("recipe", {})
    return {
        "method": recipe.get("train", {}).get("method"),
        "num_tokens": counts.get("tokens"),
        "seconds": manifest.get("train_seconds"),
        **{key: counts.get(key) for key in ("steps", "parameters", "parameters_trained")},
        **{key: manifest.get(key) for key in _AS_IN_THE_MANIFEST},
    }
