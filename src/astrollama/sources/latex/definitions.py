r"""The commands that define others and those that choose what is read: \newcommand, \def, \if…; in text and in maths alike."""

from __future__ import annotations

import re

from astrollama.sources.latex.interpreter import Handler, Interpreter
from astrollama.sources.latex.macros import (
    Builtin,
    Macro,
    Parameter,
    make_macro,
    read_argument,
    read_command_parameters,
    read_def_parameters,
    read_document_parameters,
    read_group,
    read_name,
    read_optional,
    read_star,
    skip_spaces,
)
from astrollama.sources.latex.tokens import PAR, SPACES, is_command, is_word, plain_text
from astrollama.sources.latex.vocabulary import PROTECTED, PROTECTED_ENVIRONMENTS, SYMBOLS

# What begins a conditional that ends with \fi; \iff is none of them, so the names are listed.
CONDITIONALS = frozenset(
    rf"\{name}"
    for name in str.split("""
    if ifx ifnum ifdim ifodd ifcase ifcat ifmmode ifvmode ifhmode ifinner iftrue iffalse ifvoid ifhbox ifvbox ifeof
    ifdefined ifcsname
    """)
)


def new_command(interpreter: Interpreter, name: str) -> None:
    r"""\newcommand{\x}[2][default]{body} and its kin."""
    source = interpreter.input
    read_star(source)
    command = read_name(source)
    parameters = read_command_parameters(source)
    body = read_argument(source)
    known = command in interpreter.definitions.macros or command in SYMBOLS
    if not (name == r"\providecommand" and known):
        define(interpreter, command, make_macro(parameters, body))


def document_command(interpreter: Interpreter, _name: str) -> None:
    r"""\NewDocumentCommand{\x}{m o}{body}."""
    command = read_name(interpreter.input)
    parameters = read_document_parameters(read_argument(interpreter.input))
    define(interpreter, command, make_macro(parameters, read_argument(interpreter.input)))


def primitive_def(interpreter: Interpreter, _name: str) -> None:
    r"""\def\x#1#2{body}."""
    skip_spaces(interpreter.input)
    command = interpreter.input.next() or ""
    parameters, prefix = read_def_parameters(interpreter.input)
    define(interpreter, command, make_macro(parameters, read_group(interpreter.input), prefix))


def let(interpreter: Interpreter, _name: str) -> None:
    r"""\let\x=\y: the meaning that \y has now."""
    source = interpreter.input
    skip_spaces(source)
    command = source.next() or ""
    skip_spaces(source)
    token = source.next()
    if token == "=":
        skip_spaces(source)
        token = source.next()
    if token is None:
        return
    meaning: Macro | Builtin
    if is_command(token):
        meaning = interpreter.definitions.macros.get(token, Builtin(token))
    else:
        if is_word(token) and len(token) > 1:
            source.push([token[1:]])
        meaning = make_macro([], [token[0]])
    if meaning != Builtin(command):
        define(interpreter, command, meaning)


def operator(interpreter: Interpreter, _name: str) -> None:
    r"""\DeclareMathOperator{\x}{text}."""
    star = ["*"] if read_star(interpreter.input) else []
    command = read_name(interpreter.input)
    body = [r"\operatorname", *star, "{", *read_argument(interpreter.input), "}"]
    define(interpreter, command, make_macro([], body))


def new_environment(interpreter: Interpreter, _name: str) -> None:
    r"""\newenvironment{x}[2][default]{begin}{end}."""
    source = interpreter.input
    read_star(source)
    environment = plain_text(read_argument(source))
    parameters = read_command_parameters(source)
    begin, end = read_argument(source), read_argument(source)
    if environment not in PROTECTED_ENVIRONMENTS and not environment.lower().endswith("abstract"):
        interpreter.definitions.environments[environment] = (make_macro(parameters, begin), end)


def new_theorem(interpreter: Interpreter, _name: str) -> None:
    r"""\newtheorem{x}[counter]{Title}[section]: the title is read out where the environment begins, with a name in brackets."""
    source = interpreter.input
    read_star(source)
    environment = plain_text(read_argument(source))
    read_optional(source)
    title = read_argument(source)
    read_optional(source)
    begin = make_macro([Parameter("optional")], [PAR, *title, " ", "(", "#", "1", ")", ".", " "])
    interpreter.definitions.environments[environment] = (begin, [PAR])


def new_if(interpreter: Interpreter, _name: str) -> None:
    r"""\newif\ifx makes \ifx, \xtrue and \xfalse."""
    skip_spaces(interpreter.input)
    switch = interpreter.input.next() or ""
    _make_switch(interpreter, switch)


def new_boolean(interpreter: Interpreter, _name: str) -> None:
    r"""\newboolean{x} and \newtoggle{x}."""
    _make_switch(interpreter, rf"\if{plain_text(read_argument(interpreter.input))}")


def set_boolean(interpreter: Interpreter, name: str) -> None:
    r"""\setboolean{x}{true}, \toggletrue{x}, \togglefalse{x}."""
    switch = rf"\if{plain_text(read_argument(interpreter.input))}"
    value = plain_text(read_argument(interpreter.input)) if name == r"\setboolean" else name.removeprefix(r"\toggle")
    define(interpreter, switch, Builtin(r"\iftrue" if value == "true" else r"\iffalse"))


def define(interpreter: Interpreter, command: str, meaning: Macro | Builtin) -> None:
    """Give a command a meaning, if it may have another."""
    if is_command(command) and command not in PROTECTED and command not in HANDLERS:
        if isinstance(meaning, Macro) and meaning.is_fixed:
            meaning = _plain_relation(meaning)
        interpreter.definitions.macros[command] = meaning


def _plain_relation(macro: Macro) -> Macro:
    r"""The macro, or, for a sign built from boxes, as \lesssim was before there was one, that sign."""
    text = "".join(macro.fixed[:_MAX_SIGN_TOKENS])
    if len(macro.fixed) > _MAX_SIGN_TOKENS or not _BOXES.intersection(macro.fixed) or not _CURLY.search(text):
        return macro
    if any(is_word(token) and not _PART_OF_SIGN.fullmatch(token) for token in macro.fixed):
        return macro
    less, greater = bool(_LESS.search(text)), bool(_GREATER.search(text))
    if less == greater:
        return macro
    return make_macro([], [r"\ensuremath", "{", r"\lesssim" if less else r"\gtrsim", "}"])


def condition(interpreter: Interpreter, name: str) -> None:
    r"""\if… : read the test and go on with the branch that it chooses."""
    if name == r"\ifcase":
        number = interpreter.read_dimension()
        interpreter.num_conditions += 1
        for _ in range(int(number) if number.isdecimal() and len(number) < 3 else 0):
            if _skip_branch(interpreter) != r"\or":
                return
        return
    holds = _test(interpreter, name)
    interpreter.num_conditions += 1
    if not holds:
        while _skip_branch(interpreter) == r"\or":
            pass


def branch_end(interpreter: Interpreter, _name: str) -> None:
    r"""\else or \or behind the branch that was read: the others are skipped."""
    if interpreter.num_conditions:
        while _skip_branch(interpreter) != r"\fi":
            pass


def condition_end(interpreter: Interpreter, _name: str) -> None:
    r"""\fi."""
    interpreter.num_conditions = max(interpreter.num_conditions - 1, 0)


def if_then_else(interpreter: Interpreter, name: str) -> None:
    r"""\ifthenelse{test}{a}{b}, \iftoggle{x}{a}{b}, \@ifundefined{x}{a}{b}, \ifdefempty and the like."""
    test = [token for token in read_argument(interpreter.input) if token not in SPACES]
    chosen, other = read_argument(interpreter.input), read_argument(interpreter.input)
    interpreter.input.push(chosen if _holds(interpreter, name, test) else other)


def if_next(interpreter: Interpreter, name: str) -> None:
    r"""\@ifnextchar x{a}{b} and \@ifstar{a}{b}."""
    wanted = "*" if name == r"\@ifstar" else "".join(read_argument(interpreter.input))
    chosen, other = read_argument(interpreter.input), read_argument(interpreter.input)
    skip_spaces(interpreter.input)
    found = interpreter.input.peek() == wanted
    if found and name == r"\@ifstar":
        interpreter.input.next()
    interpreter.input.push(chosen if found else other)


def command_by_name(interpreter: Interpreter, _name: str) -> None:
    r"""\csname x\endcsname."""
    tokens: list[str] = []
    while (token := interpreter.input.next()) is not None and token != r"\endcsname" and len(tokens) < 100:
        tokens.append(token)
    command = "\\" + plain_text(tokens)
    if len(command) > 1 and all(not is_command(token) for token in tokens):
        interpreter.input.push([command])


def _make_switch(interpreter: Interpreter, switch: str) -> None:
    if not switch.startswith(r"\if"):
        return
    define(interpreter, switch, Builtin(r"\iffalse"))
    for value in ("true", "false"):
        define(interpreter, f"\\{switch[3:]}{value}", make_macro([], [r"\let", switch, rf"\if{value}"]))


def _test(interpreter: Interpreter, name: str) -> bool:
    source = interpreter.input
    if name in (r"\ifnum", r"\ifdim"):
        left, relation, right = interpreter.read_dimension(), source.next() or "", ""
        if is_word(relation) and relation[0] in "<>":
            if relation[1:]:
                source.push([relation[1:]])
            right = interpreter.read_dimension()
        elif relation == "=":
            right = interpreter.read_dimension()
        return _compare(left, relation[:1], right)
    if name == r"\ifodd":
        number = interpreter.read_dimension()
        return number.isdecimal() and int(number[-1]) % 2 == 1
    if name in (r"\ifx", r"\if", r"\ifcat"):
        first, second = _one_token(interpreter), _one_token(interpreter)
        return first == second or (
            is_command(first) and is_command(second) and _meaning(interpreter, first) == _meaning(interpreter, second)
        )
    if name == r"\ifdefined":
        return _is_defined(interpreter, _one_token(interpreter))
    if name == r"\ifcsname":
        tokens: list[str] = []
        while (token := source.next()) is not None and token != r"\endcsname" and len(tokens) < 100:
            tokens.append(token)
        return _is_defined(interpreter, "\\" + plain_text(tokens))
    if name in (r"\ifvoid", r"\ifhbox", r"\ifvbox", r"\ifeof"):
        interpreter.read_dimension()
        return False
    if name == r"\ifmmode":
        return interpreter.formula is not None
    return name in (r"\iftrue", r"\ifhmode")


def _meaning(interpreter: Interpreter, command: str) -> object:
    r"""What \ifx compares: a definition, a built-in command's name, or None for what is not defined."""
    return interpreter.definitions.macros.get(command, command if _is_defined(interpreter, command) else None)


def _one_token(interpreter: Interpreter) -> str:
    token = interpreter.input.next() or ""
    while token in SPACES:
        token = interpreter.input.next() or ""
    if token and is_word(token) and len(token) > 1:
        interpreter.input.push([token[1:]])
        return token[0]
    return token


def _compare(left: str, relation: str, right: str) -> bool:
    try:
        first, second = float(left.rstrip("ptcminex ")), float(right.rstrip("ptcminex "))
    except ValueError:  # a counter or a length, whose value is not known here
        return False
    return {"<": first < second, ">": first > second, "=": first == second}.get(relation, False)


def _is_defined(interpreter: Interpreter, command: str) -> bool:
    return command in interpreter.definitions.macros or command in interpreter.commands or command in SYMBOLS


def _holds(interpreter: Interpreter, name: str, test: list[str]) -> bool:
    macros = interpreter.definitions.macros
    words = plain_text(test)
    if name == r"\iftoggle":
        return macros.get(rf"\if{words}") == Builtin(r"\iftrue")
    if name == r"\@ifundefined":
        return not _is_defined(interpreter, f"\\{words}")
    if test[:1] == [r"\boolean"]:
        switch = words.removeprefix(r"\boolean").strip("{}")
        return macros.get(rf"\if{switch}") == Builtin(r"\iftrue")
    if test[:1] == [r"\equal"] and words.count("{") == 2:
        first, _, second = words.removeprefix(r"\equal").strip("{}").partition("}{")
        return first == second
    return False


def _skip_branch(interpreter: Interpreter) -> str:
    r"""Pass over a branch and the \else, \or or \fi that ends it; which of them, \fi at the end of everything."""
    depth = 0
    while (token := interpreter.input.next()) is not None:
        if token == r"\fi":
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and token in (r"\else", r"\or"):
            return token
        elif token in CONDITIONALS or interpreter.definitions.macros.get(token) in _SWITCHES:
            depth += 1
    condition_end(interpreter, r"\fi")
    return r"\fi"


_MAX_SIGN_TOKENS = 200
_BOXES = frozenset(
    rf"\{name}"
    for name in str.split("""
    hbox raise lower buildrel atop mathop mathrel stackrel vcenter rlap llap raisebox shortstack mathpalette mathchoice
    """)
)
# a sign may be given by its place in a font, as in \mathchar"218; \mathpalette builds it by another macro
_CURLY = re.compile(r'\\sim|\\approx|\\mathchar"0?218|\\mathpalette')
_PART_OF_SIGN = re.compile(r'[-+<>~,."\d]*(?:true)?(?:pt|ex|em|cm|mm|in|mu|to|rm|[\dA-F]+)?')
_LESS, _GREATER = re.compile(r'<|\\lt\b|"3?13C'), re.compile(r'>|\\gt\b|"3?13E')
_SWITCHES = (Builtin(r"\iftrue"), Builtin(r"\iffalse"))

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        (r"\newcommand", r"\renewcommand", r"\providecommand", r"\DeclareRobustCommand", r"\newrobustcmd"), new_command
    ),
    **dict.fromkeys(
        (r"\NewDocumentCommand", r"\RenewDocumentCommand", r"\DeclareDocumentCommand", r"\ProvideDocumentCommand"),
        document_command,
    ),
    **dict.fromkeys((r"\def", r"\edef", r"\gdef", r"\xdef"), primitive_def),
    r"\let": let,
    r"\DeclareMathOperator": operator,
    r"\newenvironment": new_environment,
    r"\renewenvironment": new_environment,
    r"\newtheorem": new_theorem,
    r"\newif": new_if,
    **dict.fromkeys((r"\newboolean", r"\newtoggle", r"\providetoggle"), new_boolean),
    **dict.fromkeys((r"\setboolean", r"\toggletrue", r"\togglefalse"), set_boolean),
    **dict.fromkeys(CONDITIONALS, condition),
    r"\else": branch_end,
    r"\or": branch_end,
    r"\fi": condition_end,
    **dict.fromkeys((r"\ifthenelse", r"\iftoggle", r"\@ifundefined", r"\ifdefempty"), if_then_else),
    **dict.fromkeys((r"\@ifnextchar", r"\@ifstar"), if_next),
    r"\csname": command_by_name,
}
