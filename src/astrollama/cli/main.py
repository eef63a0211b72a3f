"""`astrollama`: the commands, and the one place where errors become a line and an exit code.

Exit codes: 0 done, 1 failed, 2 the user's input, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from astrollama import __version__
from astrollama.cli import (
    card,
    classify,
    complete,
    corpus,
    demo,
    embed,
    evaluate,
    export,
    model,
    pack,
    plan,
    publish,
    rate,
    results,
    train,
)
from astrollama.console import speaks
from astrollama.errors import AstroLlamaError, UserInputError

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.add_typer(model.app, name="model")
app.add_typer(corpus.app, name="corpus")
app.command()(pack.pack)
app.command()(plan.plan)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(evaluate.reproduce)
app.command()(rate.rate)
app.command()(complete.complete)
app.command()(classify.classify)
app.command()(embed.embed)
app.command()(results.results)
app.command()(export.export)
app.command()(card.card)
app.command()(publish.publish)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astrollama {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; stands anywhere.")] = False,
) -> None:
    """Turn a general LLaMA model into an astronomy language model, and prove what changed.

    The whole path at once: astrollama demo. Stage by stage: corpus import, pack, train, evaluate.
    """


def main() -> None:
    """The entry point of the command `astrollama`; SIGTERM, a scheduler's wish, is to it what Ctrl-C is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    # Both are read when a library is first loaded. The screen is ours, so tqdm, which libraries draw bars with, is silent;
    # and threads that wait give their core away, else two busy programs on two cores wait for each other (docs/benchmarks.md).
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in arguments
    try:
        return _execute([argument for argument in arguments if argument != "--debug"])
    except BaseException as error:  # noqa: BLE001
        code = _explain(error)
        if debug:
            import traceback

            traceback.print_exc()
        return code


def _execute(arguments: Sequence[str]) -> int:
    result = app(args=list(arguments), prog_name="astrollama", standalone_mode=False)
    if result == INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _explain(error: BaseException) -> int:
    """Say in one line what went wrong; returns the exit code that it has."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _print_error("interrupted: nothing was left half-written; give the same command again")
        return INTERRUPTED
    if isinstance(error, TyperException):
        return _print_usage_error(error)
    if isinstance(error, AstroLlamaError):
        if speaks() or not isinstance(error, UserInputError):  # what the user gave befalls all ranks alike
            _print_error(str(error))
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has stopped: nothing to say, and nothing more to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if _is_out_of_memory(error):
        _print_error("out of memory: lower train.micro_batch_size or pack.sequence_length, or close other programs")
        return 1
    if "Connection closed by peer" in str(error) or type(error).__name__ == "DistBackendError":
        _print_error("another process of this run has ended: see its message")
        return 1
    if isinstance(error, Exception):
        _print_error(_unexpected(error))
        return 1
    raise error


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's, torch's on a GPU, or torch's on the CPU, which is a plain RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _print_usage_error(error: TyperException) -> int:
    """A mistake in the command itself; `astrollama` alone and `astrollama corpus` alone print their help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2
    describe = getattr(error, "format_message", error.__str__)
    message = _with_value(" ".join(describe().split()).rstrip("."), error)
    end = "" if message.endswith("?") else ":"  # of "Did you mean …?"
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "astrollama"
    _print_error(f"{message}{end} see {command} --help")
    return int(getattr(error, "exit_code", 2))


def _with_value(message: str, error: TyperException) -> str:
    """The message with the value given in the place of pydantic's “Input”, where that found the mistake."""
    found = getattr(error.__cause__, "errors", None)
    (first, *_) = found() if found is not None else [{}]
    message = message.replace(": Value error, ", ": ", 1)
    return message.replace(": Input should ", f": {first['input']!r} should ", 1) if "input" in first else message


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}: check the path and its permissions"
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.strerror}: check where the output goes"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {text}: this is a mistake of ours, add --debug for the traceback and report it"


def _print_error(message: str) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
