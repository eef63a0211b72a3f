"""An evaluation whose continuations can be rated."""

from __future__ import annotations

import json
from pathlib import Path

SYSTEMS = ("adapted", "base")


def make_evaluation(folder: Path, num_prompts: int, says: str = "a continuation", *, ascii_only: bool = True) -> Path:
    """What the task completion leaves of two systems that generate, of one that scores and of one that was only begun."""
    for name in SYSTEMS:
        records = [
            {
                "id": f"2401.{index:05}",
                "title": f"On {index}",
                "prompt": f"The opening of paper {index} measures $H_0$ <b>well</b>.",
                "truth": f"The authors wrote {index}.",
                "texts": [
                    f"{says}, the {'first' if name == 'base' else 'second'} of {index} & <i>more</i>",
                    "a repetition",
                ],
            }
            for index in range(num_prompts)
        ]
        records.append({"id": "2401.99999", "title": "", "prompt": "only", "truth": "scored", "choice": {}})
        _write(folder, name, records, ascii_only)
    _write(folder, "scores-only", [{"id": "2401.00000", "prompt": "p", "truth": "t", "choice": {}}], ascii_only)
    (folder / "measurements" / "begun").mkdir(exist_ok=True)
    return folder


def _write(folder: Path, name: str, records: list[dict[str, object]], ascii_only: bool) -> None:
    path = folder / "measurements" / name / "completion.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=ascii_only) + "\n" for record in records), encoding="utf-8")
