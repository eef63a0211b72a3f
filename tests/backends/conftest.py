"""The tiny LLaMA as a language model, and the same in double precision as a plain calculation takes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from astrollama.backends import api_client
from astrollama.backends.hf import HFLanguageModel
from astrollama.models.load import LoadedModel, load_model
from tests.backends.api_calls import SECRET


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model))


@pytest.fixture(scope="module")
def model(loaded: LoadedModel) -> HFLanguageModel:
    return HFLanguageModel(loaded)


@pytest.fixture(scope="module")
def double(loaded: LoadedModel) -> Any:
    return copy.deepcopy(loaded.model).double()


@pytest.fixture
def own_cache_and_quick_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(api_client, "BACKOFF", 0.01)
