"""Decontamination: no training document may hold the text that a model is measured on.

Text is shared where n words in a row are the same, whatever their case and punctuation; n is 13 as in Brown et al. 2020
(arXiv:2005.14165, appendix C). One such n-gram of a benchmark takes a document out. Papers of one field share names and
phrases, so for held-out papers it is the share of words, of the document's or of the held-out paper's, that stand in shared
n-grams.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astrollama.corpus.clean import repair, words_of
from astrollama.errors import SourceError
from astrollama.files import sha256_file

if TYPE_CHECKING:
    import numpy as np

MIN_ITEM_WORDS = 8  # shorter items are too common to tell anything: "which of the following is true"
MAX_BENCHMARK_BYTES = 64 << 20  # of text; in the index it takes ten times as much

_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*=)")
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it can be undone modulo 2**64
_INVERSE = pow(_MULTIPLIER, -1, 2**64)


@dataclass(frozen=True)
class Benchmark:
    """Texts that training documents must not hold.

    Attributes:
        items: pairs of an item's name and one of its texts; an item may have several.
    """

    name: str
    sha256: str
    items: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Match:
    """What a document shares: with which item of which benchmark, and the first shared words.

    Attributes:
        overlap: the share of the document's words in shared n-grams.
        covered: the largest share of an item's n-grams that the document holds.
    """

    benchmark: str
    item: str
    shared: str
    overlap: float
    covered: float


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark: JSONL of questions, or a text whose paragraphs are items; also gzipped.

    Raises:
        SourceError: the file cannot be read, or holds nothing that could be compared.
    """
    try:
        text = _read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"the benchmark {path} is not UTF-8 ({error})", "convert it") from error
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        items = list(_questions(text, path))
    elif name.endswith(".txt"):
        items = [(f"paragraph {number}", part) for number, part in enumerate(_PARAGRAPH.split(text), 1) if part.strip()]
    else:
        raise SourceError(f"the benchmark {path} is of an unknown format", "give .jsonl or .txt, also with .gz")
    if not items:
        raise SourceError(f"the benchmark {path} holds no text", "give questions or texts")
    return Benchmark(Path(name).stem, sha256_file(path), items)


class Words:
    """The words of a text, repaired as the corpus's are, ready to be compared n at a time."""

    def __init__(self, text: str) -> None:
        import numpy as np

        self.words = words_of(text if text.isascii() and "&" not in text else repair(text))
        values_W = np.fromiter((zlib.crc32(word.encode()) for word in self.words), np.uint64, len(self.words))
        powers_W = _powers(_MULTIPLIER, len(self.words))
        self._sums_W = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(values_W) * powers_W, dtype=np.uint64)])

    def hashes(self, length: int) -> np.ndarray:
        """Hashes of all n-grams of `length` words, uint64, of shape (words - length + 1,).

        A polynomial in the words' hashes modulo 2**64 (Karp and Rabin 1987). As differences of one running sum they cost
        the same for every length; the power of the multiplier that the sum carries is undone by its inverse.
        """
        num_grams = len(self.words) - length + 1
        return _mix((self._sums_W[length:] - self._sums_W[:num_grams]) * _powers(_INVERSE, num_grams))


class SharedText:
    """An index of n-grams: which texts share words in a row with a benchmark's."""

    def __init__(self, benchmark: str, items: Iterable[tuple[str, str]], ngram_words: int) -> None:
        """Index the items; those shorter than n-grams are looked for whole, those below `MIN_ITEM_WORDS` not at all."""
        self.benchmark = benchmark
        compared: dict[str, bool] = {}
        self._names: list[str] = []
        self._texts: list[str] = []
        self._num_grams: list[int] = []
        grams: dict[int, list[np.ndarray]] = {}
        owners: dict[int, list[np.ndarray]] = {}
        for name, text in items:
            own = Words(text)
            length = min(ngram_words, len(own.words))
            compared[name] = compared.get(name, False) or length >= MIN_ITEM_WORDS
            if length < MIN_ITEM_WORDS:
                continue
            hashes = own.hashes(length)
            grams.setdefault(length, []).append(hashes)
            owners.setdefault(length, []).append(_full(len(hashes), len(self._names)))
            self._num_grams.append(len(hashes))
            self._names.append(name)
            self._texts.append(f" {' '.join(own.words)} ")
        self.num_items = len(compared)
        self.num_short = self.num_items - sum(compared.values())
        self._index = {length: _sorted(grams[length], owners[length]) for length in grams}

    def match(self, text: Words, least_share: float) -> Match | None:
        """The first shared words, if any are, and at least this share of the words of either side stands in shared n-grams."""
        import numpy as np

        words = text.words
        found_of_owner: dict[int, set[str]] = {}
        covered_W = np.zeros(len(words), dtype=bool)
        first: tuple[int, str, str] | None = None
        for length, (hashes_G, owners_G) in self._index.items():
            if len(words) < length:
                continue
            hashes_N = text.hashes(length)
            places_N = np.searchsorted(hashes_G, hashes_N)
            places_N[places_N == len(hashes_G)] = 0
            for start in np.flatnonzero(hashes_G[places_N] == hashes_N).tolist():
                shared = " ".join(words[start : start + length])
                owner = int(owners_G[places_N[start]])
                if f" {shared} " not in self._texts[owner]:  # two n-grams of one hash
                    continue
                covered_W[start : start + length] = True
                found_of_owner.setdefault(owner, set()).add(shared)
                if first is None or start < first[0]:
                    first = start, self._names[owner], shared
        if first is None:
            return None
        covered = max(len(found) / self._num_grams[owner] for owner, found in found_of_owner.items())
        if max(covered_W.mean(), covered) < least_share:
            return None
        return Match(self.benchmark, first[1], first[2], float(covered_W.mean()), covered)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            data = file.read(MAX_BENCHMARK_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise SourceError(f"the benchmark {str(path)!r} cannot be read ({error})", "check corpus.benchmarks") from error
    if len(data) > MAX_BENCHMARK_BYTES:
        raise SourceError(
            f"the benchmark {path} holds more than {MAX_BENCHMARK_BYTES >> 20} MiB of text",
            "give the part that is used",
        )
    return data


def _questions(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"the benchmark {path}, line {number}, is no JSON ({error})", "mend that line") from error
        if not isinstance(record, dict):
            raise SourceError(f"the benchmark {path}, line {number}, is no record", "write one object a line")
        name = f"{number} ({record['id']})" if "id" in record else str(number)
        yield from ((f"line {name}", part) for part in _texts(record))


def _texts(value: object) -> Iterator[str]:
    """Every text of a record, however deep: benchmarks have their fields where they like, and what is short does not count."""
    remaining = [value]
    while remaining:
        value = remaining.pop(0)
        if isinstance(value, str):
            if value.strip():
                yield value
        elif isinstance(value, Mapping):
            remaining[:0] = value.values()
        elif isinstance(value, list):
            remaining[:0] = value


def _full(length: int, value: int) -> np.ndarray:
    import numpy as np

    return np.full(length, value, dtype=np.int32)


def _sorted(hashes: list[np.ndarray], owners: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All hashes in order, each with the item that it came from."""
    import numpy as np

    hashes_G = np.concatenate(hashes)
    order_G = np.argsort(hashes_G, kind="stable")
    return hashes_G[order_G], np.concatenate(owners)[order_G]


def _powers(base: int, count: int) -> np.ndarray:
    import numpy as np

    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread the bits of each value over all 64 (the finaliser of SplitMix64, Steele et al. 2014)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
