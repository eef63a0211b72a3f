"""Models behind the OpenAI protocol: GPT-4 and GPT-3's embeddings as in the AstroLLaMA paper, and any server that speaks it.

What they answer is kept on disk, so that it is paid for once. They do not tell how likely a text is: they cannot score.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.backends.api_client import (
    OPENAI_URL,
    ApiClient,
    Endpoint,
    MalformedAnswerError,
    RefusedParameterError,
    base_url_of,
)
from astrollama.backends.base import LEAST_TEMPERATURE, Ability
from astrollama.backends.costs import CostCeiling, prices_of
from astrollama.backends.responses import ResponseCache, responses_folder
from astrollama.console import warn
from astrollama.errors import UnsupportedError, UserInputError
from astrollama.models.pooling import Pooling
from astrollama.sections import ApiSection

INSTRUCTION_VERSION = 1
INSTRUCTION = (
    "Here is how the abstract of an astronomy paper begins. Continue it from where it stops, in one paragraph. "
    "Answer with the continuation only: no heading, no comment, and nothing of what is given."
)
TEXTS_A_CALL = 64
BYTES_A_CALL = 200_000  # OpenAI takes 300,000 tokens a call, and a token has at least a byte
_FRAME_TOKENS = 64  # more than the protocol's own marks around a message take
_DISPENSABLE = ("max_tokens", "temperature", "top_p", "seed")

Json = Any


def open_chat(model: str, api: ApiSection, ceiling: CostCeiling) -> OpenAIChat:
    """A chat model; nothing is asked before it generates.

    Args:
        ceiling: of the cost of all that is asked in this run, whichever model is asked.

    Raises:
        UserInputError: the key or a price is missing, or the key, the base URL or the cache cannot be used.
    """
    return OpenAIChat(model, _client_of(model, api, ceiling), ResponseCache(responses_folder()))


def open_embeddings(model: str, api: ApiSection, ceiling: CostCeiling) -> OpenAIEmbeddings:
    """A model of embeddings; as `open_chat`."""
    return OpenAIEmbeddings(model, _client_of(model, api, ceiling), ResponseCache(responses_folder()), api.workers)


class OpenAIChat:
    """A chat model as a `Generator`: it is told to continue an abstract in one paragraph (`INSTRUCTION`).

    Attributes:
        refused: parameters that the model does not take, so that its own defaults stand: of `temperature`, `top_p`, `seed`.
        versions: the names under which it answered, such as `gpt-4-0613` for `gpt-4`.
    """

    def __init__(self, model: str, client: ApiClient, cache: ResponseCache) -> None:
        self.name = model
        self.digest: str | None = None
        self.abilities: frozenset[Ability] = frozenset({"generate"})
        self.refused: set[str] = set()
        self.versions: set[str] = set()
        self._client = client
        self._cache = cache
        self._lock = threading.Lock()

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        """As the contract says, as far as a server can keep it.

        An answer that begins with the prompt has it taken off; the rest begins with the space that divides it from the
        prompt, as a local model's does. The same prompt given several times is asked with as many seeds.

        Raises:
            NetworkError: a call fails, also after further attempts.
            CostCeilingError: the next call could cost too much. What was answered before either is kept.
        """
        seen: Counter[str] = Counter()
        requests = []
        for prompt in prompts:
            requests.append(self._request(prompt, max_new_tokens, temperature, _seed_of(seed, seen[prompt])))
            seen[prompt] += 1
        answers = [self._kept(request) for request in requests]
        missing = [index for index, answer in enumerate(answers) if answer is None]
        new = self._client.together(lambda index: self._ask(requests[index]), missing, f"asking {self.name}")
        texts = dict(zip(missing, new, strict=True))
        return [
            _continuation(prompt, texts[index] if answer is None else answer)
            for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        ]

    def _request(self, prompt: str, max_new_tokens: int, temperature: float, seed: int) -> dict[str, Json]:
        parameters = {
            "model": self.name,
            "messages": [{"role": "user", "content": f"{INSTRUCTION}\n\n{prompt}"}],
            "max_tokens": max_new_tokens,
            "temperature": 0.0 if temperature < LEAST_TEMPERATURE else temperature,
            "top_p": 1.0,
            "seed": seed,
        }
        return _request(self._client, "chat/completions", parameters)

    def _kept(self, request: Mapping[str, Json]) -> str | None:
        """What was answered before."""
        record = self._cache.get(request)
        if record is None:
            return None
        try:
            text = self._read(record["response"])
        except MalformedAnswerError:
            return None
        for parameter in record.get("refused", []):
            self._do_without(parameter)
        return text

    def _ask(self, request: Mapping[str, Json]) -> str:
        parameters = request["parameters"]
        content = parameters["messages"][0]["content"]
        while True:
            refused = sorted(self.refused)
            try:
                answer = self._client.ask(
                    "chat/completions",
                    _without(parameters, refused),
                    max_read=len(content.encode()) + _FRAME_TOKENS,
                    max_written=parameters["max_tokens"],
                )
            except RefusedParameterError as error:
                if error.parameter not in _DISPENSABLE:
                    raise
                self._do_without(error.parameter)
            else:
                break
        try:
            text = self._read(answer)
        except MalformedAnswerError as error:
            raise self._client.unusable(error) from error
        self._cache.put(request, answer, refused=refused)
        return text

    def _do_without(self, parameter: str) -> None:
        with self._lock:
            if parameter not in self.refused and parameter != "max_tokens":
                warn(f"{self.name} takes no {parameter}: its own default stands")
            self.refused.add(parameter)

    def _read(self, answer: Mapping[str, Json]) -> str:
        text = _text_of(answer)
        self.versions.add(str(answer.get("model") or self.name))
        return text


class OpenAIEmbeddings:
    """A model of embeddings as an `Encoder`; how it pools is its own affair.

    Attributes:
        texts_at_once: how many texts keep all workers busy: fewer leave calls unmade that could be under way.
        versions: as for `OpenAIChat`.
    """

    def __init__(self, model: str, client: ApiClient, cache: ResponseCache, workers: int) -> None:
        self.name = model
        self.digest: str | None = None
        self.abilities: frozenset[Ability] = frozenset({"embed"})
        self.texts_at_once = TEXTS_A_CALL * workers
        self.versions: set[str] = set()
        self._client = client
        self._cache = cache

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        """As the contract says. A text is kept as if it had been asked alone: what it is sent with does not matter.

        Raises:
            UnsupportedError: `pooling` is not `mean`.
            UserInputError: a text is empty, which no API embeds, or is too long.
            NetworkError: a call fails, also after further attempts.
            CostCeilingError: the next call could cost too much. What was answered before either is kept.
        """
        if pooling != "mean":
            raise UnsupportedError(
                f"{self.name} cannot pool by {pooling!r}", "an API pools in its own way: ask for 'mean'"
            )
        if not all(text.strip() for text in texts):
            raise UserInputError(f"a text for {self.name} is empty", "leave it out: an API embeds no empty text")
        vectors = {text: self._kept(text) for text in texts}
        missing = [text for text, vector_D in vectors.items() if vector_D is None]
        batches = _batches(missing)
        for batch, vectors_ND in zip(batches, self._client.together(self._ask, batches, ""), strict=True):
            vectors |= zip(batch, vectors_ND, strict=True)
        found = [vectors[text] for text in texts]
        if len({vector_D.size for vector_D in found if vector_D is not None}) > 1:
            raise self._client.unusable("vectors of different lengths, now or earlier")
        return np.array(found, dtype=np.float32) if found else np.empty((0, 0), np.float32)

    def _kept(self, text: str) -> np.ndarray | None:
        """The vector that came before."""
        record = self._cache.get(self._request(text))
        if record is None:
            return None
        try:
            vectors_ND = self._read(record["response"], 1)
        except MalformedAnswerError:
            return None
        vector_D: np.ndarray = vectors_ND[0]
        return vector_D

    def _request(self, text: str | Sequence[str]) -> dict[str, Json]:
        # Base64 is exact and short, and what the official client asks for.
        parameters = {"model": self.name, "input": text, "encoding_format": "base64"}
        return _request(self._client, "embeddings", parameters)

    def _ask(self, texts: Sequence[str]) -> np.ndarray:
        max_read = sum(len(text.encode()) + _FRAME_TOKENS for text in texts)
        answer = self._client.ask("embeddings", self._request(texts)["parameters"], max_read=max_read, max_written=0)
        try:
            vectors_ND = self._read(answer, len(texts))
        except MalformedAnswerError as error:
            raise self._client.unusable(error) from error
        call = {"num_texts": len(texts), "usage": answer.get("usage")}
        for text, vector_D in zip(texts, vectors_ND, strict=True):
            embedding = base64.b64encode(vector_D.tobytes()).decode()
            response = {"model": answer.get("model"), "data": [{"index": 0, "embedding": embedding}]}
            self._cache.put(self._request(text), response, call=call)
        return vectors_ND

    def _read(self, answer: Mapping[str, Json], num_texts: int) -> np.ndarray:
        vectors_ND = _vectors_of(answer, num_texts)
        self.versions.add(str(answer.get("model") or self.name))
        return vectors_ND


def _client_of(model: str, api: ApiSection, ceiling: CostCeiling) -> ApiClient:
    return ApiClient(model, api, prices_of(model, api, openai=base_url_of(api) == OPENAI_URL), ceiling)


def _request(client: ApiClient, endpoint: Endpoint, parameters: Mapping[str, Json]) -> dict[str, Json]:
    """What an answer is kept under: all that decides it."""
    return {"base_url": client.url, "endpoint": endpoint, "parameters": parameters}


def _without(parameters: Mapping[str, Json], refused: Sequence[str]) -> dict[str, Json]:
    """Parameters as a model takes them.

    `max_tokens` is the older name, which every server heeds; the newer, `max_completion_tokens`, some pass over in
    silence and write on. The models that want the newer refuse the older in plain words.
    """
    sent = {name: value for name, value in parameters.items() if name not in refused}
    return sent if "max_tokens" in sent else sent | {"max_completion_tokens": parameters["max_tokens"]}


def _seed_of(seed: int, repeat: int) -> int:
    """A seed for the `repeat`-th time that a prompt is asked, of 31 bits, which every server takes."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0]) >> 1


def _text_of(answer: Mapping[str, Json]) -> str:
    try:
        choice = answer["choices"][0]
        text = choice["message"].get("content")
        why = choice["message"].get("refusal") or choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise MalformedAnswerError("no choices") from None
    if isinstance(text, str) and (text or why == "stop"):
        return text  # a model may end an abstract where the prompt ends
    hint = ": hidden reasoning used up max_new_tokens" if why == "length" else ""
    raise MalformedAnswerError(f"no text, finish_reason {why!r}{hint}")


def _continuation(prompt: str, answer: str) -> str:
    """The answer without the prompt, should it begin with it; how words are divided does not matter."""
    text = answer.strip()
    repeated = re.match(r"\s+".join(map(re.escape, prompt.split())) + r"(?!\w)", text)
    rest = text[repeated.end() :].lstrip() if repeated else text
    return rest if not rest or not prompt or prompt[-1].isspace() else f" {rest}"


def _batches(texts: Sequence[str]) -> list[list[str]]:
    """Texts in groups that one call takes; a longer text stands alone."""
    groups: list[list[str]] = []
    room = 0
    for text in texts:
        size = len(text.encode())
        if not groups or size > room or len(groups[-1]) == TEXTS_A_CALL:
            groups.append([])
            room = BYTES_A_CALL
        groups[-1].append(text)
        room -= size
    return groups


def _vectors_of(answer: Mapping[str, Json], num_texts: int) -> np.ndarray:
    """The vectors of an answer, float32 (N, D), in the order of the texts."""
    try:
        vectors = {item["index"]: _vector(item["embedding"]) for item in answer["data"]}
        num_vectors = len(answer["data"])
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise MalformedAnswerError("data without index, or no vectors") from None
    if num_vectors != num_texts or sorted(vectors) != list(range(num_texts)):
        raise MalformedAnswerError(f"{num_vectors} vectors for {num_texts} texts")
    sizes = {vector_D.size for vector_D in vectors.values()}
    if len(sizes) > 1 or 0 in sizes or not all(np.isfinite(vector_D).all() for vector_D in vectors.values()):
        raise MalformedAnswerError("vectors that are empty, of different lengths, or not finite")
    return np.stack([vectors[index] for index in range(num_texts)])


def _vector(embedding: Json) -> np.ndarray:
    """A vector in base64, or as the list of numbers that some servers send all the same."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    vector_D = np.array(embedding, dtype=np.float32)
    if vector_D.ndim != 1:
        raise ValueError("no vector")
    return vector_D
