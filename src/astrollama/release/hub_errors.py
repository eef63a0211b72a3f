"""Failures of a hub's client in a line that says what is there and how to go on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from astrollama.errors import AstroLlamaError, InterruptedRunError, NetworkError, UserInputError


@dataclass
class Sent:
    """How far an upload is.

    Attributes:
        names: of the files that were sent, of `num_files`.
        made: the repository was made for it.
        showing: the commit that shows them was asked for.
        shown: the commit is made.
    """

    hub: str
    repo: str
    num_files: int
    names: list[str] = field(default_factory=list)
    made: bool = False
    showing: bool = False
    shown: bool = False


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Without the client's own notices, such as that files are sent as plain HTTP."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of how it calls its own HTTP library
            # the list of training documents is no dataset
            warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def told_in_a_line(sent: Sent) -> Iterator[None]:
    """Turn the client's failures into a line that says what is there and how to go on."""
    from huggingface_hub.errors import HfHubHTTPError

    # Its bases are whatever the hub's HTTP client calls its failures, which differs between versions.
    failures = cast(
        "tuple[type[Exception], ...]", (*HfHubHTTPError.__bases__, HfHubHTTPError, OSError, RuntimeError, ValueError)
    )
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted: {_so_far(sent)}",
            "give the same command again; large files that are there are not sent twice",
        ) from None
    except AstroLlamaError:
        raise
    except failures as error:
        raise _failure(error, sent) from error


def _failure(error: Exception, sent: Sent) -> AstroLlamaError:
    cause: BaseException = error
    while isinstance(cause, RuntimeError) and cause.__cause__ is not None:  # an upload's failure is wrapped
        cause = cause.__cause__
    response = getattr(cause, "response", None)
    status = getattr(response, "status_code", None)
    sent.showing = sent.showing and response is None  # what was answered so was refused
    repo = sent.repo
    if status == 401:
        return UserInputError(f"{sent.hub} does not accept the token", "set HF_TOKEN to a valid one that may write")
    if status == 403:
        return UserInputError(
            f"the token may not write to {repo}", "use a token with write permission, of an account that owns it"
        )
    if status == 404:
        return UserInputError(f"{sent.hub} has no place for {repo}", "check the owner's name and the token")
    if status == 409:
        return UserInputError(f"{repo} was made or changed meanwhile", "look at it, then give the command again")
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    if not sent.names and response is None:
        return NetworkError(f"{sent.hub} cannot be reached ({reason})", "check the network, or HF_ENDPOINT")
    return NetworkError(
        f"the upload to {repo} broke off ({reason}); {_so_far(sent)}",
        "give the same command again; large files that are there are not sent twice",
    )


def _so_far(sent: Sent) -> str:
    if sent.shown:
        return f"{sent.repo} shows all files, but what it lists was not compared with them"
    sent_files = f"{len(sent.names)} of {sent.num_files} files were sent"
    if sent.showing:
        return f"{sent_files}, and {sent.repo} may show all of them or none"
    return f"{sent_files}, and {sent.repo} {'was made and is empty' if sent.made else 'is as it was'}"
