"""What the tests of cards share: a tiny model that was trained, evaluated and exported, and a request for its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from astrollama.release.card import CardRequest
from tests.release.trained import report_of, trained


@pytest.fixture(scope="session")
def made(tiny_model: Path, sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tiny_model, sample_corpus, tmp_path_factory.getbasetemp() / "release")


@pytest.fixture
def request_(made: Path, sample_corpus: Path) -> CardRequest:
    return CardRequest(made / "evaluation", sample_corpus, "tiny-astro", "mit", "somebody/tiny-llama", 60.0)


@pytest.fixture
def report(made: Path) -> dict[str, Any]:
    return report_of(made / "evaluation")
