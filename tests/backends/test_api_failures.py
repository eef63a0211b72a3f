from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from astrollama.backends import api_client
from astrollama.backends.costs import CostCeiling
from astrollama.errors import (
    AstroLlamaError,
    ModelError,
    NetworkError,
    UserInputError,
)
from tests.backends.api_calls import DEAR, PROMPT, SECRET, chat_with, generate, kept_files
from tests.backends.openai_server import (
    Act,
    answering,
    breaking_off,
    chat,
    refusing,
    serve,
    sleeping,
)

pytestmark = pytest.mark.usefixtures("own_cache_and_quick_pauses")


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
