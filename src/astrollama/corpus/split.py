"""Which documents are held out: the newest whole months, or a random share that does not change as the corpus grows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from astrollama.errors import CorpusError
from astrollama.records import paper_and_version


def first_held_out_month(months: Sequence[str], test_fraction: float) -> str:
    """The month (`YYYY-MM`) from which on every document is held out.

    It is the newest one that leaves at least `test_fraction` of the documents on its side. Months are not divided:
    many arXiv dates tell no more than the month.

    Raises:
        CorpusError: too few documents, or all of one month, so that one side would be empty.
    """
    counts = Counter(months)
    held_out = 0
    for month in sorted(counts, reverse=True):
        held_out += counts[month]
        if held_out >= test_fraction * len(months):
            break
    if held_out == len(months):
        raise CorpusError(
            f"{len(months)} documents without duplicates, from {len(counts)} month(s), leave none to train on when the newest are held out",
            "give more papers, or set corpus.split = 'random'",
        )
    return month


def is_held_out_at_random(document_id: str, test_fraction: float, seed: int) -> bool:
    """Whether a document belongs to the random share; it depends on nothing but the seed and the paper's identifier."""
    paper, _ = paper_and_version(document_id)
    digest = hashlib.blake2b(f"{seed}:{paper}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < test_fraction * 2**64
