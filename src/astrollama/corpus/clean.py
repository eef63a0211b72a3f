"""Repair of text: broken encodings and white space; maths, accents and quotation marks stay as they are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial

from astrollama.errors import UserInputError
from astrollama.records import Document, Dropped, Paper

_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
_BLANK_LINES = re.compile(r"\n\n+")
_SPACE = re.compile(r"\s+")
_ENTITY_OF_ENTITIES = re.compile(r"&(?:amp;)+", re.IGNORECASE)  # ftfy would take them off one by one
_WORD = re.compile(r"\w+")
# left behind by who copied the text: a name or a day, in a paragraph of its own at the end
_SIGNATURE = re.compile(r"(?:\n\n(?:by [^\n]{1,80}|\d{4}-\d{2}-\d{2}))+\Z")
_MAX_PASSES = 8


def repair_texts(texts: Sequence[str]) -> list[str]:
    """Texts that a user gives, repaired as those of a corpus are; what is no Unicode in them becomes a question mark.

    Raises:
        UserInputError: a text is empty.
    """
    repaired = [repair(text.encode("utf-8", "replace").decode("utf-8")) for text in texts]
    for number, text in enumerate(repaired, start=1):
        if not text.strip():
            raise UserInputError(f"text {number} of {len(texts)} is empty", "give at least one word")
    return repaired


def document_of_paper(paper: Paper) -> Document:
    """The document that a paper's abstract becomes: the text as it came, not yet repaired; "" where there is none."""
    text = paper.abstract or ""
    return Document(
        id=paper.arxiv_id,
        text=text,
        title=paper.title,
        categories=paper.categories,
        primary_category=paper.primary_category,
        date=paper.date,
        licence=paper.licence,
        content_hash=content_hash(text),
        origin=paper.origin,
    )


def content_hash(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hex; lone surrogates, which UTF-8 cannot hold, are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def words_of(text: str) -> list[str]:
    """The words of a text as duplicates and shared text are looked for: without case and punctuation."""
    return _WORD.findall(text.lower())


class Clean:
    """Repair the text and the title of each document, and take signatures off the text's end."""

    def apply(self, documents: Iterator[Document]) -> Iterator[Document | Dropped]:
        """Yield every document, repaired."""
        for document in documents:
            text = _SIGNATURE.sub("", repair(document.text))
            title = _SPACE.sub(" ", repair(document.title))
            yield replace(document, text=text, title=title, content_hash=content_hash(text))


def repair(text: str) -> str:
    r"""Undo mojibake and HTML entities, and make white space plain.

    Lines that were wrapped are joined, runs of white space become one space, and a blank line stays between paragraphs.
    `$\alpha$`, `é` and curly quotation marks come out as they went in; Unicode is composed (NFC). What comes out is not
    changed by a second repair.
    """
    for _ in range(_MAX_PASSES):
        # white space and invisible characters can hide damage from ftfy, so that it looks again after they are gone
        repaired = _plain_space(_fixer()(_ENTITY_OF_ENTITIES.sub("&amp;", text)))
        if repaired == text:
            break
        text = repaired
    return text


def _plain_space(text: str) -> str:
    lines = "\n".join(line.strip() for line in _INVISIBLE.sub("", text).split("\n"))
    paragraphs = (_SPACE.sub(" ", paragraph).strip() for paragraph in _BLANK_LINES.split(lines))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


@cache
def _fixer() -> Callable[[str], str]:
    import ftfy

    return partial(
        ftfy.fix_text, config=ftfy.TextFixerConfig(uncurl_quotes=False, unescape_html=True, normalization="NFC")
    )
