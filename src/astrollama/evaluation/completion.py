"""Completions: both models continue the first sentences of held-out abstracts, beside what the authors wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from astrollama.backends.base import LanguageModel
from astrollama.records import Document
from astrollama.sections import EvaluateSection

VERSION = 1
PROMPT_WORDS = 25

# A sentence ends at . ? or ! before a space and a capital, a digit or maths, but not after these.
_END = re.compile(r"(?<=[.?!])[\s\n]+(?=[\"'“(\[]*[A-ZÀ-Þ$\\\d])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|al|Fig|Figs|Eq|Eqs|Sect|Sec|Ref|Refs|No|ca|approx|resp|Dr|St|[A-Z])\.)$"
)


def complete_documents(
    base: LanguageModel, adapted: LanguageModel, documents: Sequence[Document], settings: EvaluateSection
) -> list[dict[str, Any]]:
    """Let both models continue the opening of the first `num_completions` documents that can be divided.

    Returns:
        One record a document: id, title, `prompt`, `truth`, `base` and `adapted`.
    """
    chosen = [(document, parts) for document in documents if (parts := split_opening(document.text))]
    chosen = chosen[: settings.num_completions]
    prompts = [prompt for _, (prompt, _) in chosen]
    texts = {
        system: model.generate(
            prompts, max_new_tokens=settings.max_new_tokens, temperature=settings.temperature, seed=settings.seed
        )
        for system, model in (("base", base), ("adapted", adapted))
    }
    return [
        {
            "id": document.id,
            "title": document.title,
            "date": document.date,
            "primary_category": document.primary_category,
            "prompt": prompt,
            "truth": truth,
            **{system: continuations[index].strip() for system, continuations in texts.items()},
        }
        for index, (document, (prompt, truth)) in enumerate(chosen)
    ]


def split_opening(text: str) -> tuple[str, str] | None:
    """The first sentences of a text, at least `PROMPT_WORDS` words, and the rest; None where no sentence is left over."""
    parts = sentences(text)
    for count in range(1, len(parts)):
        prompt = " ".join(parts[:count])
        if len(prompt.split()) >= PROMPT_WORDS:
            return prompt, " ".join(parts[count:])
    return None


def sentences(text: str) -> list[str]:
    """The sentences of a text; a full stop within maths or after an abbreviation ends none."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        sentence = text[start : match.start()]
        if sentence.count("$") % 2 or _ABBREVIATION.search(sentence):
            continue
        found.append(sentence)
        start = match.end()
    found.append(text[start:])
    return [sentence.strip() for sentence in found if sentence.strip()]
