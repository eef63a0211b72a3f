"""Texts divided for completion: the first sentences are the prompt, the rest is what the authors wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from astrollama.corpus.sentences import sentences
from astrollama.records import Document

PROMPT_WORDS = 25


@dataclass(frozen=True)
class Opening:
    """A document that can be divided, its first sentences and the rest."""

    document: Document
    prompt: str
    truth: str


def openings(documents: Sequence[Document]) -> list[Opening]:
    """The documents that can be divided, in their order."""
    return [Opening(document, *parts) for document in documents if (parts := split_opening(document.text)) is not None]


def split_opening(text: str) -> tuple[str, str] | None:
    """The first sentences of a text, at least `PROMPT_WORDS` words, and the rest; None where no sentence is left over."""
    parts = sentences(text)
    for count in range(1, len(parts)):
        prompt = " ".join(parts[:count])
        if len(prompt.split()) >= PROMPT_WORDS:
            return prompt, " ".join(parts[count:])
    return None
