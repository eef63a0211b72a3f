r"""A paper's own macros: how they are defined, how their arguments are read, what they expand to.

Known are \newcommand and its kin, \def (arguments, also with text between them), \let, \DeclareMathOperator,
\NewDocumentCommand, \newenvironment and \newif. Definitions are global.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from astrollama.sources.latex.limits import MAX_DELIMITED_TOKENS
from astrollama.sources.latex.tokens import PAR, SOFT, SPACES, Input, is_command, is_word, plain_text


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: in braces, in brackets with a default, a star, or up to given tokens."""

    kind: Literal["mandatory", "optional", "star", "delimited"]
    default: tuple[str, ...] = ()
    delimiter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Macro:
    r"""What a name stands for.

    Attributes:
        prefix: text that must follow the name, as in `\def\mass10{…}`.
        body: tokens, and numbers from 0 in the place of arguments.
    """

    parameters: tuple[Parameter, ...]
    prefix: tuple[str, ...]
    body: tuple[str | int, ...]
    fixed: list[str] = field(compare=False)  # the body of a macro without parameters, ready to be read

    @property
    def is_fixed(self) -> bool:
        """Whether nothing is read after the name."""
        return not self.parameters and not self.prefix


@dataclass(frozen=True, slots=True)
class Builtin:
    r"""The meaning that a name had before the paper changed it, kept by `\let`."""

    name: str


@dataclass(slots=True)
class Definitions:
    """What a paper has defined so far.

    Attributes:
        environments: the macro that begins each of the paper's environments, and the tokens that end it.
    """

    macros: dict[str, Macro | Builtin] = field(default_factory=dict)
    environments: dict[str, tuple[Macro, list[str]]] = field(default_factory=dict)


def make_macro(parameters: list[Parameter], body: list[str], prefix: tuple[str, ...] = ()) -> Macro:
    """A macro from its parameters and its body, in which `#1` stands for the first."""
    compiled: list[str | int] = []
    tokens = iter(body)
    for token in tokens:
        if token != "#":
            compiled.append(token)
            continue
        following = next(tokens, "")
        if following == "#":
            compiled.append("#")
        elif following[:1] in set("123456789") and int(following[0]) <= len(parameters):
            compiled.append(int(following[0]) - 1)
            if following[1:]:
                compiled.append(following[1:])
        elif following:
            compiled.append(following)
    fixed = [token for token in compiled if isinstance(token, str)] if not parameters else []
    return Macro(tuple(parameters), prefix, tuple(compiled), fixed)


def expand(macro: Macro, source: Input) -> None:
    """Read the arguments of a macro and put its expansion in front of what is still to be read.

    Raises:
        ConversionError: the expansion is beyond a limit.
    """
    if macro.prefix:
        _skip_prefix(macro.prefix, source)
    arguments = [_argument(parameter, source) for parameter in macro.parameters]
    if not macro.parameters:
        source.push(macro.fixed)
        return
    source.charge(sum(len(arguments[part]) if isinstance(part, int) else 1 for part in macro.body))
    expansion: list[str] = []
    for part in macro.body:
        if isinstance(part, int):
            expansion += arguments[part]
        else:
            expansion.append(part)
    source.push(expansion)


def skip_spaces(source: Input, *, also_paragraphs: bool = False) -> None:
    """Pass over white space."""
    while (token := source.next()) is not None:
        if token not in SPACES and not (also_paragraphs and token == PAR):
            source.push([token])
            return


def follows(source: Input, wanted: str) -> bool:
    """Whether a token comes next, white space or not before it; nothing is read."""
    read: list[str] = []
    while (token := source.next()) is not None:
        read.append(token)
        if token not in SPACES:
            break
    source.push(read)
    return token == wanted


def read_argument(source: Input) -> list[str]:
    """The tokens of an argument: what stands in the braces that follow, or one token; nothing at the end."""
    skip_spaces(source, also_paragraphs=True)
    token = source.next()
    if token is None:
        return []
    if token == "{":
        return read_group(source)
    if token == "}":
        source.push([token])
        return []
    if is_word(token) and len(token) > 1:
        source.push([token[1:]])
        return [token[0]]
    return [token]


def read_group(source: Input) -> list[str]:
    """The tokens up to the brace that closes a group whose opening brace was read; to the end if none does."""
    tokens: list[str] = []
    depth = 1
    while (token := source.next()) is not None:
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0:
                return tokens
        tokens.append(token)
    source.damage.setdefault("unbalanced braces")
    return tokens


def read_optional(source: Input) -> list[str] | None:
    """The tokens of an argument in brackets; None, and nothing is read, if there is none."""
    if not follows(source, "["):
        return None
    skip_spaces(source)
    source.next()
    tokens = read_until(("]",), source)
    if tokens is None:
        source.push(["["])
    return tokens


def read_star(source: Input) -> bool:
    """Pass over a star; whether there was one."""
    if not follows(source, "*"):
        return False
    skip_spaces(source)
    source.next()
    return True


def read_name(source: Input) -> str:
    """The command that is to be defined, in braces or not; "" if no command stands there."""
    tokens = [token for token in read_argument(source) if token not in SPACES and token != PAR]
    return tokens[0] if len(tokens) == 1 and is_command(tokens[0]) else ""


def read_command_parameters(source: Input) -> list[Parameter]:
    r"""The `[2][default]` of \newcommand."""
    number = plain_text(read_optional(source) or [])
    default = read_optional(source) if number else None
    count = int(number) if number.isascii() and number.isdigit() and int(number) < 10 else 0
    parameters = [Parameter("mandatory")] * count
    if default is not None and parameters:
        parameters[0] = Parameter("optional", tuple(default))
    return parameters


def read_def_parameters(source: Input) -> tuple[list[Parameter], tuple[str, ...]]:
    r"""The parameters of \def up to its body, and the text that stands before the first."""
    prefix: list[str] = []
    delimiters: list[list[str]] = []
    while (token := source.next()) is not None and token != "{":
        if token == "#":
            following = source.next()
            if following is None:
                break
            if following == "{":  # `#{`: the last argument ends at a brace
                (delimiters[-1] if delimiters else prefix).append("{")
                break
            delimiters.append([])
            if following[1:] and is_word(following):
                source.push([following[1:]])
        elif token != SOFT:
            target = delimiters[-1] if delimiters else prefix
            target += list(token) if is_word(token) else [token]
    parameters = [
        Parameter("delimited", delimiter=tuple(delimiter)) if delimiter else Parameter("mandatory")
        for delimiter in delimiters
    ]
    return parameters, tuple(prefix)


def read_document_parameters(specification: list[str]) -> list[Parameter]:
    r"""The parameters of \NewDocumentCommand: `m`, `o`, `O{default}` and `s`; others count as `m`."""
    tokens = [token for token in specification if token not in SPACES]
    parameters: list[Parameter] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token == "{":
            end = tokens.index("}", index) if "}" in tokens[index:] else len(tokens)
            if parameters and parameters[-1].kind == "optional":
                parameters[-1] = Parameter("optional", tuple(tokens[index + 1 : end]))
            index = end
        elif token == "*":
            parameters.append(Parameter("star"))
        elif is_word(token):
            kinds: dict[str, Literal["optional", "star"]] = {"o": "optional", "O": "optional", "s": "star"}
            parameters += [Parameter(kinds.get(letter, "mandatory")) for letter in token if letter not in "+!"]
        index += 1
    return parameters[:9]


def _argument(parameter: Parameter, source: Input) -> list[str]:
    if parameter.kind == "mandatory":
        return read_argument(source)
    if parameter.kind == "optional":
        found = read_optional(source)
        return list(parameter.default) if found is None else found
    if parameter.kind == "star":
        return ["*"] if read_star(source) else []
    if parameter.delimiter == ("{",):
        tokens = read_until(parameter.delimiter, source)
        source.push(["{"])
    else:
        tokens = read_until(parameter.delimiter, source)
    if tokens is None:
        source.damage.setdefault("an argument of a macro does not end")
        return []
    if tokens[:1] == ["{"] and _is_one_group(tokens):
        return tokens[1:-1]
    return tokens


def read_until(delimiter: tuple[str, ...], source: Input) -> list[str] | None:
    """The tokens before a delimiter outside of braces; None, and nothing is read, if it does not come soon."""
    tokens: list[str] = []
    depth = 0
    while (token := source.next()) is not None and len(tokens) < MAX_DELIMITED_TOKENS:
        if token == SOFT:
            tokens.append(token)
            continue
        if depth == 0 and delimiter[0] in token and (rest := _after_delimiter(token, delimiter, source)) is not None:
            before, after = rest
            if after:
                source.push([after])
            return [*tokens, before] if before else tokens
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            break
        tokens.append(token)
    source.push([*tokens, token] if token is not None else tokens)
    return None


def _after_delimiter(token: str, delimiter: tuple[str, ...], source: Input) -> tuple[str, str] | None:
    """What stands in `token` before a delimiter that begins in it, and what after; None if the delimiter does not."""
    if not is_word(token):
        if token != delimiter[0]:
            return None
        return ("", "") if _matches(delimiter[1:], source) else None
    position = token.find(delimiter[0])
    inside = token[position : position + len(delimiter)]
    if list(inside) != list(delimiter[: len(inside)]):
        return None
    rest = token[position + len(inside) :]
    if rest or len(inside) == len(delimiter):
        return (token[:position], rest) if len(inside) == len(delimiter) else None
    return (token[:position], "") if _matches(delimiter[len(inside) :], source) else None


def _matches(wanted: tuple[str, ...], source: Input) -> bool:
    """Pass over `wanted`; whether it was there, else nothing is read."""
    read: list[str] = []
    left = list(wanted)
    while left:
        token = source.next()
        if token is None:
            break
        if is_word(token):
            length = min(len(token), len(left))
            if list(token[:length]) != left[:length]:
                source.push([token])
                break
            read.append(token[:length])
            left = left[length:]
            if token[length:]:
                source.push([token[length:]])
        elif token == left[0] or (token in SPACES and left[0] == " "):
            read.append(token)
            left = left[1:]
        elif token == SOFT:
            read.append(token)
        else:
            source.push([token])
            break
    if left:
        source.push(read)
    return not left


def _skip_prefix(prefix: tuple[str, ...], source: Input) -> None:
    _matches(prefix, source)


def _is_one_group(tokens: list[str]) -> bool:
    depth = 0
    for index, token in enumerate(tokens):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth == 0:
            return index == len(tokens) - 1
    return False
