"""How many planted duplicates are found, and how many finds are right: `python benchmarks/near_duplicates.py [FILE]`.

Copies of documents are edited in the ways that copies differ in real corpora, and planted among the originals. Every pair
that is found and was not planted counts as wrong, so precision is a lower bound: a real corpus has duplicates of its own.
The curve goes over the threshold; the corpus's default is marked. Without a file the built-in sample is used.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from astrollama.corpus.clean import repair
from astrollama.corpus.dedup import signature, similar_pairs, words_hash
from astrollama.provenance import hardware
from astrollama.records import Paper
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE

THRESHOLDS = [round(0.3 + 0.05 * step, 2) for step in range(13)]
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z$\\(])")


def typos(share: float) -> Callable[[str, random.Random], str]:
    """A letter of `share` of the words changed, doubled, dropped or swapped with its neighbour."""

    def edit(text: str, draw: random.Random) -> str:
        words = text.split()
        for index in draw.sample(range(len(words)), round(share * len(words))):
            word = words[index]
            at = draw.randrange(len(word))
            letter = draw.choice(string.ascii_lowercase)
            words[index] = draw.choice(
                [
                    word[:at] + letter + word[at + 1 :],
                    word[:at] + letter + word[at:],
                    word[:at] + word[at + 1 :] or letter,
                    word[: max(0, at - 1)] + word[max(0, at - 1) : at + 1][::-1] + word[at + 1 :],
                ]
            )
        return " ".join(words)

    return edit


def reordered(text: str, draw: random.Random) -> str:
    sentences = _SENTENCE.split(text)
    draw.shuffle(sentences)
    return " ".join(sentences)


def revised(share: float) -> Callable[[str, random.Random], str]:
    """A second version: one sentence goes, one comes, and `share` of the other words are replaced by words of the text."""

    def edit(text: str, draw: random.Random) -> str:
        sentences = _SENTENCE.split(text)
        vocabulary = text.split()
        if len(sentences) > 3:
            sentences.pop(draw.randrange(1, len(sentences)))
        words = " ".join(sentences).split()
        for index in draw.sample(range(len(words)), round(share * len(words))):
            words[index] = draw.choice(vocabulary)
        return " ".join(words) + " " + " ".join(draw.sample(vocabulary, min(15, len(vocabulary)))) + "."

    return edit


def cut(text: str, _: random.Random) -> str:
    words = text.split()
    return " ".join(words[: round(0.8 * len(words))])


def chain(*edits: Callable[[str, random.Random], str]) -> Callable[[str, random.Random], str]:
    def edit(text: str, draw: random.Random) -> str:
        for one in edits:
            text = one(text, draw)
        return text

    return edit


EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "typos in 2 % of the words": typos(0.02),
    "typos in 5 % of the words": typos(0.05),
    "typos in 10 % of the words": typos(0.10),
    "sentences reordered": reordered,
    "sentences reordered, typos in 5 %": chain(reordered, typos(0.05)),
    "v2: a sentence out, one in, 2 % of the words": revised(0.02),
    "v2: a sentence out, one in, 5 % of the words": revised(0.05),
    "the last fifth cut off": cut,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--documents", type=int, default=20_000, help="originals, drawn at random")
    parser.add_argument("--copies", type=int, default=500, help="planted copies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(measure(options.file, options.documents, options.copies, options.seed), indent=2))


def measure(file: Path, num_documents: int, num_copies: int, seed: int) -> dict[str, object]:
    draw = random.Random(seed)
    settings = CorpusSection()
    originals = texts_of(file, settings)
    draw.shuffle(originals)
    originals = originals[:num_documents]
    num_copies = min(num_copies, len(originals) // len(EDITS))
    chosen = draw.sample(range(len(originals)), num_copies * len(EDITS))
    texts = list(originals)
    planted: dict[int, tuple[int, str]] = {}
    for number, (kind, edit) in enumerate(EDITS.items()):
        for original in chosen[number * num_copies : (number + 1) * num_copies]:
            planted[len(texts)] = (original, kind)
            texts.append(edit(originals[original], draw))
    signature_NP = np.stack([signature(text, settings.seed) for text in texts])

    similarity: dict[int, float] = defaultdict(float)
    false_pairs = []
    for first, second, value in similar_pairs(signature_NP, THRESHOLDS[0]):
        if second in planted and planted[second][0] == first:
            similarity[second] = value
        else:
            false_pairs.append(value)
    curve = []
    for threshold in THRESHOLDS:
        found = [index for index in planted if similarity[index] >= threshold]
        wrong = sum(value >= threshold for value in false_pairs)
        curve.append(
            {
                "threshold": threshold,
                "default": threshold == settings.near_duplicate_threshold,
                "recall": round(len(found) / len(planted), 4),
                "precision": round(len(found) / max(1, len(found) + wrong), 4),
                "recall_by_kind": {
                    kind: round(sum(planted[index][1] == kind for index in found) / num_copies, 3) for kind in EDITS
                },
            }
        )
    return {
        "originals": len(originals),
        "planted": len(planted),
        "default": next(point for point in curve if point["default"]),
        "curve": curve,
        "hardware": hardware(),
    }


def texts_of(file: Path, settings: CorpusSection) -> list[str]:
    """The texts that an import would keep, each once; what is nearly the same stays in."""
    source = FileSource([file], on_error="skip")
    texts = {}
    for paper in source.papers():
        text = repair(paper.abstract or "") if isinstance(paper, Paper) else ""
        if len(text.split()) >= settings.min_words:
            texts[words_hash(text)] = text
    return list(texts.values())


if __name__ == "__main__":
    main()
