"""Models behind the OpenAI protocol as the tests ask them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astrollama.backends.costs import CostCeiling
from astrollama.backends.openai_http import (
    OpenAIChat,
    OpenAIEmbeddings,
    open_chat,
    open_embeddings,
)
from astrollama.sections import ApiSection
from tests.backends.openai_server import (
    ApiServer,
)

SECRET = "sk-test-0123456789-secret"


PROMPT = "We present observations of a young cluster."


FREE = (0.0, 0.0)


DEAR = (10.0, 30.0)  # US dollars a million tokens


def settings(server: ApiServer | str, prices: tuple[float, float] = FREE, workers: int = 4) -> ApiSection:
    url = server if isinstance(server, str) else server.url
    return ApiSection(base_url=url, prices={"gpt-x": prices}, workers=workers)


def chat_with(
    server: ApiServer | str, prices: tuple[float, float] = FREE, workers: int = 4, ceiling: CostCeiling | None = None
) -> OpenAIChat:
    return open_chat("gpt-x", settings(server, prices, workers), ceiling or CostCeiling(1.0))


def encoder_of(server: ApiServer, ceiling: CostCeiling | None = None) -> OpenAIEmbeddings:
    return open_embeddings("gpt-x", settings(server, DEAR), ceiling or CostCeiling(1.0))


def generate(
    model: OpenAIChat, *prompts: str, max_new_tokens: int = 20, temperature: float = 0.3, seed: int = 0
) -> Any:
    return model.generate(prompts, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)


def kept_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache/astrollama/responses").glob("??/[!.]*.json"))
