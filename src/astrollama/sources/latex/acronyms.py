r"""Acronyms: \newacronym, \DeclareAcronym, \acrodef and \newglossaryentry give a key what \gls, \ac and their kin print."""

from __future__ import annotations

import re

from astrollama.sources.latex.interpreter import Handler, Interpreter
from astrollama.sources.latex.macros import read_argument, read_optional, read_star
from astrollama.sources.latex.tokens import SPACES, plain_text

_PLURAL = re.compile(r"\\(?:[Gg]ls|[aA]c(?:s|l|f|r(?:short|long|full))?)(?:pl|p)")


def new_acronym(interpreter: Interpreter, name: str) -> None:
    r"""\newacronym[options]{key}{short}{long}; \acrodef{key}[short]{long}, whose key may be the short form."""
    source = interpreter.input
    read_optional(source)
    key = read_argument(source)
    short = read_argument(source) if name == r"\newacronym" else read_optional(source) or key
    read_argument(source)
    interpreter.acronyms[plain_text(key)] = short


def declared_acronym(interpreter: Interpreter, _name: str) -> None:
    r"""\DeclareAcronym{key}{short=…, long=…}, \newglossaryentry{key}{name=…}."""
    key = plain_text(read_argument(interpreter.input))
    options = _options(read_argument(interpreter.input))
    if printed := options.get("short", options.get("name")):
        interpreter.acronyms[key] = printed


def _options(tokens: list[str]) -> dict[str, list[str]]:
    """The values of `name = value, …` by name."""
    found: dict[str, list[str]] = {}
    name, depth = "", 0
    value: list[str] | None = None
    for token in tokens:
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth == 0 and token == "=" and value is None:
            value = found.setdefault(name.strip(), [])
        elif depth == 0 and "," in token:
            before, _, name = token.partition(",")
            if value is not None and before:
                value.append(before)
            value = None
        elif value is None:
            name += token
        elif value or token not in SPACES:
            value.append(token)
    return found


def acronym(interpreter: Interpreter, name: str) -> None:
    r"""\gls{key}, \ac{key}: the short form, and the key itself where the paper does not say it."""
    source = interpreter.input
    read_star(source)
    read_optional(source)
    key = read_argument(source)
    plural = ["s"] if _PLURAL.fullmatch(name) else []
    source.push(["{", *interpreter.acronyms.get(plain_text(key), key), *plural, "}"])


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys((r"\newacronym", r"\acrodef", r"\newacro", r"\acro"), new_acronym),
    **dict.fromkeys((r"\DeclareAcronym", r"\newglossaryentry"), declared_acronym),
    **{
        rf"\{name}": acronym
        for name in str.split("""
        ac acp acs acsp acl acf acfp gls Gls glspl Glspl glsentrylong glsentryshort acrshort acrlong acrfull acrshortpl
        acrlongpl acrfullpl glsxtrshort glsxtrlong glsxtrfull Ac Acp
        """)
    },
}
