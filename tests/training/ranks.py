"""What each rank of a sharded test does: `torchrun … ranks.py JOBS.json` trains what the jobs say, one after the other.

A job is an object with `recipe` (a TOML file), `tokens`, `out`, and optionally `replay` and `stop_at`, a step before which
the run gets SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from astrollama.errors import InterruptedRunError
from astrollama.models.parallel import parallel
from astrollama.recipe import load_recipe
from astrollama.training import loop
from astrollama.training.run import train


def main() -> None:
    with parallel("cpu"):
        for job in json.loads(Path(sys.argv[1]).read_text()):
            _run(**job)


def _run(recipe: str, tokens: str, out: str, replay: str | None = None, stop_at: int | None = None) -> None:
    real = loop.learning_rate
    calls = 0

    def interrupting(*arguments: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            signal.raise_signal(signal.SIGTERM)
        return real(*arguments)

    loop.learning_rate = interrupting
    general = Path(replay) if replay else None
    try:
        train(load_recipe(recipe), Path(tokens), Path(out), resume=True, replay=general)
    except (InterruptedRunError, SystemExit):  # the first rank tells it, the others end
        assert stop_at is not None
    else:
        assert stop_at is None
    finally:
        loop.learning_rate = real


if __name__ == "__main__":
    main()
