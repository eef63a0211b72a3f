r"""Maths as LaTeX: what stands between `$` signs or in a display, with the paper's own macros expanded.

Text inside of maths (`\mbox{…}`) may hold maths again, between dollar signs. Those would end the formula for whoever reads
the text, so the box is closed before and opened again after: `\mbox{a $b$ c}` becomes `\mbox{a }b\mbox{ c}`.
"""

from __future__ import annotations

import re

from astrollama.sources.latex.tokens import PAR, SOFT
from astrollama.sources.latex.vocabulary import ALIGNED, TEXT_IN_MATHS

_IN_MATHS, _IN_TEXT = 0, 1  # what the braces hold that are open; above stands maths within that many braces of text
_EMPTY_BOX = re.compile(r"\\[hm]box ?(?:\{\}|\{\{\}\})")
_ONLY_SPACE = re.compile(r"(?:\\[,;:!> ]|\\q?quad|[~\s])+")
_WHITE_SPACE = re.compile(r"\s+")


class Formula:
    r"""One formula that is being written.

    Attributes:
        closer: the token that ends it: `$`, `$$`, `\)`, `\]`, `}` for \ensuremath, or the name of an environment.
        num_environments: how many environments are open within it.
    """

    def __init__(self, closer: str) -> None:
        self.closer = closer
        self._pieces: list[str] = []
        self._open: list[int] = []
        self._num_pieces = 0  # that stand before a number typed with \eqno, 0 where none is
        self.num_environments = 0
        self._box_follows = False

    @property
    def is_display(self) -> bool:
        """Whether it stands on a line of its own."""
        return self.closer not in ("$", "\\)", "}", "math")

    @property
    def depth(self) -> int:
        """How many braces are open."""
        return len(self._open)

    @property
    def is_text(self) -> bool:
        """Whether text inside of the formula is being written."""
        return bool(self._open) and self._open[-1] == _IN_TEXT

    def add(self, token: str) -> None:
        """Write a token that neither opens nor closes anything."""
        pieces = self._pieces
        if not token:
            return
        if token in (SOFT, PAR):
            token = " "
        elif token in (r"\eqno", r"\leqno"):
            self._num_pieces = self._num_pieces or len(pieces)
        elif pieces and token[0].isalpha() and pieces[-1][0] == "\\" and pieces[-1][-1].isalpha():
            pieces.append(" ")
        self._box_follows = token in TEXT_IN_MATHS or (self._box_follows and token[0] != "\\")  # \hbox to 0pt{…}
        pieces.append(token)

    def open_brace(self) -> None:
        """Write `{`."""
        self._open.append(_IN_TEXT if self._box_follows or self.is_text else _IN_MATHS)
        self._box_follows = False
        self._pieces.append("{")

    def close_brace(self) -> None:
        """Write `}`; there must be an open brace."""
        while self._open and self._open[-1] > _IN_TEXT:  # maths within the box, which was not closed
            self._reopen_box()
        if self._open:
            self._open.pop()
            self._pieces.append("}")

    def dollar(self) -> bool:
        """Take a dollar sign; whether it belongs to a box within the formula, and not to the formula itself."""
        if self.is_text:
            depth = 0
            for state in reversed(self._open):
                if state != _IN_TEXT:
                    break
                depth += 1
            self._pieces.append("}" * depth)
            self._open.append(_IN_TEXT + depth)
            return True
        if self._open and self._open[-1] > _IN_TEXT:
            self._reopen_box()
            return True
        return False

    def latex(self) -> str:
        """The formula with its dollar signs, on one line; "" if there is nothing in it, " " if only space is."""
        while self._open:
            self.close_brace()
        while self._pieces and self._pieces[-1] == "\\ ":  # to strip its space would leave a backslash
            self._pieces.pop()
        content = _EMPTY_BOX.sub("", "".join(self._pieces[: self._num_pieces or None]))
        content = _WHITE_SPACE.sub(" ", content).strip()
        if not content or _ONLY_SPACE.fullmatch(content):
            return " " if content else ""
        environment = ALIGNED.get(self.closer.rstrip("*"))
        if environment and ("&" in content or "\\\\" in content):
            content = f"\\begin{{{environment}}} {content} \\end{{{environment}}}"
        return f"$${content}$$" if self.is_display else f"${content}$"

    def _reopen_box(self) -> None:
        depth = self._open.pop() - _IN_TEXT
        self._pieces.append("\\mbox" + "{" * depth)
