r"""Plain TeX and what was built on it before LaTeX won: boxes, fonts, headings, and the formats harvmac and phyzzx."""

from __future__ import annotations

import re

from astrollama.sources.latex.definitions import define
from astrollama.sources.latex.interpreter import CITE, REF, Handler, Interpreter
from astrollama.sources.latex.macros import make_macro, read_argument, read_until, skip_spaces
from astrollama.sources.latex.tokens import PAR, is_command, is_word, plain_text

_MAX_TITLE_TOKENS = 60
_DIGITS = re.compile("3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6]")  # of what ASCII prints


def plain_heading(interpreter: Interpreter, _name: str) -> None:
    r"""\beginsection of plain TeX, whose title ends with the paragraph."""
    title: list[str] = []
    skip_spaces(interpreter.input, also_paragraphs=True)
    while len(title) < _MAX_TITLE_TOKENS and (token := interpreter.input.next()) is not None and token != PAR:
        title.append(token)
    interpreter.input.push([r"\section", "{", *title, "}"])


def footnote(interpreter: Interpreter, _name: str) -> None:
    r"""\footnote[1]{text}; in plain TeX \footnote{$^1$}{text} and \footnote*{text}."""
    is_plain = not interpreter.document_class
    interpreter.skip_arguments("am" if is_plain else "om")


def numbered_title(interpreter: Interpreter, _name: str) -> None:
    r"""\Title{number of the preprint}{title} of harvmac."""
    read_argument(interpreter.input)
    interpreter.input.push([r"\title"])


def named_equation(interpreter: Interpreter, _name: str) -> None:
    r"""\eqn\name{formula} of harvmac; \name refers to it from then on."""
    _name_placeholder(interpreter, REF)
    interpreter.input.push(["$", "$", *read_argument(interpreter.input), "$", "$"])


def reference(interpreter: Interpreter, name: str) -> None:
    r"""\ref{key}; \ref\name{entry} of harvmac and phyzzx, and \name cites it from then on."""
    skip_spaces(interpreter.input)
    following = interpreter.input.peek() or ""
    if not is_command(following) or following == PAR:
        interpreter.reference(name)
        return
    _name_placeholder(interpreter, CITE)
    read_argument(interpreter.input)
    if name != r"\REF":  # which only makes the entry
        interpreter.manuscript.add(CITE)


def _name_placeholder(interpreter: Interpreter, placeholder: str) -> None:
    skip_spaces(interpreter.input)
    following = interpreter.input.next() or ""
    define(interpreter, following, make_macro([], [*placeholder]))


def box(interpreter: Interpreter, _name: str) -> None:
    r"""\hbox to 3cm{…}."""
    skip_spaces(interpreter.input)
    token = interpreter.input.peek()
    if token in ("to", "spread"):
        interpreter.input.next()
        interpreter.read_dimension()


def loop(interpreter: Interpreter, _name: str) -> None:
    r"""\loop … \repeat, which ends a conditional without a \fi: what is counted is no text."""
    if read_until((r"\repeat",), interpreter.input) is None:
        interpreter.problems.note("a loop that does not end")


def character(interpreter: Interpreter, _name: str) -> None:
    r"""\char126, \char`\~ and \symbol{126}."""
    source = interpreter.input
    token = plain_text(read_argument(source)) if source.peek() == "{" else source.next() or ""
    digits = _DIGITS.match(token)
    if token == "`":
        interpreter.manuscript.add((source.next() or "")[-1:])
    elif digits is None:
        source.push([token] if token else [])
    else:
        interpreter.manuscript.add(chr(int(digits[0])))
        source.push([rest] if (rest := token[digits.end() :]) else [])


def set_box(interpreter: Interpreter, _name: str) -> None:
    r"""\setbox0=\hbox{…}, \halign{…}, \headline={…}: nothing of it is text."""
    for _ in range(8):
        token = interpreter.input.peek()
        if token is None or token == PAR:
            return
        if token == "{":
            read_argument(interpreter.input)
            return
        interpreter.input.next()


def category(interpreter: Interpreter, name: str) -> None:
    r"""\catcode`\@=11: @ is a letter, and again none with 12; other characters keep their kind."""
    source = interpreter.input
    changed = ""
    for _ in range(8):
        token = source.peek()
        if token is None or token == PAR or token == "{":
            return
        source.next()
        changed += token
        if is_word(token) and token[-1].isdigit():
            break
    if name == r"\catcode" and changed.startswith((r"`\@=", "`@=")):
        source.at_is_letter = changed.endswith("11")


def font(interpreter: Interpreter, _name: str) -> None:
    r"""\font\big=cmr10 scaled\magstep2."""
    skip_spaces(interpreter.input)
    define(interpreter, interpreter.input.next() or "", make_macro([], []))
    skip_spaces(interpreter.input)
    for wanted in ("=", "", "scaled", "at"):
        token = interpreter.input.peek()
        if token is not None and (token == wanted or (not wanted and is_word(token))):
            interpreter.input.next()
            if wanted in ("scaled", "at"):
                interpreter.read_dimension()
        skip_spaces(interpreter.input)


def own_line(interpreter: Interpreter, _name: str) -> None:
    r"""\centerline{…}: in plain TeX often a heading."""
    interpreter.input.push([PAR, *read_argument(interpreter.input), PAR])


HANDLERS: dict[str, Handler] = {
    r"\beginsection": plain_heading,
    r"\footnote": footnote,
    r"\Title": numbered_title,
    r"\eqn": named_equation,
    **dict.fromkeys((r"\ref", r"\REF", r"\Ref"), reference),
    **dict.fromkeys((r"\hbox", r"\vbox", r"\vtop"), box),
    **dict.fromkeys(
        (r"\setbox", r"\halign", r"\ialign", r"\everypar", r"\output", r"\headline", r"\footline"), set_box
    ),
    r"\loop": loop,
    **dict.fromkeys((r"\catcode", r"\uccode", r"\lccode", r"\sfcode", r"\mathcode", r"\delcode"), category),
    **dict.fromkeys((r"\char", r"\symbol"), character),
    r"\font": font,
    **dict.fromkeys((r"\centerline", r"\leftline", r"\rightline"), own_line),
}
