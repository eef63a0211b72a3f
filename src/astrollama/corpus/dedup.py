"""Exact and near duplicates, found over the whole corpus before it is split, so that none stands on both sides.

Near duplicates are found by MinHash and locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998) over word
3-grams. The oldest of a group stays: what counts is not the order of the files but date, then identifier.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astrollama.console import progress
from astrollama.records import TEXT_ID_PREFIX, Document, paper_and_version

if TYPE_CHECKING:
    import numpy as np

NUM_PERMUTATIONS = 128
MINHASH_SCHEME = "affine32"
# 32 bands of 4 rows propose a pair of Jaccard similarity 0.7 with probability 0.9998, and one of 0.3 with 0.23.
LSH_BANDS, LSH_ROWS = 32, 4
SHINGLE_WORDS = 3

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the search for duplicates needs of a document; with its place in the index about 12 KB.

    Attributes:
        words_hash: of the text's words, so that case, punctuation and spaces do not count.
        signature_P: MinHash values, uint32, one a permutation.
    """

    id: str
    date: str
    words_hash: bytes
    signature_P: np.ndarray


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Why a document is dropped: `duplicate_id`, `exact_duplicate` or `near_duplicate`, and of which document."""

    reason: str
    detail: str


def fingerprint(document: Document, seed: int) -> Fingerprint:
    """The fingerprint of a document; `seed` draws the permutations."""
    import numpy as np
    from datasketch import MinHash

    words = _WORD.findall(document.text.lower())
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    shingles = {" ".join(words[i : i + SHINGLE_WORDS]).encode("utf-8", "surrogatepass") for i in range(count)}
    minhash = MinHash(num_perm=NUM_PERMUTATIONS, seed=seed, scheme=MINHASH_SCHEME)
    minhash.update_batch(shingles)
    joined = " ".join(words).encode("utf-8", "surrogatepass")
    return Fingerprint(
        id=document.id,
        date=document.date,
        words_hash=hashlib.blake2b(joined, digest_size=16).digest(),
        signature_P=minhash.hashvalues.astype(np.uint32),
    )


def find_duplicates(fingerprints: Sequence[Fingerprint], threshold: float, seed: int) -> dict[int, Duplicate]:
    """The documents to drop, by their place in `fingerprints`.

    Of one paper's versions (`…v1`, `…v2`) the newest stays, of equal texts and of texts whose estimated Jaccard
    similarity reaches `threshold` the oldest.
    """
    from datasketch import MinHash, MinHashLSH

    dropped = _older_versions(fingerprints)
    remaining = [index for index in range(len(fingerprints)) if index not in dropped]
    remaining.sort(key=lambda index: (fingerprints[index].date, fingerprints[index].id, index))

    first_with_words: dict[bytes, int] = {}
    lsh = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=(LSH_BANDS, LSH_ROWS))
    with progress("looking for duplicates", len(remaining)) as bar:
        for count, index in enumerate(remaining, start=1):
            own = fingerprints[index]
            twin = first_with_words.setdefault(own.words_hash, index)
            if twin != index:
                dropped[index] = Duplicate("exact_duplicate", f"the same words as {fingerprints[twin].id}")
                continue
            minhash = MinHash(num_perm=NUM_PERMUTATIONS, seed=seed, scheme=MINHASH_SCHEME, hashvalues=own.signature_P)
            similar = _most_similar(own, [fingerprints[other] for other in lsh.query(minhash)])
            if similar is not None and similar[0] >= threshold:
                dropped[index] = Duplicate("near_duplicate", f"similarity {similar[0]:.2f} to {similar[1].id}")
            else:
                lsh.insert(index, minhash, check_duplication=False)
            bar.update(count)
    return dropped


def _older_versions(fingerprints: Sequence[Fingerprint]) -> dict[int, Duplicate]:
    """All but one of the records of each paper: the newest version stays, and without a version number means the newest."""
    records: dict[str, list[tuple[float, str, bytes, int]]] = {}
    for index, own in enumerate(fingerprints):
        if own.id.startswith(TEXT_ID_PREFIX):
            continue
        paper, number = paper_and_version(own.id)
        version = float("inf") if number is None else float(number)
        records.setdefault(paper, []).append((version, own.date, own.words_hash, index))
    dropped = {}
    for candidates in records.values():
        *older, (_, _, _, newest) = sorted(candidates)
        for _, _, _, index in older:
            dropped[index] = Duplicate("duplicate_id", f"{fingerprints[newest].id} is there too")
    return dropped


def _most_similar(own: Fingerprint, others: Sequence[Fingerprint]) -> tuple[float, Fingerprint] | None:
    """The document most similar to `own` with its estimated Jaccard similarity; the first of equals by date and id."""
    scored = [(float((own.signature_P == other.signature_P).mean()), other) for other in others]
    return min(scored, key=lambda pair: (-pair[0], pair[1].date, pair[1].id), default=None)
