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
    r"^introd?|introdu[ck]|introducci[oó]n|einleitung|^(?:scientific |science )?(?:background|motivation)|^overview$|^prologue$"
)
_CONCLUSION = re.compile(
    r"conclu[sd]|conclusi[oó]n|zusammenfassung|^(?:a )?(?:brief |final )?summary(?:$|,| and| &|:|;)|"
    r"^summary of (?:the |our |main )*(?:results|findings|conclusions|paper)|and summary$|& summary$|^summari[sz]"
)
_CLOSING = re.compile(  # where nothing is named a conclusion
    r"^(?:closing|final) (?:remarks|thoughts|comments|discussion)|^epilogue|outlook|^take-?home|take-?aways?\b|^lessons learn|"
    r"^(?:key|main) (?:findings|points|results)|perspectives?$|prospects?$|future (?:work|directions|plans)$"
)
_DISCUSSION = re.compile(r"^discussions?\b|\bdiscussions?$")
_ACKNOWLEDGEMENTS = re.compile(
    r"^acknowled?ge?ments?|^acknowlegde?ments?|^agradecimientos|^remerciements|^funding$|^data (?:and [a-z]+ )?availability|"
    r"^(?:credit )?author(?:ship|s)? contributions?|^(?:conflicts?|declaration) of|^competing interests|"
    r"^(?:software|facility|facilities)$|^orcid"
)
_REFERENCES = re.compile(
    r"^(?:references|bibliography|literature cited|refer[eê]nc[ei]as?|"
    r"(?:figure|table) (?:captions?|legends?)|figures?|tables?)(?: and notes)?$"
)
_FRAME = re.compile(  # headings that are set by hand even where the sections are not
    r"(?:abstract|(?:references|bibliography|literature cited)(?: and notes)?|(?:figure|table) (?:captions?|legends?)|tables|"
    r"acknowledg[e]?ments?|supplement(?:al|ary) (?:materials?|information))",
    re.IGNORECASE,
)
_HEADINGS_WITHOUT_COMMAND = re.compile(
    r"(introduction|conclusions?|concluding remarks|summary(?: and (?:conclusions?|discussion))?|discussion"
    r"(?: and conclusions?)?|methods?)",
    re.IGNORECASE,
)
_RUN_IN = re.compile(
    r"(introduction|conclusions?|concluding remarks|summary(?: and (?:conclusions?|outlook|discussion))?"
    r"|discussion(?: and conclusions?)?)\s*(?:[.:]|\.?\s?[—–])+\s*",
    re.IGNORECASE,
)
_RUN_IN_FRAME = re.compile(
    r"(abstract|acknowledg[e]?ments?|data (?:and [a-z]+ )?availability(?: statement)?|author contributions|conflicts? of interest|"
    r"competing interests|supplement(?:al|ary) (?:materials?|information)|funding|(?:facilit(?:y|ies)|software)(?=:))"
    r"\s*(?:[.:]|\.?\s?[—–])+\s*",
    re.IGNORECASE,
)
_CLOSING_WORDS = re.compile(
    r"(?:in (?:summary|conclusion)|to (?:summari[sz]e|conclude)|we (?:conclude|summari[sz]e)|in this (?:letter|paper|work),? "
    r"we have|we have (?:shown|presented|demonstrated))",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"(?:we|i|the authors?) (?:would like to |wish to |also |gratefully )*(?:thank|acknowledge|are grateful|am grateful)|"
    r"this (?:work|research) (?:was|is|has been) (?:partially |partly )?(?:supported|funded)",
    re.IGNORECASE,
)
_REPORTS = re.compile(
    r"\bhere,? we\b|\bin this (?:letter|paper|work|article)\b|"
    r"\bwe (?:report|present|show|find|study|consider|investigate|describe|discuss|review|examine|analy[sz]e|use|propose)\b",
    re.IGNORECASE,
)
_KEYWORDS = re.compile(
    r"(?:key ?-?words|subject headings|index terms|pacs(?: numbers?)?)\b.{0,40}?[:.—–-]", re.IGNORECASE
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
    is_headless = not any(section.title for section in found if section.kind == "other")
    found = [piece for section in found for piece in _split(section, is_headless=is_headless)]
    leads = {index for index, section in enumerate(found) if not section.title and section.kind == "other"}
    found = [_without_keywords(section) for section in _with_abstract(found, leads)]
    found = _with_introduction(found, leads)
    found = _with_conclusion(found)
    if not any(section.kind == "conclusion" for section in found):
        found = [piece for section in found for piece in _split_closing(section)]
    return _without_empty(found)


def plain_title(title: str) -> str:
    """A heading without a number typed before it and a stop behind."""
    return _NUMBERING.sub("", title).strip().rstrip(".:").strip()


def _topic(title: str) -> str:
    """A heading as it is compared."""
    return _BARE_NUMBER.sub("", title.lower())


def _with_abstract(sections: list[Section], leads: set[int]) -> list[Section]:
    """Where no abstract is marked, a paragraph that reads like one: before the introduction's heading, else the first."""
    if any(section.kind == "abstract" for section in sections):
        return sections
    for index in sorted(leads):
        paragraphs = sections[index].text.split(PARAGRAPH)
        reports = [i for i, text in enumerate(paragraphs) if _is_long(text) and _REPORTS.search(text)]
        following = [_topic(s.title) for s in sections[index + 1 :] if s.title and s.kind == "other"]
        is_front = bool(following) and _INTRODUCTION.search(following[0]) is not None
        if not reports:
            continue
        place = reports[-1 if is_front else 0]
        rest = PARAGRAPH.join(paragraphs[place + 1 :])
        if is_front or _is_long(rest):
            abstract = Section("", 1, "abstract", paragraphs[place])
            return [*sections[:index], replace(sections[index], text=rest), *sections[index + 1 :], abstract]
    return sections


def _is_long(text: str) -> bool:
    return len(text.split()) >= _MIN_LEAD_WORDS


def _without_keywords(section: Section) -> Section:
    """An abstract without the list of keywords that was typed behind it."""
    if section.kind != "abstract":
        return section
    paragraphs = section.text.split(PARAGRAPH)
    return replace(section, text=PARAGRAPH.join(text for text in paragraphs if not _KEYWORDS.match(text)))


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
        if sections[index].kind == "other" and _is_long(sections[index].text):
            front = {other for other in leads if other < index}
            marked = _mark(sections, index, "introduction")
            return [section for i, section in enumerate(marked) if i not in front]
    return sections


def _with_conclusion(sections: list[Section]) -> list[Section]:
    """Mark the conclusion: a section, else a subsection at the end of the last section, else the discussion."""
    others = [index for index, s in enumerate(sections) if s.kind == "other"]
    main = [index for index in others if sections[index].level == 1 and sections[index].title]
    for pattern in (_CONCLUSION, None, _CLOSING, _DISCUSSION):
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


def _split(section: Section, *, is_headless: bool) -> list[Section]:
    """Find headings that are only lines or first words: the paper's frame, and in Letters and plain TeX the sections too."""
    if section.kind not in ("other", "acknowledgements"):
        return [section]
    found: list[tuple[str, list[str]]] = [("", [])]
    is_numbered = False
    for paragraph in section.text.split(PARAGRAPH):
        line = plain_title(paragraph) if len(paragraph) < _MAX_HEADING_CHARACTERS else ""
        is_section = is_headless and bool(
            _HEADINGS_WITHOUT_COMMAND.fullmatch(line) or (is_numbered and line and _is_numbered_line(paragraph))
        )
        match = _RUN_IN_FRAME.match(paragraph) or (_RUN_IN.match(paragraph) if is_headless else None)
        if is_section or _FRAME.fullmatch(line):
            is_numbered = is_numbered or (is_section and line != paragraph.rstrip(".:"))
            found.append((line, []))
        elif match:
            found.append((match[1], [paragraph[match.end() :]]))
        else:
            found[-1][1].append(paragraph)
    first = replace(section, text=PARAGRAPH.join(found[0][1]))
    return [first] + [
        Section(title, 1, _kind_of_line(title), PARAGRAPH.join(paragraphs))
        for title, paragraphs in found[1:]
        if not _REFERENCES.match(title.lower())
    ]


def _is_numbered_line(paragraph: str) -> bool:
    return _NUMBERING.match(paragraph) is not None and paragraph[-1] not in ".,;:"


def _split_closing(section: Section) -> list[Section]:
    """The closing paragraphs of a text without headings apart, as its conclusion."""
    if section.title or section.kind not in ("other", "introduction"):
        return [section]
    paragraphs = section.text.split(PARAGRAPH)
    for index in range(len(paragraphs) - 1, max(len(paragraphs) // 2, len(paragraphs) - 4), -1):
        if index and _CLOSING_WORDS.match(paragraphs[index]):
            thanks = [i for i in range(index, len(paragraphs)) if _THANKS.match(paragraphs[i])]
            end = thanks[0] if thanks else len(paragraphs)
            return [
                replace(section, text=PARAGRAPH.join(paragraphs[:index])),
                Section("", 1, "conclusion", PARAGRAPH.join(paragraphs[index:end])),
                Section("", 1, "acknowledgements", PARAGRAPH.join(paragraphs[end:])),
            ]
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
