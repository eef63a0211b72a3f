"""A longer budget for a run that was begun, or ended, with a shorter one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astrollama.errors import RunError, TrainingError
from astrollama.files import read_json, write_json
from astrollama.models.registry import TRAIN_STAGE
from astrollama.runs import MANIFEST, STAGE, locked
from astrollama.sections import Budget
from astrollama.training import checkpoint


def extends(out: Path, identity: Mapping[str, Any]) -> bool:
    """Whether nothing but a longer budget sets `identity` apart from the run in `out`."""
    record = _record(out)
    if record is None:
        return False
    found = read_json(record)
    return found.get("stage") == TRAIN_STAGE and _differs_in_length_alone(found.get("identity", {}), identity)


def extend_budget(out: Path, identity: Mapping[str, Any]) -> None:
    """Make the run in `out` one of `identity`, if that extends it.

    The schedule then spans the new budget from where the run stands. Whatever else differs is left for
    `stage_directory` to refuse.

    Raises:
        RunError: the run is complete and has no whole checkpoint to go on from, or was stopped by validation.
    """
    record = _record(out)
    if record is None or not extends(out, identity):
        _refuse_other_budget(out, record, identity)
        return
    found = read_json(record)["identity"]
    if record.name == MANIFEST:
        try:
            _, position = checkpoint.newest_checkpoint(out)
        except TrainingError:
            raise RunError(
                f"{out} is complete after {found['train']['budget']} and has no checkpoint to go on from",
                "choose another --out; a run with train.keep_checkpoint = true can be gone on with",
            ) from None
        if 0 < found["validation"]["patience"] <= position.num_validations_since_best:
            raise RunError(
                f"{out} was stopped by validation after step {position.step}, not by its budget",
                "choose another --out, with a higher validation.patience",
            )
    with locked(out):
        write_json(out / STAGE, {"stage": TRAIN_STAGE, "identity": dict(identity)})
        (out / MANIFEST).unlink(missing_ok=True)


def _refuse_other_budget(out: Path, record: Path | None, identity: Mapping[str, Any]) -> None:
    found = {} if record is None else read_json(record).get("identity", {})
    if found and _differs_in_budget_alone(found, identity):
        raise RunError(
            f"{out} was begun with train.budget = {found['train']['budget']!r}, which cannot become {identity['train']['budget']!r}",
            "a budget may only become longer, in the same unit: give the one that it was begun with, or choose another --out",
        )


def _record(out: Path) -> Path | None:
    return next((out / name for name in (MANIFEST, STAGE) if (out / name).is_file()), None)


def _differs_in_length_alone(found: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    if not _differs_in_budget_alone(found, identity):
        return False
    before, now = (Budget.parse(one["train"]["budget"]) for one in (found, identity))
    return before.unit == now.unit and before.amount < now.amount


def _differs_in_budget_alone(found: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    wanted = json.loads(json.dumps(identity))
    if "train" not in found or found["train"]["budget"] == wanted["train"]["budget"]:
        return False
    without = [{**one, "train": one["train"] | {"budget": ""}} for one in (found, wanted)]
    return bool(without[0] == without[1])
