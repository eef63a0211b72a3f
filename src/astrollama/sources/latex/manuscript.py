"""What the interpreter writes: a title and sections, each a list of pieces of text that become paragraphs at the end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

PARAGRAPH = "\n\n"
LINE = "\n"
ABSTRACT = "abstract"
LEAD = "lead"  # what stands before the first heading
ACKNOWLEDGEMENTS = "acknowledgements"
REFERENCES = "references"
APPENDIX = "appendix"
SECTION = "section"

_BLANKS = re.compile(r"[^\S\n]+")
_LINE_END = re.compile(r" *\n *")
_SPACE_BEFORE_STOP = re.compile(r" ([,;.])(?=[\s)]|$)")
_SECTION_SIGN = re.compile(r"§{1,2} ?(?=\[REF\])")
_EMPTY_BRACKETS = re.compile(r" \(\s{0,3}[,;]?\s{0,3}\)(?=[\s.,;]|$)")
_EMPTY_LIST = re.compile(r"\b(?:Facilit(?:y|ies)|Software):[ ,.;]*$", re.MULTILINE)
_SOMETHING = re.compile(r"[\w$\[]")  # in a paragraph that is more than left-over commas and stops
_LIGATURES = {"---": "—", "--": "–", "``": '"', "''": '"', "`": "'", "?`": "¿", "!`": "¡", ",,": "„"}
_LIGATURE = re.compile(r"---|--|``|''|[?!]`|,,|`")


@dataclass(slots=True)
class Part:
    """A stretch of the paper under one heading.

    Attributes:
        level: 1 for a section, 2 for a subsection, 3 for a subsubsection.
        role: what the source says that it is: `abstract`, `lead`, `section`, `appendix`, `acknowledgements`, `references`.
    """

    title: str
    level: int
    role: str
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The paragraphs, with an empty line between."""
        return prose(self.pieces)


class Manuscript:
    """Takes pieces of text in the order of the paper; a title or a heading is captured apart."""

    def __init__(self) -> None:
        self.title = ""
        self.in_appendix = False
        self.parts = [Part("", 1, LEAD)]
        self._captures: list[list[str]] = []
        self._target = self.parts[0].pieces

    def add(self, piece: str) -> None:
        """Add text as it is to be read: a word, a formula, `PARAGRAPH`."""
        self._target.append(piece)

    def add_word(self, word: str) -> None:
        """Add ordinary characters, whose dashes and quotation marks are TeX's."""
        if "-" in word or "`" in word or "'" in word or ",," in word:
            word = _LIGATURE.sub(lambda match: _LIGATURES[match[0]], word)
        self._target.append(word)

    @property
    def last(self) -> str:
        """The last character that was written, "" at the beginning."""
        return self._target[-1][-1:] if self._target else ""

    def begin_capture(self) -> None:
        """Keep what follows apart."""
        self._target = []
        self._captures.append(self._target)

    def end_capture(self) -> str:
        """What was kept apart, on one line."""
        captured = " ".join(prose(self._captures.pop()).split())
        self._target = self._captures[-1] if self._captures else self.parts[-1].pieces
        return captured

    def begin_part(self, title: str, level: int, role: str) -> None:
        """Put what follows under a heading."""
        if role == SECTION and self.in_appendix:
            role = APPENDIX
        self.parts.append(Part(title, level, role))
        self._target = self.parts[-1].pieces

    def end_abstract(self) -> None:
        """Go on after the abstract; nothing happens outside of one."""
        if self.parts[-1].role == ABSTRACT:
            self.begin_part("", 1, LEAD)

    def forget_preamble(self) -> None:
        """Leave out what was written before the document began, but for an abstract that stands there."""
        self.parts = [part for part in self.parts if part.role == ABSTRACT]
        self._captures = []
        self.begin_part("", 1, LEAD)


def prose(pieces: Iterable[str]) -> str:
    """Pieces of text as paragraphs: white space made plain, an empty line between paragraphs."""
    text = _BLANKS.sub(" ", "".join(pieces))
    text = _LINE_END.sub("\n", text)
    text = _SECTION_SIGN.sub("", text)
    text = _EMPTY_LIST.sub("", text)
    text = _EMPTY_BRACKETS.sub("", text)
    text = _SPACE_BEFORE_STOP.sub(r"\1", text)
    paragraphs = (paragraph.strip() for paragraph in text.split(PARAGRAPH))
    return PARAGRAPH.join(paragraph for paragraph in paragraphs if _SOMETHING.search(paragraph))
