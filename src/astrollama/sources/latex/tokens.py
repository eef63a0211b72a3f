r"""TeX source to tokens, one at a time, and the stack of what is still to be read.

A token is a `str`: a command with its backslash (`\alpha`), one of the special characters, a run of ordinary characters,
`" "` for white space, `PAR` for an empty line, and `SOFT` for the white space behind a command, which TeX swallows.
Nothing is read ahead, for a command may change how the next character is read (`\verb`, `\makeatletter`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from astrollama.sources.latex.limits import MAX_INPUT_DEPTH, MAX_PENDING_LISTS, MAX_RAW_CHARACTERS, MAX_TOKENS
from astrollama.sources.latex.problems import ConversionError

SOFT = "\x1f"
PAR = "\\par"
SPACES = frozenset((" ", SOFT))
SPECIAL = frozenset("{}$&#^_~[]*=")

_PATTERN = r"""(?P<word>[^\\{{}}$&\#^_~%\s\[\]*=]+)
|(?P<space>\s+)
|(?P<name>\\[{letters}]+)
|(?P<symbol>\\.)
|(?P<special>[{{}}$&\#^_~\[\]*=])
|(?P<comment>%[^\n]*(?:\n[ \t]*)?)"""
_LETTERS = re.compile(_PATTERN.format(letters="A-Za-z"), re.VERBOSE | re.DOTALL)
_LETTERS_AND_AT = re.compile(_PATTERN.format(letters="A-Za-z@"), re.VERBOSE | re.DOTALL)
_SPACE = re.compile(r"\s+")
_OPENING_BRACE = re.compile(r"\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")


def is_command(token: str) -> bool:
    r"""Whether a token is a command, `\alpha` or `\%`."""
    return token.startswith("\\")


def is_word(token: str) -> bool:
    """Whether a token is a run of ordinary characters."""
    return token[:1] not in ("", "\\") and token not in SPECIAL and token not in SPACES


def decode(data: bytes) -> str:
    """A file's text: UTF-8, else Latin-1; control characters and carriage returns go."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    return _CONTROL_CHARACTERS.sub("", text)


class _List:
    """Tokens to be read again: an expansion, an argument, what was looked at and put back."""

    __slots__ = ("_index", "_tokens")

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._index = 0

    def next(self) -> str | None:
        index = self._index
        if index == len(self._tokens):
            return None
        self._index = index + 1
        return self._tokens[index]

    @property
    def is_exhausted(self) -> bool:
        return self._index == len(self._tokens)


class _File:
    """The characters of a file."""

    __slots__ = ("_after_comment", "_position", "_soft", "_source", "_text", "name")

    def __init__(self, source: Input, text: str, name: str) -> None:
        self._source = source
        self._text = text
        self._position = 0
        self._soft = False
        self._after_comment = False
        self.name = name

    def next(self) -> str | None:
        if self._soft:
            self._soft = False
            return SOFT
        while True:
            pattern = _LETTERS_AND_AT if self._source.at_is_letter else _LETTERS
            match = pattern.match(self._text, self._position)
            if match is None:  # the end, or a backslash that nothing follows
                self._position = len(self._text)
                return None
            self._position = match.end()
            kind = match.lastgroup
            if kind == "comment":
                self._after_comment = True
                continue
            after_comment, self._after_comment = self._after_comment, False
            token = match[0]
            if kind == "space":
                num_lines = token.count("\n") + after_comment
                return PAR if num_lines > 1 else " "
            if kind == "name":
                self._swallow_space()
            elif kind == "symbol" and token[1].isspace():
                return "\\ "
            return token

    def raw_until(self, end: str, limit: int) -> str | None:
        """The characters before `end`, which is passed over too; None, and nothing is read, if it does not come."""
        found = self._text.find(end, self._position, self._position + limit)
        if found < 0:
            return None
        start, self._position, self._soft = self._position, found + len(end), False
        return self._text[start:found]

    def raw_group(self) -> str | None:
        """What stands between the braces that come next, as it is; None, and nothing is read, if none do."""
        match = _OPENING_BRACE.match(self._text, self._position)
        if match is None:
            return None
        depth, position = 1, match.end()
        for brace in _BRACE.finditer(self._text, position, position + MAX_RAW_CHARACTERS):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if depth == 0:
                self._position, self._soft = brace.end(), False
                return self._text[position : brace.start()]
        return None

    def raw_character(self) -> str:
        """The next character, "" at the end."""
        self._soft = False
        self._position += 1
        return self._text[self._position - 1 : self._position]

    def _swallow_space(self) -> None:
        match = _SPACE.match(self._text, self._position)
        if match is not None and match[0].count("\n") < 2:
            self._position = match.end()
            self._soft = True


class Input:
    r"""What is still to be read: files and lists of tokens, the last one pushed first.

    Attributes:
        damage: what was found to be broken while arguments were read.
        at_is_letter: whether `@` belongs to the names of commands, as between `\makeatletter` and `\makeatother`.
    """

    def __init__(self) -> None:
        self.at_is_letter = False
        self.damage: dict[str, None] = {}
        self._stack: list[_List | _File] = []
        self._open_files: list[str] = []
        self._num_read = 0

    def next(self) -> str | None:
        """The next token, None at the end of everything.

        Raises:
            ConversionError: more tokens were read than any paper has.
        """
        self.charge(1)
        stack = self._stack
        while stack:
            token = stack[-1].next()
            if token is not None:
                return token
            self._pop()
        return None

    def peek(self) -> str | None:
        """The token that `next` will give."""
        token = self.next()
        if token is not None:
            self.push([token])
        return token

    def push(self, tokens: list[str]) -> None:
        """Put tokens in front of what is still to be read; the list must not be changed afterwards.

        Raises:
            ConversionError: expansions are nested without end.
        """
        stack = self._stack
        while stack and isinstance(stack[-1], _List) and stack[-1].is_exhausted:
            stack.pop()  # so that a macro that ends in itself does not pile up
        if len(stack) > MAX_PENDING_LISTS:
            raise ConversionError("macros are nested without end")
        stack.append(_List(tokens))

    def push_file(self, text: str, name: str) -> None:
        """Read a file before what is still to be read.

        Raises:
            ConversionError: too many files are open.
        """
        if len(self._open_files) >= MAX_INPUT_DEPTH:
            raise ConversionError(f"files are included deeper than {MAX_INPUT_DEPTH}")
        self._stack.append(_File(self, text, name))
        self._open_files.append(name)

    def is_open(self, name: str) -> bool:
        """Whether a file is being read."""
        return name in self._open_files

    @property
    def current_file(self) -> str:
        """The name of the file that is being read, "" where there is none."""
        return self._open_files[-1] if self._open_files else ""

    def end_file(self) -> None:
        """Leave out the rest of the file that is being read."""
        while self._stack and not isinstance(self._stack[-1], _File):
            self._stack.pop()
        if self._stack:
            self._pop()

    def charge(self, num_tokens: int) -> None:
        """Count tokens towards the limit of a paper.

        Raises:
            ConversionError: the limit is reached.
        """
        self._num_read += num_tokens
        if self._num_read > MAX_TOKENS:
            raise ConversionError(f"macros expand to more than {MAX_TOKENS:,} tokens")

    def raw_until(self, end: str, limit: int = MAX_RAW_CHARACTERS) -> str | None:
        """The characters before `end` in the file that is being read; None if it does not come or a macro is."""
        file = self._file()
        return None if file is None else file.raw_until(end, limit)

    def raw_group(self) -> str | None:
        """What stands between the next braces, comment signs included; None if a macro is being read."""
        file = self._file()
        return None if file is None else file.raw_group()

    def raw_character(self) -> str:
        """The next character as it is, "" if a macro is being read."""
        file = self._file()
        return "" if file is None else file.raw_character()

    def _file(self) -> _File | None:
        while self._stack and isinstance(self._stack[-1], _List) and self._stack[-1].is_exhausted:
            self._stack.pop()
        top = self._stack[-1] if self._stack else None
        return top if isinstance(top, _File) else None

    def _pop(self) -> None:
        if isinstance(self._stack.pop(), _File):
            self._open_files.pop()


def plain_text(tokens: Iterable[str]) -> str:
    """Tokens as they stood in the source: names, keys, numbers."""
    return "".join(" " if token in SPACES or token == PAR else token for token in tokens).strip()
