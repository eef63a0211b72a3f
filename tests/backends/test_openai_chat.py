from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astrollama.backends.costs import CostCeiling
from astrollama.backends.openai_http import (
    INSTRUCTION,
)
from astrollama.errors import (
    NetworkError,
)
from tests.backends.api_calls import DEAR, PROMPT, SECRET, chat_with, encoder_of, generate, kept_files
from tests.backends.openai_server import (
    WORD_TOKENS,
    answering,
    chat,
    refusing,
    refusing_parameter,
    serve,
)

pytestmark = pytest.mark.usefixtures("own_cache_and_quick_pauses")


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
