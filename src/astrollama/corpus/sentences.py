"""Texts divided into sentences, and into halves."""

from __future__ import annotations

import re

# A sentence ends at . ? or ! before a space and a capital, a digit or maths, but not after these.
_END = re.compile(r"(?<=[.?!])[\s\n]+(?=[\"'“(\[]*[A-ZÀ-Þ$\\\d])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|al|Fig|Figs|Eq|Eqs|Sect|Sec|Ref|Refs|No|ca|approx|resp|Dr|St|[A-Z])\.)$"
)
# A sentence's end divides a text if neither part is below this share of it.
_LEAST_SHARE = 1 / 3


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


def halves(text: str) -> tuple[str, str] | None:
    """A text divided at the sentence's end nearest its middle, or else between two words; None where there is one word."""
    parts = sentences(text)
    cuts = [(" ".join(parts[:count]), " ".join(parts[count:])) for count in range(1, len(parts))]
    best = min(cuts, key=lambda cut: abs(len(cut[0]) - len(cut[1])), default=None)
    if best and min(map(len, best)) >= _LEAST_SHARE * len(text):
        return best
    words = text.split()
    middle = len(words) // 2
    return (" ".join(words[:middle]), " ".join(words[middle:])) if middle else None
