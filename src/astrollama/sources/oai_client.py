"""A polite OAI-PMH client: one request at a time, a pause between two, and patience with a server in trouble.

What a server or the network can do wrong for a while (503, 429, a timeout, a reset, XML that is cut off) is tried again
with growing pauses; `Retry-After` is obeyed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from astrollama import __version__
from astrollama.console import duration, say
from astrollama.errors import NetworkError, UserInputError
from astrollama.sources.oai_records import Identity, MalformedAnswerError, OaiError, Page, parse_identity, parse_page

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

MAX_ATTEMPTS = 8
MAX_BYTES = 64 * 2**20  # of one answer, unpacked; arXiv's pages have a few MB
MAX_REDIRECTS = 5
MAX_BACKOFF = 120.0
MAX_RETRY_AFTER = 3600.0
WHOLE_ANSWER = 10  # an answer may take as many times the timeout between two of its bytes
_TRY_LATER = "give the same command again later: it goes on from where it was"
_BUSY = (408, 425, 429)

T = TypeVar("T")


class _PassingError(Exception):
    """Something that may be over at the next attempt; `retry_after` is how long the server asks to wait, in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class OaiClient:
    """Asks one OAI-PMH server, for as long as the `with` block lasts.

    Attributes:
        num_requests: how many requests were sent.
    """

    def __init__(self, url: str, *, contact: str, delay: float, timeout: float, backoff: float) -> None:
        """Say where and how to ask.

        Args:
            url: the server's base URL.
            contact: a mail address or a page for the server's keepers, "" to give none.
            delay: seconds between the end of an answer and the next request, at least.
            timeout: seconds to wait for a connection, and for each next piece of an answer.
            backoff: upper bound of the first pause after a failure, in seconds; it doubles with each further one.

        Raises:
            UserInputError: the URL or the contact cannot be used.
        """
        _check_url(url)
        self.num_requests = 0
        self._url = url
        self._delay = delay
        self._timeout = timeout
        self._backoff = backoff
        self._earliest = time.monotonic()
        self._http = _http_client(contact, timeout)

    def __enter__(self) -> OaiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def identify(self) -> Identity:
        """What the server says of itself.

        Raises:
            NetworkError: it gives no usable answer, however often it is asked.
        """
        try:
            return self._ask({"verb": "Identify"}, parse_identity)
        except OaiError as error:
            raise NetworkError(f"{self._url} does not identify itself ({error})", "check --url") from error

    def list_records(self, arguments: Mapping[str, str]) -> Page:
        """One page of ListRecords.

        Args:
            arguments: of the protocol: `metadataPrefix`, `set`, `from`, `until`, or `resumptionToken` alone.

        Raises:
            OaiError: the server's own error, such as `badResumptionToken`.
            NetworkError: it gives no usable answer, however often it is asked.
        """
        return self._ask({"verb": "ListRecords", **arguments}, parse_page)

    def pause(self, attempt: int) -> None:
        """Wait as after the failure number `attempt`, from 1, of one request."""
        from tenacity import RetryCallState, Retrying

        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = attempt
        time.sleep(self._random_wait(state))

    def _ask(self, arguments: Mapping[str, str], parse: Callable[[bytes], T]) -> T:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            wait=self._wait,
            before_sleep=_tell,
            reraise=True,
        )
        try:
            answer: T = retrying(self._attempt, arguments, parse)
        except _PassingError as error:
            raise NetworkError(f"{self._url} failed {MAX_ATTEMPTS} times, at last with: {error}", _TRY_LATER) from error
        return answer

    def _attempt(self, arguments: Mapping[str, str], parse: Callable[[bytes], T]) -> T:
        import httpx

        time.sleep(max(0.0, self._earliest - time.monotonic()))
        self.num_requests += 1
        try:
            with self._http.stream("GET", self._url, params=dict(arguments)) as response:
                body = self._read(response)
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol) as error:
            raise NetworkError(f"{self._url} redirects where no harvest follows ({error})", "check --url") from error
        except httpx.TimeoutException as error:
            raise _PassingError(f"no answer within {self._timeout:g} s ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise _PassingError(f"no whole answer ({error or type(error).__name__})") from error
        finally:
            self._earliest = time.monotonic() + self._delay
        status = response.status_code
        if status in _BUSY or status >= 500:
            raise _PassingError(f"status {status}", self._retry_after(response))
        try:
            return parse(body)  # some servers send the protocol's errors with a status of 4xx
        except MalformedAnswerError as error:
            if status == 200:
                raise _PassingError(str(error)) from error
            raise NetworkError(f"{self._url} answers with status {status}", "check --url, or " + _TRY_LATER) from error

    def _read(self, response: httpx.Response) -> bytes:
        """The body, unless it is too long or takes too long."""
        deadline = time.monotonic() + WHOLE_ANSWER * self._timeout
        pieces, size = [], 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > MAX_BYTES:
                raise NetworkError(
                    f"{self._url} sends an answer of more than {MAX_BYTES // 2**20} MiB", "check --url: that is no page"
                )
            if time.monotonic() > deadline:
                raise _PassingError(f"an answer not whole after {WHOLE_ANSWER * self._timeout:g} s")
            pieces.append(piece)
        return b"".join(pieces)

    def _retry_after(self, response: httpx.Response) -> float | None:
        """The seconds that `Retry-After` asks for, which it gives as a number or as a date; None where it says nothing.

        Raises:
            NetworkError: it asks for more than an hour.
        """
        value = response.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdigit():
            seconds = float(value)
        else:
            try:
                then = parsedate_to_datetime(value)
            except (ValueError, OverflowError, IndexError, TypeError):
                return None
            seconds = max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
        if seconds > MAX_RETRY_AFTER:
            raise NetworkError(
                f"{self._url} answers with status {response.status_code} and asks to wait {_span(seconds)}",
                f"give the same command again after that: a harvest itself waits up to {_span(MAX_RETRY_AFTER)}",
            )
        return seconds

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, _PassingError) else None
        return self._random_wait(state) if asked is None else asked

    def _random_wait(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        return wait_random_exponential(multiplier=self._backoff, max=MAX_BACKOFF)(state)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    say(f"{error}: attempt {state.attempt_number + 1} of {MAX_ATTEMPTS} in {_span(pause)}")


def _span(seconds: float) -> str:
    return duration(min(seconds, 1e9))  # a server can ask for any number


def _http_client(contact: str, timeout: float) -> httpx.Client:
    import httpx

    agent = f"astrollama/{__version__}"
    if contact:
        if not contact.isascii() or not contact.isprintable() or any(mark in contact for mark in " ()"):
            raise UserInputError(f"the contact {contact!r} cannot be sent", "give a mail address or the URL of a page")
        agent += f" ({contact})"
    return httpx.Client(
        headers={"User-Agent": agent, "Accept": "text/xml, application/xml", "Accept-Encoding": "gzip"},
        timeout=timeout,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
    )


def _check_url(url: str) -> None:
    import httpx

    try:
        parts = httpx.URL(url)
        usable = parts.scheme in ("http", "https") and bool(parts.host) and url.split() == [url]
        usable = usable and not (parts.query or parts.fragment or parts.userinfo)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise UserInputError(
            f"{url!r} is no address of an OAI-PMH server", "give http:// or https://, host and path, and nothing more"
        )
