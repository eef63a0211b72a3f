"""Which section is the introduction, which the conclusion: told by their titles, else by where they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from astrollama.sources.latex.manuscript import ABSTRACT, ACKNOWLEDGEMENTS, APPENDIX, PARAGRAPH, REFERENCES, Part

Kind = Literal["abstract", "introduction", "conclusion", "appendix", "acknowledgements", "other"]

_MAX_HEADING_CHARACTERS = 80
_MIN_LEAD_WORDS = 60  # fewer before the first heading are a dedication or a note, not an introduction
# with a stop or a bracket behind it; a bare number may belong to the title, as in "21 cm observations"
_NUMBERING = re.compile(r"^§? ?(?:\d+|[IVX]+|[A-Z])(?:\.\d+)*(?:[.):]+ ?(?:--|–|—)?\s*)(?=\D)")
_BARE_NUMBER = re.compile(r"^(?:\d+(?:\.\d+)*|[ivx]+)\s+")
_INTRODUCTION = re.compile(
    r"introdu[ck]|introducci[oó]n|einleitung|^(?:scientific |science )?(?:background|motivation)|^overview$|^prologue$"
)
_CONCLUSION = re.compile(
    r"conclu[sd]|conclusi[oó]n|zusammenfassung|^(?:a )?(?:brief |final )?summary(?:$|,| and| &|:|;)|"
    r"^summary of (?:the |our |main )*(?:results|findings|conclusions|paper)|and summary$|& summary$|^summari[sz]|"
    r"^(?:closing|final|concluding) (?:remarks|thoughts|comments)|^epilogue|^outlook|^take-?home"
)
_DISCUSSION = re.compile(r"^discussions?\b|\bdiscussions?$")
_ACKNOWLEDGEMENTS = re.compile(
    r"^acknowled?ge?ments?|^acknowlegde?ments?|^agradecimientos|^remerciements|^funding$|^data availability|"
    r"^(?:credit )?author(?:ship|s)? contributions?|^(?:conflicts?|declaration) of|^competing interests|^(?:software|facilities)$|^orcid"
)
_REFERENCES = re.compile(
    r"^(?:references|bibliography|literature cited|refer[eê]nc[ei]as?|figure captions?|figures?|tables?)$"
)
_HEADINGS_WITHOUT_COMMAND = re.compile(
    r"(abstract|introduction|conclusions?|concluding remarks|summary(?: and (?:conclusions?|discussion))?|discussion"
    r"(?: and conclusions?)?|acknowledg[e]?ments?|references|bibliography)",
    re.IGNORECASE,
)
_RUN_IN = re.compile(
    r"(introduction|conclusions?|concluding remarks|summary(?: and (?:conclusions?|outlook|discussion))?"
    r"|discussion(?: and conclusions?)?|acknowledg[e]?ments?)\s*(?:[.:]|\.?\s?[—–])+\s*",
    re.IGNORECASE,
)
_CLOSING_WORDS = re.compile(
    r"(?:in (?:summary|conclusion)|to (?:summari[sz]e|conclude)|we (?:conclude|summari[sz]e)|in this (?:letter|paper|work),? "
    r"we have|we have (?:shown|presented|demonstrated))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a paper under one heading: `level` 1 is a section, 2 a subsection, 3 a subsubsection."""

    title: str
    level: int
    kind: Kind
    text: str


def sections_of(parts: Sequence[Part]) -> list[Section]:
    """The sections of a manuscript, each with its kind; references are left out, and headings with nothing under them."""
    found: list[Section] = []
    kind: Kind | None = "other"
    for part in parts:
        title = plain_title(part.title)
        lower = _topic(title)
        if part.role == APPENDIX and not _ACKNOWLEDGEMENTS.match(lower):
            kind = "appendix"
        elif part.role == REFERENCES or (part.level == 1 and _REFERENCES.match(lower)):
            kind = None
        elif part.role == ABSTRACT or (part.level == 1 and lower in ("abstract", "resumen", "résumé")):
            kind = "abstract"
        elif part.role == ACKNOWLEDGEMENTS or _ACKNOWLEDGEMENTS.match(lower):
            kind = "acknowledgements"
        elif part.level == 1 or kind in ("acknowledgements", None):
            kind = "other"
        if kind is not None:
            found.append(Section(title, part.level, kind, part.text))
    leads = {index for index, section in enumerate(found) if not section.title and section.kind == "other"}
    if not any(section.title for section in found if section.kind == "other"):
        found = [piece for section in found for piece in _split_headless(section)]
        leads = {index for index, section in enumerate(found) if not section.title and section.kind == "other"}
    found = _with_introduction(found, leads)
    found = _with_conclusion(found)
    return _without_empty(found)


def plain_title(title: str) -> str:
    """A heading without a number typed before it and a stop behind."""
    return _NUMBERING.sub("", title).strip().rstrip(".:").strip()


def _topic(title: str) -> str:
    """A heading as it is compared."""
    return _BARE_NUMBER.sub("", title.lower())


def _with_introduction(sections: list[Section], leads: set[int]) -> list[Section]:
    candidates = [
        index
        for index, s in enumerate(sections)
        if s.kind == "other" and s.level == 1 and _INTRODUCTION.search(_topic(s.title))
    ]
    if candidates:  # what stands before it are authors and addresses
        front = {index for index in leads if index < candidates[0] and sections[index].kind == "other"}
        marked = _mark(sections, candidates[0], "introduction")
        return [section for index, section in enumerate(marked) if index not in front]
    for index in sorted(leads):
        if sections[index].kind == "other" and len(sections[index].text.split()) >= _MIN_LEAD_WORDS:
            return _mark(sections, index, "introduction")
    return sections


def _with_conclusion(sections: list[Section]) -> list[Section]:
    """Mark the conclusion: a section, else a subsection at the end of the last section, else the discussion."""
    others = [index for index, s in enumerate(sections) if s.kind == "other"]
    main = [index for index in others if sections[index].level == 1 and sections[index].title]
    for pattern in (_CONCLUSION, None, _DISCUSSION):
        if pattern is None:
            last = main[-1] if main else 0
            found = [
                i
                for i in others
                if i > last and sections[i].level > 1 and _CONCLUSION.search(_topic(sections[i].title))
            ]
        else:
            found = [i for i in main if pattern.search(_topic(sections[i].title))]
        if found:
            return _mark(sections, found[-1], "conclusion")
    return sections


def _mark(sections: list[Section], index: int, kind: Kind) -> list[Section]:
    """Give a section and what lies under it a kind."""
    marked = list(sections)
    level = sections[index].level
    marked[index] = replace(sections[index], kind=kind)
    for below in range(index + 1, len(sections)):
        if sections[below].level <= level or sections[below].kind != "other":
            break
        marked[below] = replace(sections[below], kind=kind)
    return marked


def _split_headless(section: Section) -> list[Section]:
    """Find headings that are only lines or first words, as in plain TeX and in Letters; else the closing paragraphs."""
    if section.kind != "other":
        return [section]
    found: list[tuple[str, list[str]]] = [("", [])]
    for paragraph in section.text.split(PARAGRAPH):
        line = plain_title(paragraph) if len(paragraph) < _MAX_HEADING_CHARACTERS else ""
        if line and _HEADINGS_WITHOUT_COMMAND.fullmatch(line):
            found.append((line, []))
        elif match := _RUN_IN.match(paragraph):
            found.append((match[1], [paragraph[match.end() :]]))
        else:
            found[-1][1].append(paragraph)
    pieces = [
        Section(title, 1, _kind_of_line(title), PARAGRAPH.join(paragraphs))
        for title, paragraphs in found
        if not _REFERENCES.match(title.lower())
    ]
    if any(_CONCLUSION.search(piece.title.lower()) for piece in pieces):
        return pieces
    return [*_split_closing(pieces[0]), *pieces[1:]] if pieces and not pieces[0].title else pieces


def _split_closing(section: Section) -> list[Section]:
    paragraphs = section.text.split(PARAGRAPH)
    for index in range(len(paragraphs) - 1, max(len(paragraphs) // 2, len(paragraphs) - 4), -1):
        if index and _CLOSING_WORDS.match(paragraphs[index]):
            head, tail = PARAGRAPH.join(paragraphs[:index]), PARAGRAPH.join(paragraphs[index:])
            return [replace(section, text=head), Section("", 1, "conclusion", tail)]
    return [section]


def _kind_of_line(line: str) -> Kind:
    lower = line.lower()
    if lower == "abstract":
        return "abstract"
    return "acknowledgements" if _ACKNOWLEDGEMENTS.match(lower) else "other"


def _without_empty(sections: list[Section]) -> list[Section]:
    """Without headings that nothing stands under, neither text nor a subsection."""
    kept: list[Section] = []
    for section in reversed(sections):
        below = kept[-1] if kept else None
        leads_on = below is not None and below.level > section.level and below.kind == section.kind and section.title
        if section.text or leads_on:
            kept.append(section)
    return kept[::-1]
