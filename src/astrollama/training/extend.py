"""A longer budget for a run that was begun, or ended, with a shorter one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astrollama.errors import RunError
from astrollama.models.registry import TRAIN_STAGE
from astrollama.runs import MANIFEST, STAGE, locked, read_json, write_json
from astrollama.sections import Budget
from astrollama.training import checkpoint


def extend_budget(out: Path, identity: Mapping[str, Any]) -> None:
    """Make the run in `out` one of `identity`, if nothing but a longer budget sets the two apart.

    The schedule then spans the new budget from where the run stands. Whatever else differs is left for
    `stage_directory` to refuse.

    Raises:
        RunError: the run is complete and kept no checkpoint to go on from.
    """
    record = next((out / name for name in (MANIFEST, STAGE) if (out / name).is_file()), None)
    if record is None:
        return
    found = read_json(record)
    wanted = json.loads(json.dumps(identity))
    if found.get("stage") != TRAIN_STAGE or not _differs_in_length_alone(found["identity"], wanted):
        return
    if not checkpoint.checkpoints(out):
        if record.name == STAGE:
            return
        raise RunError(
            f"{out} is complete after {found['identity']['train']['budget']} and kept no checkpoint",
            "choose another --out; a run with train.keep_checkpoint = true can be gone on with",
        )
    with locked(out):
        write_json(out / STAGE, {"stage": TRAIN_STAGE, "identity": wanted})
        (out / MANIFEST).unlink(missing_ok=True)


def _differs_in_length_alone(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if "train" not in found:
        return False
    before, now = (Budget.parse(identity["train"]["budget"]) for identity in (found, wanted))
    same = found | {"train": found["train"] | {"budget": ""}} == wanted | {"train": wanted["train"] | {"budget": ""}}
    return same and before.unit == now.unit and before.amount < now.amount
