"""The blind page: what its server answers and refuses, and that a person can use it in a real browser."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from astrollama.errors import RunError, UserInputError
from astrollama.evaluation.rating.page import Rating, rating_server
from astrollama.evaluation.rating.raters import VOTES, read_votes
from tests.evaluation.rated import SYSTEMS, make_evaluation

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return make_evaluation(tmp_path / "evaluation", num_prompts=3)


@contextmanager
def served(evaluation: Path, rater: str = "anna") -> Iterator[int]:
    with rating_server(Rating(evaluation, [], rater), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(
    port: int, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, raw, headers or (JSON if raw is not None else {}))
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


def state(port: int) -> dict[str, Any]:
    status, body, _ = ask(port, "GET", "/state")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_nothing_names_a_system_before_all_is_judged(evaluation: Path) -> None:
    with served(evaluation) as port:
        told = [ask(port, "GET", "/")[1]]
        for number in range(3):
            told.append(ask(port, "GET", "/state")[1])
            found = json.loads(told[-1])
            assert (found["done"], found["total"]) == (number, 3)
            status, answer, _ = ask(port, "POST", "/vote", {"id": found["pair"]["id"], "choice": "left"})
            assert status == 200
            told.append(answer)
            assert len(read_votes(evaluation)) == number + 1, "a vote is saved at once"
        for text in told:
            assert not any(name in text for name in (*SYSTEMS, "2401."))
        result = state(port)["result"]
    assert [(row["first"], row["second"]) for row in result] == [SYSTEMS]
    assert result[0]["won"] + result[0]["lost"] == 3


def test_the_authors_text_comes_with_the_answer_only(evaluation: Path) -> None:
    with served(evaluation) as port:
        pair = state(port)["pair"]
        assert "authors" not in json.dumps(pair)
        _, answer, _ = ask(port, "POST", "/vote", {"id": pair["id"], "choice": "equal"})
    assert json.loads(answer)["truth"].startswith("The authors wrote")


def test_one_goes_on_where_one_was_and_others_begin(evaluation: Path) -> None:
    with served(evaluation) as port:
        first = state(port)["pair"]["id"]
        ask(port, "POST", "/vote", {"id": first, "choice": "right"})
        second = state(port)["pair"]
    with served(evaluation) as port:
        assert state(port)["done"] == 1
        assert state(port)["pair"] == second
    with served(evaluation, "ben") as port:
        assert state(port)["done"] == 0


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"id": "0" * 20, "choice": "left"}, JSON, 404),
        ({"id": 3, "choice": "left"}, JSON, 404),
        ({"id": "GOOD", "choice": "upper"}, JSON, 400),
        ({"id": "GOOD", "choice": ["left"]}, JSON, 400),
        ({"id": "GOOD"}, JSON, 400),
        ({"id": "GOOD", "choice": "left", "rater": "ben"}, JSON, 400),
        ([], JSON, 400),
        (b"{", JSON, 400),
        (b"\xff", JSON, 400),
        (b"[" * 4000, JSON, 400),
        (b" " * 5000, JSON, 413),
        ({"id": "GOOD", "choice": "left"}, {"Content-Type": "text/plain"}, 415),
        ({"id": "GOOD", "choice": "left"}, {**JSON, "Host": "evil.example"}, 403),
        ({"id": "GOOD", "choice": "left"}, {**JSON, "Origin": "http://evil.example"}, 403),
    ],
)
def test_bad_votes_are_refused_and_none_is_saved(
    evaluation: Path, body: Any, headers: dict[str, str], status: int
) -> None:
    with served(evaluation) as port:
        if isinstance(body, dict) and body.get("id") == "GOOD":
            body = {**body, "id": state(port)["pair"]["id"]}
        found, answer, _ = ask(port, "POST", "/vote", body, headers)
        assert found == status
        assert json.loads(answer)["error"]
        assert state(port)["done"] == 0
    assert not (evaluation / VOTES).exists()


def test_a_pair_is_judged_once(evaluation: Path) -> None:
    with served(evaluation) as port:
        vote = {"id": state(port)["pair"]["id"], "choice": "left"}
        assert [ask(port, "POST", "/vote", vote)[0] for _ in range(2)] == [200, 409]
    assert len(read_votes(evaluation)) == 1


def test_other_pages_and_other_hosts_are_refused(evaluation: Path) -> None:
    with served(evaluation) as port:
        assert ask(port, "GET", "/votes.jsonl")[0] == 404
        assert ask(port, "GET", "/../../etc/passwd")[0] == 404
        for path in ("/", "/state"):
            assert ask(port, "GET", path, headers={"Host": "evil.example"})[0] == 403
            assert ask(port, "GET", path, headers={"Host": f"localhost:{port}"})[0] == 200
        status, page, headers = ask(port, "GET", "/")
    assert status == 200
    nonce = headers["Content-Security-Policy"].split("'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_vote_that_cannot_be_saved_is_told(evaluation: Path) -> None:
    with served(evaluation) as port:
        (evaluation / VOTES).mkdir()
        status, answer, _ = ask(port, "POST", "/vote", {"id": state(port)["pair"]["id"], "choice": "left"})
        assert status == 500
        assert VOTES in json.loads(answer)["error"]
        assert state(port)["done"] == 0


def test_a_taken_port_is_told(evaluation: Path) -> None:
    with (
        served(evaluation) as port,
        pytest.raises(RunError, match=f"port {port}"),
        rating_server(Rating(evaluation, [], "ben"), port),
    ):
        pass


@pytest.mark.parametrize("rater", ["", "  ", "a\nb", "x" * 65])
def test_a_name_must_be_one(evaluation: Path, rater: str) -> None:
    with pytest.raises(UserInputError, match="no name for a rater"):
        Rating(evaluation, [], rater)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no chromium with its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(flag)
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield found
    found.quit()


def test_a_person_judges_all_pairs_in_a_browser(evaluation: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def shows(text: str) -> None:
        WebDriverWait(browser, 20).until(lambda found: text in found.find_element(By.TAG_NAME, "body").text)

    with served(evaluation) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        shows("0 of 3 judged")
        prompt = browser.find_element(By.ID, "prompt").text
        assert "<b>well</b>" in prompt, "texts are shown as they are"
        assert not any(name in browser.page_source for name in SYSTEMS)
        left = browser.find_element(By.ID, "left").text

        browser.find_element(By.CSS_SELECTOR, "[data-choice=left]").click()
        shows("1 of 3 judged")
        (vote,) = read_votes(evaluation)
        assert ("first" if vote.left == "base" else "second") in left
        assert vote.choice == "left"

        browser.find_element(By.ID, "reveal").click()
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
        shows("The authors wrote")
        assert not any(name in browser.page_source for name in SYSTEMS)
        browser.find_element(By.TAG_NAME, "body").send_keys("b")  # while the truth is read nothing is judged
        assert len(read_votes(evaluation)) == 2
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        shows("2 of 3 judged")

        browser.refresh()
        shows("2 of 3 judged")
        browser.find_element(By.TAG_NAME, "body").send_keys("b")
        shows("All pairs are judged")
        assert [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#result td")][:2] == list(SYSTEMS)
    assert [vote.choice for vote in read_votes(evaluation)] == ["left", "right", "both_bad"]
    assert {vote.rater for vote in read_votes(evaluation)} == {"anna"}
    messages = [entry["message"] for entry in browser.get_log("browser") if "favicon" not in entry["message"]]
    assert messages == []


def test_a_server_that_was_ended_is_told_on_the_page(evaluation: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    code = "import sys, typer; from astrollama.cli.rate import rate; typer.run(rate)"
    process = subprocess.Popen([sys.executable, "-c", code, str(evaluation)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split()[0]
        browser.get(address)
        WebDriverWait(browser, 20).until(lambda found: "0 of 3" in found.page_source)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == "0 of 3 pairs are judged; the same command goes on from here\n"
    finally:
        process.kill()
        process.communicate()
    browser.find_element(By.CSS_SELECTOR, "[data-choice=equal]").click()
    WebDriverWait(browser, 20).until(lambda found: found.find_element(By.ID, "error").is_displayed())
    assert "That did not work" in browser.find_element(By.ID, "error").text
    assert read_votes(evaluation) == []
