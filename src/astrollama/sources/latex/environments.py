r"""\begin{x} and \end{x}: what is left out whole, what is a formula, what begins a part of the paper."""

from __future__ import annotations

from astrollama.sources.latex.interpreter import Handler, Interpreter
from astrollama.sources.latex.macros import Macro, expand, read_argument, read_optional, skip_spaces
from astrollama.sources.latex.manuscript import ABSTRACT, ACKNOWLEDGEMENTS, LEAD, LINE, PARAGRAPH, SECTION
from astrollama.sources.latex.settings import skip_settings
from astrollama.sources.latex.tokens import is_command, plain_text
from astrollama.sources.latex.vocabulary import DISPLAY_ENVIRONMENTS, DROPPED_ENVIRONMENTS, ENVIRONMENT_ARGUMENTS

_ENDS_DROPPED = frozenset((r"\section", r"\subsection"))
_ACKNOWLEDGEMENTS = (
    *("acknowledgements", "acknowledgments", "acknowledgement", "acknowledgment", "acks", "ack"),
    *("contribution", "addendum"),  # of aastex7, of Nature's class
)
_LISTS = ("itemize", "enumerate", "description", "list", "compactitem", "compactenum")
_RAW_ENVIRONMENTS = ("comment", "verbatim", "Verbatim", "lstlisting", "minted", "alltt", "filecontents")
_WHOLE_FILE = 2**31


def begin(interpreter: Interpreter, name: str) -> None:
    r"""\begin{x}."""
    environment = plain_text(read_argument(interpreter.input))
    plain = environment.rstrip("*")
    own = interpreter.definitions.environments.get(environment)
    if own is not None:
        expand(own[0], interpreter.input)
    elif plain in DROPPED_ENVIRONMENTS:
        _drop(interpreter, environment)
    elif plain in DISPLAY_ENVIRONMENTS:
        if plain.endswith("alignat"):
            read_argument(interpreter.input)
        interpreter.open_formula(environment)
    elif plain == "document":
        interpreter.close_captures()
        interpreter.in_body = True
        interpreter.manuscript.forget_preamble()
    elif plain.lower().endswith("abstract"):  # Science's class has a sciabstract
        read_optional(interpreter.input)
        interpreter.manuscript.begin_part("", 1, ABSTRACT)
    elif plain in _ACKNOWLEDGEMENTS:
        acknowledgements(interpreter, name)
    elif plain in ("appendix", "appendices"):
        appendix(interpreter, name)
    elif plain == "methods":
        interpreter.manuscript.begin_part("Methods", 1, SECTION)
    else:
        if plain in ("center", "quote", "quotation"):
            interpreter.manuscript.add(PARAGRAPH)
        read_optional(interpreter.input)
        interpreter.skip_arguments(ENVIRONMENT_ARGUMENTS.get(plain, ""))
        skip_settings(interpreter.input)


def end(interpreter: Interpreter, _name: str) -> None:
    r"""\end{x}, or the \end of plain TeX."""
    skip_spaces(interpreter.input)
    if interpreter.input.peek() != "{":
        interpreter.finished = interpreter.in_body
        return
    environment = plain_text(read_argument(interpreter.input))
    own = interpreter.definitions.environments.get(environment)
    if own is not None:
        interpreter.input.push(own[1])
    elif environment == "document":
        interpreter.finished = True
    elif environment.rstrip("*").lower().endswith("abstract"):
        interpreter.manuscript.end_abstract()
    elif environment in ("center", "quote", "quotation"):
        interpreter.manuscript.add(PARAGRAPH)
    elif environment in _LISTS:
        interpreter.manuscript.add(LINE)
    elif environment in _ACKNOWLEDGEMENTS:
        interpreter.manuscript.begin_part("", 1, LEAD)


def acknowledgements(interpreter: Interpreter, _name: str) -> None:
    r"""\acknowledgments, with its text in braces or behind it."""
    interpreter.close_captures()
    interpreter.manuscript.begin_part("Acknowledgements", 1, ACKNOWLEDGEMENTS)


def appendix(interpreter: Interpreter, _name: str) -> None:
    r"""\appendix: what follows belongs to it."""
    interpreter.manuscript.in_appendix = True
    interpreter.manuscript.begin_part("", 1, SECTION)


def end_in_maths(interpreter: Interpreter, _name: str) -> None:
    r"""\end{x} within a formula."""
    environment = plain_text(read_argument(interpreter.input))
    formula = interpreter.formula
    assert formula is not None
    if environment == formula.closer:
        interpreter.close_formula()
    elif environment == "document":
        interpreter.close_formula(is_whole=False)
        interpreter.finished = True
    elif own := interpreter.definitions.environments.get(environment):
        interpreter.input.push(own[1])
    elif not formula.num_environments:  # what ends began before the formula, whose own end is missing
        interpreter.close_formula(is_whole=False)
        interpreter.input.push([r"\end", "{", environment, "}"])
    else:
        formula.num_environments -= 1
        for token in (r"\end", "{", environment, "}"):
            formula.add(token)


def begin_in_maths(interpreter: Interpreter, _name: str) -> None:
    r"""\begin{x} within a formula."""
    environment = plain_text(read_argument(interpreter.input))
    formula = interpreter.formula
    assert formula is not None
    if own := interpreter.definitions.environments.get(environment):
        expand(own[0], interpreter.input)
    else:
        formula.num_environments += 1
        for token in (r"\begin", "{", environment, "}"):
            formula.add(token)


def _drop(interpreter: Interpreter, environment: str) -> None:
    """Pass over an environment; macros of the paper are looked into where they hold its end."""
    source, macros = interpreter.input, interpreter.definitions.macros
    if (
        environment.rstrip("*") in _RAW_ENVIRONMENTS
        and source.raw_until(f"\\end{{{environment}}}", _WHOLE_FILE) is not None
    ):
        return
    own = interpreter.definitions.environments
    depth = 1
    while (token := source.next()) is not None:
        if token == r"\begin":
            begun = plain_text(read_argument(source))
            depth += begun == environment
            if begun in own:
                expand(own[begun][0], source)
        elif token == r"\end":
            ended = plain_text(read_argument(source))
            if ended in own:
                source.push(own[ended][1])
            if ended == "document":
                interpreter.finished = True
                break
            depth -= ended == environment
            if depth == 0:
                return
        elif token in _ENDS_DROPPED:
            source.push([token])
            break
        elif is_command(token) and isinstance(macro := macros.get(token), Macro) and _holds_end(macro):
            source.push(macro.fixed)
    interpreter.problems.note("an environment does not end", environment)


def _holds_end(macro: Macro) -> bool:
    return macro.is_fixed and any(token in (r"\end", r"\begin") for token in macro.fixed)


HANDLERS: dict[str, Handler] = {
    r"\begin": begin,
    r"\end": end,
    **dict.fromkeys(
        (r"\acknowledgments", r"\acknowledgements", r"\acknowledgment", r"\acknowledgement"), acknowledgements
    ),
    **dict.fromkeys((r"\ack", r"\acknowledge"), acknowledgements),
    r"\appendix": appendix,
    r"\appendices": appendix,
}

IN_MATHS: dict[str, Handler] = {r"\begin": begin_in_maths, r"\end": end_in_maths}
