"""The tiny LLaMA as a language model, and the same in double precision as a plain calculation takes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from astrollama.backends.hf import HFLanguageModel
from astrollama.models.load import LoadedModel, load_model


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model))


@pytest.fixture(scope="module")
def model(loaded: LoadedModel) -> HFLanguageModel:
    return HFLanguageModel(loaded)


@pytest.fixture(scope="module")
def double(loaded: LoadedModel) -> Any:
    return copy.deepcopy(loaded.model).double()
