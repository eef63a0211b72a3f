r"""What unknown commands say to TeX and not to a reader: options, keys, lengths, names of files."""

from __future__ import annotations

import re

from astrollama.sources.latex.macros import read_optional
from astrollama.sources.latex.tokens import PAR, Input, is_command, plain_text

_MAX_TOKENS, _MAX_CHARACTERS = 40, 200  # a longer argument is prose
_SETTING = re.compile(
    r"""\s*(?:
    | \S+[_:=@]\S+                                       # a key, an option, an address
    | \S+\.(?:tex|txt|csv|dat|bib|pdf|e?ps|png|jpe?g|gif|svg|mp4|ipynb)
    | [-+]?(?:\d+\.?\d*|\.\d+)(?:pt|mm|cm|in|ex|em)     # a length
    | [-+.\d]*\\\w*(?:width|height|skip)
    | \w[\w-]*\s*=.*                                      # options
    )\s*""",
    re.VERBOSE | re.ASCII,
)
_PROSE = frozenset(("$", r"\_", r"\url"))


def skip_settings(source: Input) -> None:
    """Pass over the arguments that come next as far as they are no prose; a space parts those that are."""
    if source.peek() == "*":
        source.next()
    kept: list[str] = []
    while True:
        if source.peek() == "[":
            if read_optional(source) is None:
                break
        elif (argument := _short_argument(source)) is not None:
            if not is_setting(argument):
                kept += [" ", "{", *argument, "}"] if kept else ["{", *argument, "}"]
        else:
            break
    source.push(kept)


def is_setting(tokens: list[str]) -> bool:
    """Whether an argument is a key, a length, an option or a file, and not prose."""
    text = plain_text(tokens)
    return len(text) <= _MAX_CHARACTERS and not _PROSE.intersection(tokens) and _SETTING.fullmatch(text) is not None


def _short_argument(source: Input) -> list[str] | None:
    """The tokens in the braces that come next; None, and nothing is read, if none do or there are many."""
    if source.peek() != "{":
        return None
    read: list[str] = []
    depth = 0
    while len(read) < _MAX_TOKENS and (token := source.next()) is not None:
        read.append(token)
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth == 0:
            return read[1:-1]
        if token == PAR or (is_command(token) and token in (r"\begin", r"\end", r"\verb")):
            break
    source.push(read)
    return None
