"""Calls to a server that speaks the OpenAI protocol: a few at once, tried again, within a ceiling of their cost."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from astrollama.backends.costs import CostCeiling, Prices
from astrollama.console import duration, progress, say
from astrollama.errors import ModelError, NetworkError, UserInputError
from astrollama.sections import ApiSection

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, OpenAI
    from tenacity import RetryCallState

OPENAI_URL = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
BASE_URL = "OPENAI_BASE_URL"
TIMEOUT = 300.0  # seconds without a byte; a long answer may take minutes, and comes in one piece
CONNECT_TIMEOUT = 5.0
BACKOFF = 1.0  # seconds: upper bound of the first pause; it doubles with each further one
MAX_BACKOFF = 30.0
MAX_RETRY_AFTER = 120.0
BUSY_ATTEMPTS = 6
LOST_ATTEMPTS = 3
_BUSY = (408, 409, 425, 429)
_NO_KEY = "unneeded"  # the client wants one; a server of one's own asks for none
_TRY_LATER = "check api.base_url, or try again later: what was answered is kept"
_QUOTED = 200  # characters of what a server says that are passed on

Endpoint = Literal["chat/completions", "embeddings"]
Json = Any
T = TypeVar("T")
R = TypeVar("R")


class MalformedAnswerError(Exception):
    """An answer that is not what the protocol promises."""


class RefusedParameterError(NetworkError):
    """The model does not take `parameter`; the caller may do without it."""

    def __init__(self, what: str, fix: str, parameter: str = "") -> None:
        self.parameter = parameter
        super().__init__(what, fix)


class _PassingError(Exception):
    """Something that may be over at the next attempt.

    Attributes:
        attempts: how often it is worth trying, in all.
        retry_after: how long the server asks to wait, in seconds.
    """

    def __init__(self, reason: str, attempts: int, retry_after: float | None = None) -> None:
        self.attempts = attempts
        self.retry_after = retry_after
        super().__init__(reason)


def base_url_of(api: ApiSection) -> str:
    """Where the API is: as set, as in the environment, or OpenAI's own.

    Raises:
        UserInputError: it is no address of a server.
    """
    url = (api.base_url or os.environ.get(BASE_URL, "") or OPENAI_URL).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.split() == [url]
        usable = usable and not (parts.query or parts.fragment or parts.username or parts.password)
    except ValueError:
        usable = False
    if not usable:
        raise UserInputError(
            f"the API's base URL {_without_user(url)!r} cannot be used",
            "give http:// or https://, host and path, and nothing more",
        )
    return url


def missing_key_reason(api: ApiSection) -> str | None:
    """Why nothing can be asked, or None; a server other than OpenAI's may need no key.

    Raises:
        UserInputError: as `base_url_of`.
    """
    if os.environ.get(KEY, "").strip() or base_url_of(api) != OPENAI_URL:
        return None
    return f"no key: set {KEY}"


class ApiClient:
    """Asks one server about one model.

    Attributes:
        url: the server's base URL.
    """

    def __init__(self, model: str, api: ApiSection, prices: Prices, ceiling: CostCeiling) -> None:
        """Read the key from the environment; nothing is asked yet.

        Raises:
            UserInputError: the key is missing, or the key or the base URL cannot be used.
        """
        self.url = base_url_of(api)
        self._model = model
        self._prices = prices
        self._ceiling = ceiling
        self._workers = api.workers
        self._stopping = threading.Event()
        self._key = _read_key(api)
        self._client: OpenAI | None = None

    def together(self, call: Callable[[T], R], items: Sequence[T], description: str) -> list[R]:
        """`call` on each item, a few at once; after a failure nothing new is begun, and what is under way is awaited."""
        from concurrent.futures import ThreadPoolExecutor, as_completed

        if not items:
            return []
        failures: list[Exception] = []

        def guarded(item: T) -> R:
            try:
                return call(item)
            except Exception as error:
                failures.append(error)
                self._stopping.set()
                raise

        self._stopping.clear()
        with (
            self._connected(),
            progress(description, len(items), shown=bool(description)) as bar,
            ThreadPoolExecutor(self._workers) as pool,
        ):
            futures = [pool.submit(guarded, item) for item in items]
            try:
                for count, _ in enumerate(as_completed(futures), start=1):
                    if failures:
                        break
                    bar.update(count, f"${self._ceiling.spent:.2f} spent")
            finally:
                self._stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
        if failures:
            raise failures[0]  # others may have failed because it did
        return [future.result() for future in futures]

    def ask(
        self, endpoint: Endpoint, parameters: Mapping[str, Json], *, max_read: int, max_written: int
    ) -> dict[str, Json]:
        """What the server answers, as JSON.

        Args:
            max_read: upper bound of the tokens that are asked.
            max_written: upper bound of the tokens that are answered.

        Raises:
            CostCeilingError: the call could cost more than is left.
            NetworkError: the server gives no usable answer, however often it is asked.
            RefusedParameterError: the model does not take a parameter.
            ModelError: the server does not know the model.
            UserInputError: the key is wrong, or a text is too long.
        """
        from tenacity import Retrying, retry_if_exception_type, sleep_using_event

        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            stop=self._tried_enough,
            wait=_wait,
            sleep=sleep_using_event(self._stopping),
            before_sleep=self._tell,
            reraise=True,
        )
        bound = self._prices.cost(max_read, max_written)
        try:
            answer: dict[str, Json] = retrying(self._attempt, endpoint, parameters, bound)
        except _PassingError as error:
            raise NetworkError(f"{self.url} gives {self._model} no answer ({error})", _TRY_LATER) from error
        return answer

    def unusable(self, reason: object) -> NetworkError:
        """The error that tells of an answer that came whole and is of no use."""
        return NetworkError(f"{self.url} answers for {self._model} what cannot be used ({reason})", "check the server")

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Connections are kept open within the block."""
        from openai import OpenAI, Timeout

        with OpenAI(
            api_key=self._key or _NO_KEY,
            base_url=self.url,
            timeout=Timeout(TIMEOUT, connect=CONNECT_TIMEOUT),
            max_retries=0,  # each attempt may be billed, so each is admitted by the ceiling
        ) as self._client:
            yield

    def _attempt(self, endpoint: Endpoint, parameters: Mapping[str, Json], bound: float) -> dict[str, Json]:
        from openai import APIConnectionError, APIStatusError

        self._ceiling.reserve(bound)
        cost = 0.0
        try:
            if self._stopping.is_set():
                raise _PassingError("another call has failed", attempts=1)
            response = self._send(endpoint, parameters)
            cost = bound  # until it is known better
            answer = json.loads(response.text)
            if not isinstance(answer, dict):
                raise self.unusable("no JSON object")
            cost = self._cost(endpoint, answer, bound)
        except APIStatusError as error:
            raise self._refusal(error, parameters) from error
        except APIConnectionError as error:
            if not _never_connected(error):
                cost = bound  # the answer is lost, the bill may not be
            raise _lost(error) from error
        except json.JSONDecodeError as error:
            raise self.unusable(f"no JSON: {error}") from error
        finally:
            self._ceiling.settle(bound, cost)
        return answer

    def _tried_enough(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        return self._stopping.is_set() or (isinstance(error, _PassingError) and state.attempt_number >= error.attempts)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        say(f"{self._model}: {error}: attempt {state.attempt_number + 1} in {duration(pause)}")

    def _send(self, endpoint: Endpoint, parameters: Mapping[str, Json]) -> Any:
        assert self._client is not None
        if endpoint == "embeddings":
            return self._client.embeddings.with_raw_response.create(**parameters)
        return self._client.chat.completions.with_raw_response.create(**parameters)

    def _cost(self, endpoint: Endpoint, answer: Mapping[str, Json], bound: float) -> float:
        """What an answer cost, by its usage; a server that does not tell is charged with the bound."""
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        read = usage.get("prompt_tokens")
        written = 0 if endpoint == "embeddings" else usage.get("completion_tokens")
        if isinstance(read, int) and isinstance(written, int) and min(read, written) >= 0:
            return self._prices.cost(read, written)
        return bound

    def _refusal(self, error: APIStatusError, parameters: Mapping[str, Json]) -> Exception:
        """What a status of 400 and above means."""
        status, said = error.status_code, self._said(error)
        told = f"status {status}: {said}" if said else f"status {status}"
        if error.code == "insufficient_quota":
            return NetworkError(
                f"{self.url} refuses ({told})", "the account has no credit left: add some, or use another key"
            )
        if status in _BUSY or status >= 500:
            pause = _retry_after(error.response.headers)
            if pause is not None and pause > MAX_RETRY_AFTER:
                return NetworkError(
                    f"{self.url} asks to wait {duration(min(pause, 1e9))} (status {status})", _TRY_LATER
                )
            return _PassingError(told, BUSY_ATTEMPTS, pause)
        if status == 401:
            return UserInputError(f"{self.url} refuses the key (status 401)", f"set {KEY} to one that it knows")
        if status == 403:
            return UserInputError(f"{self.url} refuses {self._model} ({told})", "check what the key may be used for")
        if status == 404:
            return ModelError(
                f"{self.url} has no {self._model} ({told})",
                "check the name, and the base URL, which mostly ends in /v1",
            )
        refused = _refused_parameter(error, said, parameters)
        if refused:
            return RefusedParameterError(f"{self._model} takes no {refused} ({told})", "choose another model", refused)
        if error.code == "context_length_exceeded" or re.search(r"context|too long|maximum input", said, re.IGNORECASE):
            return UserInputError(
                f"a text is too long for {self._model} ({told})", "shorten it, or ask for fewer tokens"
            )
        return NetworkError(f"{self.url} refuses the request ({told})", "check the model and the base URL")

    def _said(self, error: APIStatusError) -> str:
        """What a server says of its refusal, in a few printable words; some repeat the key."""
        body = error.body
        if isinstance(body, dict):
            body = body.get("message") or body.get("detail") or body.get("error") or ""
        text = str(body or "")
        if self._key:
            text = text.replace(self._key, "***")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _read_key(api: ApiSection) -> str:
    reason = missing_key_reason(api)
    if reason:
        raise UserInputError(f"{OPENAI_URL} cannot be asked", reason)
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserInputError(f"{KEY} holds characters that no key has", "copy the key again")
    return key


def _refused_parameter(error: APIStatusError, said: str, parameters: Mapping[str, Json]) -> str:
    """The parameter that a model says it does not take, or ""."""
    if not re.search(r"unsupported|not support|unrecognized|unknown|unexpected", f"{error.code} {said}", re.IGNORECASE):
        return ""
    if error.param in parameters:
        return str(error.param)
    return next((name for name in parameters if f"'{name}'" in said), "")


def _never_connected(error: APIConnectionError) -> bool:
    import httpx2

    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)


def _lost(error: APIConnectionError) -> _PassingError:
    from openai import APITimeoutError

    if _never_connected(error):
        reason = f"cannot be reached: {error.__cause__}" if str(error.__cause__) else "cannot be reached"
    elif isinstance(error, APITimeoutError):
        reason = f"nothing within {TIMEOUT:g} s"
    else:
        reason = f"the connection broke: {error.__cause__}"
    return _PassingError(reason, LOST_ATTEMPTS)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, which it gives as a number or as a date; None where it says nothing."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except (ValueError, OverflowError, IndexError, TypeError):
            return None
        seconds = (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if isfinite(seconds) else None


def _wait(state: RetryCallState) -> float:
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, _PassingError) else None
    pause: float = wait_random_exponential(multiplier=BACKOFF, max=MAX_BACKOFF)(state)
    return pause if asked is None else asked + pause  # several wait: they should not all come back at once


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)
