"""A package to the text of its paper: the main file found, TeX read, sections named, a status given."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from astrollama.sources.latex.archive import Package
from astrollama.sources.latex.commands import MATHS, TEXT
from astrollama.sources.latex.files import find_file
from astrollama.sources.latex.interpreter import Interpreter
from astrollama.sources.latex.manuscript import PARAGRAPH
from astrollama.sources.latex.problems import ConversionError, NoTexError
from astrollama.sources.latex.sections import Kind, Section, sections_of

Status = Literal["ok", "partial", "no_tex", "failed"]
Parts = Literal["abstract", "introduction-conclusion", "full"]

PARTS: dict[Parts, frozenset[Kind]] = {
    "abstract": frozenset({"abstract"}),
    "introduction-conclusion": frozenset({"abstract", "introduction", "conclusion"}),
    "full": frozenset({"abstract", "introduction", "conclusion", "appendix", "acknowledgements", "other"}),
}

_CLASS = re.compile(
    r"^[^%\n]{0,200}?\\document(?:class|style)\s*(?:\[[^\]]{0,2000}\])?\s*\{([^}]{0,200})\}", re.MULTILINE
)
_INCLUDED = re.compile(r"\\(?:input|include|subfile)\s{0,9}\{?\s{0,9}([^\s{}%\\]{1,200})")
_USUAL_NAMES = ("ms", "main", "paper", "article", "manuscript")
_UNUSUAL_NAMES = re.compile(
    r"respon[sc]e|referee|reply|cover|letter_to|suppl|template|sample|author_?guide|aas_?sample|_old|diff"
)
_PLAIN_TEX = re.compile(
    r"\\(?:bye|end|magnification|input|def|title|beginsection|section|chapter|newsec|centerline|noindent|par)\b|\\begin\s*\{"
)


@dataclass(frozen=True, slots=True)
class PaperText:
    """What became of a package.

    Attributes:
        abstract: "" where none was found.
        reasons: why the status is not `ok`, in words that many papers share.
        detail: the same with the names of this paper.
    """

    status: Status
    reasons: tuple[str, ...]
    detail: str
    title: str = ""
    abstract: str = ""
    sections: tuple[Section, ...] = ()

    def text(self, parts: Parts) -> str:
        """The chosen parts, an empty line between them, headings as lines; acknowledgements only with `full`."""
        blocks = []
        for section in self.sections:
            if section.kind in PARTS[parts]:
                blocks += [section.title] if section.kind != "abstract" else []
                blocks.append(section.text)
        return PARAGRAPH.join(block for block in blocks if block)


def convert(package: Package) -> PaperText:
    """Convert a package.

    Raises:
        NoTexError: no file of it is a paper.
        ConversionError: it is beyond a limit, or there is no text in it.
    """
    main = main_file(package.files, package.toplevel)
    interpreter = Interpreter(package.files, TEXT, MATHS)
    text = package.files[main]
    document_class = _CLASS.search(text)
    if document_class is not None:
        interpreter.document_class = document_class[1].strip()
    interpreter.in_body = "\\begin{document}" not in text and document_class is None
    interpreter.input.push_file(text, main)
    manuscript = interpreter.run()
    sections = sections_of(manuscript.parts)
    if not any(section.text for section in sections):
        raise ConversionError("no text was found")
    missing = [
        f"no {kind}" for kind in ("abstract", "introduction", "conclusion") if not any(s.kind == kind for s in sections)
    ]
    reasons = [*missing, *package.problems.kinds, *interpreter.problems.kinds]
    details = [*missing, str(package.problems), str(interpreter.problems)]
    abstract = PARAGRAPH.join(section.text for section in sections if section.kind == "abstract")
    return PaperText(
        "partial" if reasons else "ok",
        tuple(reasons),
        "; ".join(detail for detail in details if detail),
        manuscript.title,
        abstract,
        tuple(_abstract_first(sections)),
    )


def main_file(files: Mapping[str, str], toplevel: str) -> str:
    """The file that the paper begins with.

    The one that arXiv's 00README names; else, of those with a document class, one that others do not include, with a usual
    name, or the longest.

    Raises:
        NoTexError: no file is a paper.
    """
    classes = {name: match[1] for name, text in files.items() if (match := _CLASS.search(text)) and _may_be_tex(name)}
    if toplevel and (found := find_file(files, toplevel, "")) is not None:
        return found
    if not classes:
        plain = [name for name, text in files.items() if _may_be_tex(name) and _PLAIN_TEX.search(text)]
        if not plain:
            raise NoTexError("no TeX among its files")
        return max(plain, key=lambda name: (len(files[name]), name))
    included = {
        found
        for name in classes
        for match in _INCLUDED.finditer(files[name])
        if (found := find_file(files, match[1], posixpath.dirname(name))) is not None and found != name
    }

    def preference(name: str) -> tuple[object, ...]:
        stem = posixpath.splitext(posixpath.basename(name))[0].lower()
        return (
            name not in included,
            classes[name].strip() not in ("subfiles", "standalone", "beamer", "letter"),
            "\\begin{document}" in files[name],
            not _UNUSUAL_NAMES.search(stem),
            stem in _USUAL_NAMES,
            -name.count("/"),
            len(files[name]),
            name,
        )

    return max(classes, key=preference)


def _may_be_tex(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() not in (
        ".sty",
        ".cls",
        ".txt",
        ".md",
        ".bib",
        ".bst",
        ".bbl",
        ".cfg",
        ".def",
    )


def _abstract_first(sections: Sequence[Section]) -> list[Section]:
    """The abstract before everything else, where it stands in the paper's printed form."""
    return [s for s in sections if s.kind == "abstract"] + [s for s in sections if s.kind != "abstract"]
