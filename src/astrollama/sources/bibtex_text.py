"""LaTeX of titles and abstracts in BibTeX to plain text: accents and symbols to Unicode, maths left as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylatexenc.latex2text import LatexNodes2Text

_MATHS_MARK = re.compile(r"\\.|\$\$?", re.DOTALL)
_MATHS_ENDS = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}

_ACCENT = r"\\[\"'`^~=.]\s?(?:\{\\?[A-Za-z]\}|\\[ij](?![A-Za-z])|[A-Za-z])"
_LETTER_ACCENT = r"\\[bcdHkrtuv](?:\{\\?[A-Za-z]{1,2}\}|\s\\?[A-Za-z](?![A-Za-z]))"
_LETTER = r"\\(?:aa|AA|ae|AE|oe|OE|o|O|l|L|ss|i|j|dh|DH|th|TH|dj|DJ|ng|NG)(?![A-Za-z])(?:\{\}|\s)?"
_SYMBOL = r"\\text[a-z]{2,30}(?![A-Za-z{]|\s*\{)(?:\{\}|\s)?|\\text[a-z]{2,30}\{\}"
_WRITTEN = rf"(?:{_ACCENT}|{_LETTER_ACCENT}|{_LETTER}|{_SYMBOL})"
_CHARACTER = re.compile(rf"\{{{_WRITTEN}\}}|{_WRITTEN}")
# what pylatexenc does not know, and a sign that must not begin maths
_SYMBOLS = {
    r"\textgreater": ">",
    r"\textless": "<",
    r"\textbar": "|",
    r"\textunderscore": "_",
    r"\textquotedbl": '"',
    r"\textdollar": r"\$",
}
_ENSURED_MATHS = re.compile(r"\{\\ensuremath\{([^{}$]*)\}\}|\\ensuremath\{([^{}$]*)\}")
_ESCAPED = re.compile(r"\\([&%_# ])")
_TOKEN = re.compile(r"\\(?:[A-Za-z]+\*?|.)|[{}]|[^\\{}]+", re.DOTALL)


def plain_text(latex: str) -> str:
    r"""Undo what BibTeX needs and a reader does not.

    `{\"u}` becomes `ü`, `\&` becomes `&`, and braces that only protect capitals go: `{NGC} 1275`. Maths, also
    `{\ensuremath{\alpha}}` as `$\alpha$`, and commands such as `\emph{…}` stay as they are.
    """
    parts = [(part if is_maths else _with_characters(part), is_maths) for part, is_maths in _prose_and_maths(latex)]
    return "".join(_without_protection(parts)).strip()


def _prose_and_maths(latex: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, with whether each is maths, its marks included; maths that does not end goes to the end."""
    start, end_mark = 0, ""
    for match in _MATHS_MARK.finditer(latex):
        mark = match[0]
        if end_mark and mark == end_mark:
            yield latex[start : match.end()], True
            start, end_mark = match.end(), ""
        elif not end_mark and mark in _MATHS_ENDS:
            yield latex[start : match.start()], False
            start, end_mark = match.start(), _MATHS_ENDS[mark]
    yield latex[start:], bool(end_mark)


def _with_characters(prose: str) -> str:
    prose = _ENSURED_MATHS.sub(lambda match: f"${match[1] or match[2] or ''}$", prose)
    return _CHARACTER.sub(lambda match: _unicode(match[0]), prose)


@lru_cache(maxsize=1 << 12)
def _unicode(latex: str) -> str:
    """The characters that a command stands for; the command itself where it is not known."""
    command = latex.removeprefix("{").rstrip("{} \t\n")
    # the white space after a command ends its name; after a symbol it is also that between words
    space = latex[-1] if latex[-1].isspace() and command.startswith(r"\text") else ""
    text: str = _SYMBOLS.get(command) or _decoder().latex_to_text(latex.strip())
    return text + space if text else latex


@cache
def _decoder() -> LatexNodes2Text:
    from pylatexenc.latex2text import LatexNodes2Text

    return LatexNodes2Text()


def _without_protection(parts: list[tuple[str, bool]]) -> Iterator[str]:
    r"""The text without the braces of groups that are neither an argument nor hold a command (`{\it …}`)."""
    kept: list[bool] = []  # of each open group, whether its braces stay
    before = ""  # the token before
    for part, is_maths in parts:
        if is_maths:
            yield part
            before = ""
            continue
        tokens = _TOKEN.findall(part)
        for index, token in enumerate(tokens):
            following = tokens[index + 1] if index + 1 < len(tokens) else ""
            if token == "{":
                kept.append(before.endswith(("_", "^")) or _is_command(before) or _is_command(following))
                if kept[-1]:
                    yield token
            elif token == "}":
                if not kept or kept.pop():
                    yield token
            elif escaped := _ESCAPED.fullmatch(token):
                yield escaped[1]
            else:
                yield token
            before = token


def _is_command(token: str) -> bool:
    return token.startswith("\\") and token[1:2].isalpha()
