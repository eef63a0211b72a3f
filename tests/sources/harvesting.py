"""What the tests of the harvest share: papers, settings without pauses, and looks at what came out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from astrollama.sources.harvest import HarvestSettings
from astrollama.sources.sample import SAMPLE
from tests.sources.oai_server import SET, Comparison, OaiServer, ServedPaper, read_papers

SAME = Comparison([], [], [])
PAPERS = read_papers(SAMPLE, 60)  # the last of 2007-06-09
NEWS = datetime(2007, 6, 20, tzinfo=UTC)


def settings_for(url: str, **changes: Any) -> HarvestSettings:
    return replace(HarvestSettings(SET, url=url, delay=0, timeout=5, backoff=0.001), **changes)


def held_by(server: OaiServer) -> list[ServedPaper]:
    return list(server.repository.papers.values())


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["oai_identifier"]: row for row in pq.read_table(out / "papers.parquet").to_pylist()}


def files_of(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*")}
