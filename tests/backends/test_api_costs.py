from __future__ import annotations

import shlex
import threading
from pathlib import Path

import pytest

from astrollama.backends.api_client import missing_key_reason
from astrollama.backends.costs import KNOWN_PRICES, CostCeiling, Prices, prices_of
from astrollama.backends.openai_http import (
    open_chat,
    open_embeddings,
)
from astrollama.errors import (
    CostCeilingError,
    UserInputError,
)
from astrollama.recipe import load_recipe
from astrollama.sections import ApiSection
from tests.backends.api_calls import DEAR, FREE, PROMPT, SECRET, chat_with, encoder_of, generate, kept_files
from tests.backends.openai_server import (
    WORD_TOKENS,
    answering,
    chat,
    serve,
)

pytestmark = pytest.mark.usefixtures("own_cache_and_quick_pauses")


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
    elsewhere = ApiSection(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(
        UserInputError, match="the price of gpt-4 is known at OpenAI alone, and another server is asked"
    ):
        open_chat("gpt-4", elsewhere, CostCeiling(1.0))
    with pytest.raises(UserInputError, match="the price of gpt-99 is not known, so"):
        open_embeddings("gpt-99", ApiSection(), CostCeiling(1.0))


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4.1", 'own/model:"7b"'])
def test_how_to_tell_a_price_is_told_as_the_shell_takes_it(model: str) -> None:
    elsewhere = ApiSection(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(UserInputError) as caught:
        prices_of(model, elsewhere, openai=False)
    (option,) = shlex.split(caught.value.fix.partition(" --set ")[2].partition(", in US")[0])
    setting = option.replace("READ", "0.5").replace("WRITTEN", "1")
    assert prices_of(model, load_recipe("demo", [setting]).api, openai=False) == Prices(0.5, 1.0)


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
