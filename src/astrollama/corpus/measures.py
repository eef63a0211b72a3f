"""The lengths, years and categories of a corpus, read from its Parquet files as a stream: no column of text is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astrollama.console import progress
from astrollama.corpus.split import SPLITS
from astrollama.corpus.store import damaged

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

NO_YEAR = 0  # in `Measures.year_N`, of a document without a date

_COLUMNS = ["text", "title", "primary_category", "date", "licence"]
_BATCH_ROWS = 512


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of texts, those around a document left out.

    Attributes:
        name: of the model whose tokenizer counts.
        count: one number a text, in the order of the texts.
    """

    name: str
    count: Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Measures:
    """What is known of each of N documents without its text, in the order of the splits.

    Attributes:
        splits: those that the corpus has a file of; `split_N` holds places in it.
        primaries: primary categories; `primary_N` holds places in it.
        year_N: `NO_YEAR` where there is no date.
        has_day_N: whether the date is a day; the others tell a month or nothing.
        words_N: words between spaces.
        tokens_N: None where no tokenizer was given.
        matches_N: for each pattern that was looked for, whether the text has it.
        dates: the first and the last date of each split that has one.
        licences: papers by licence, "" where none is stated.
    """

    splits: tuple[str, ...]
    primaries: tuple[str, ...]
    split_N: np.ndarray
    primary_N: np.ndarray
    year_N: np.ndarray
    has_day_N: np.ndarray
    words_N: np.ndarray
    tokens_N: np.ndarray | None
    matches_N: Mapping[str, np.ndarray]
    dates: Mapping[str, tuple[str, str]]
    licences: Counter[str]
    num_untitled: int

    def __len__(self) -> int:
        return len(self.split_N)

    def in_split(self, split: str) -> np.ndarray:
        """Which documents belong to a split, of shape (N,)."""
        members_N: np.ndarray = self.split_N == self.splits.index(split)
        return members_N

    def filled_splits(self) -> list[str]:
        """The splits that hold a document."""
        return [split for split in self.splits if self.in_split(split).any()]

    def years(self) -> list[int]:
        """The years that occur, in order; `NO_YEAR` last."""
        return sorted(set(self.year_N.tolist()), key=lambda year: (year == NO_YEAR, year))

    def by_frequency(self) -> list[tuple[str, int]]:
        """Primary categories with their place in `primaries`, the most frequent first, equals by name."""
        import numpy as np

        counts = np.bincount(self.primary_N, minlength=len(self.primaries))
        return sorted(((name, place) for place, name in enumerate(self.primaries)), key=lambda c: (-counts[c[1]], c[0]))


def measure(corpus: Path, patterns: Mapping[str, str] | None = None, tokens: TokenCounter | None = None) -> Measures:
    """Read the splits of a corpus once.

    Args:
        corpus: a folder with `train.parquet` and `test.parquet`; older ones have no `validation.parquet`.
        patterns: regular expressions (RE2) to look for in each text, by name.
        tokens: counts tokens, where lengths in tokens are wanted.

    Raises:
        RunError: a file is missing or damaged.
    """
    import numpy as np

    splits = tuple(split for split in SPLITS if split != "validation" or (corpus / "validation.parquet").exists())
    names = dict.fromkeys(patterns or {})
    columns: dict[str, list[np.ndarray]] = {"split": [], "primary": [], "year": [], "has_day": [], "words": []}
    columns |= {f"match {name}": [] for name in names} | ({"tokens": []} if tokens else {})
    primaries: dict[str, int] = {}
    dates: dict[str, tuple[str, str]] = {}
    licences: Counter[str] = Counter()
    num_untitled = 0
    for split, batch in _batches(corpus, splits):
        found = _measure_batch(batch, patterns or {}, primaries) | {
            "split": np.full(len(batch), splits.index(split), np.int8)
        }
        if tokens:
            found["tokens"] = np.fromiter(tokens.count(batch["text"].to_pylist()), np.int32, len(batch))
        for name, values in found.items():
            columns[name].append(values)
        known = [date for date in batch["date"].to_pylist() if date]
        dates[split] = _widened(dates.get(split), known)
        licences.update(batch["licence"].to_pylist())
        num_untitled += batch["title"].to_pylist().count("")
    whole = {name: np.concatenate(parts) if parts else np.zeros(0, np.int32) for name, parts in columns.items()}
    return Measures(
        splits=splits,
        primaries=tuple(primaries),
        split_N=whole["split"],
        primary_N=whole["primary"],
        year_N=whole["year"],
        has_day_N=whole["has_day"].astype(bool),
        words_N=whole["words"],
        tokens_N=whole.get("tokens"),
        matches_N={name: whole[f"match {name}"].astype(bool) for name in names},
        dates={split: span for split, span in dates.items() if span[0]},
        licences=licences,
        num_untitled=num_untitled,
    )


def _batches(corpus: Path, splits: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = corpus
    try:
        total = 0
        for split in splits:
            path = corpus / f"{split}.parquet"
            total += pq.read_metadata(path).num_rows
        done = 0
        with progress("measuring the corpus", total) as bar:
            for split in splits:
                path = corpus / f"{split}.parquet"
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                        yield split, batch
                        done += len(batch)
                        bar.update(done)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def _measure_batch(
    batch: pa.RecordBatch, patterns: Mapping[str, str], primaries: dict[str, int]
) -> dict[str, np.ndarray]:
    """One array a measure; a category that is new gets the next place in `primaries`."""
    import numpy as np
    import pyarrow.compute as pc

    text, date = batch["text"], batch["date"]
    places = [primaries.setdefault(name, len(primaries)) for name in batch["primary_category"].to_pylist()]
    return {
        "primary": np.array(places, np.int32),
        "year": np.array([int(day[:4] or NO_YEAR) for day in date.to_pylist()], np.int16),
        "has_day": np.array([len(day) == len("2026-01-31") for day in date.to_pylist()], bool),
        "words": pc.list_value_length(pc.utf8_split_whitespace(text)).to_numpy(zero_copy_only=False),
    } | {
        f"match {name}": pc.match_substring_regex(text, pattern).to_numpy(zero_copy_only=False)
        for name, pattern in patterns.items()
    }


def _widened(span: tuple[str, str] | None, dates: Sequence[str]) -> tuple[str, str]:
    """The first and the last of `span` and `dates`; two empty texts where there is none."""
    every = sorted([*dates, *(date for date in span or () if date)])
    return (every[0], every[-1]) if every else ("", "")
