"""Exact and near duplicates, found over the whole corpus before it is split, so that none stands on both sides.

Near duplicates are found by MinHash and locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998) over word
2-grams. The oldest of a group stays: what counts is not the order of the files but date, then identifier. What comes
later never changes what stays of what came before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from astrollama.console import progress
from astrollama.corpus.clean import words_of
from astrollama.records import TEXT_ID_PREFIX, paper_and_version

if TYPE_CHECKING:
    import numpy as np
    from datasketch import MinHash

NUM_PERMUTATIONS = 128
MINHASH_SCHEME = "affine32"
# 42 bands of 3 rows propose a pair of Jaccard similarity 0.5 with probability 0.996, and one of 0.1 with 0.04.
LSH_BANDS, LSH_ROWS = 42, 3
SHINGLE_WORDS = 2

# A template that thousands of texts share puts them all into one group: looking at a hundred of those that stay finds copies
# as well, for a copy has several groups with its original, and keeps the time from growing with the square of their number.
MAX_CANDIDATES_A_GROUP = 100

_NO_GROUP = -1


@dataclass(frozen=True)
class Fingerprints:
    """What the search for duplicates needs of N documents, about 0.8 KB each.

    Attributes:
        words_hash: of each text's words, so that case, punctuation and spaces do not count.
        signature_NP: MinHash values, uint32, one a permutation.
    """

    ids: Sequence[str]
    dates: Sequence[str]
    words_hash: Sequence[bytes]
    signature_NP: np.ndarray


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Why a document is dropped: `duplicate_id`, `exact_duplicate` or `near_duplicate`, and for which document.

    Attributes:
        of: the place of the document that stays.
    """

    reason: str
    of: int
    detail: str


def words_hash(text: str) -> bytes:
    """A hash, of 16 bytes, of the words of a text in their order."""
    joined = " ".join(words_of(text)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).digest()


def signature(text: str, seed: int) -> np.ndarray:
    """The MinHash of a text's word 2-grams, uint32, of shape (NUM_PERMUTATIONS,); `seed` draws the permutations."""
    import numpy as np

    words = words_of(text)
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    shingles = {" ".join(words[i : i + SHINGLE_WORDS]).encode("utf-8", "surrogatepass") for i in range(count)}
    minhash = _minhash(seed)
    minhash.clear()
    minhash.update_batch(shingles)
    return minhash.hashvalues.astype(np.uint32)  # type: ignore[no-any-return]


def find_duplicates(
    fingerprints: Fingerprints,
    threshold: float,
    rank_of_paper: Mapping[str, int] | None = None,
    *,
    num_earlier: int = 0,
) -> dict[int, Duplicate]:
    """The documents to drop, by their place in `fingerprints`.

    Of one paper's versions (`…v1`, `…v2`) the newest stays; of equal texts, and of texts whose estimated Jaccard
    similarity reaches `threshold`, the one of the lowest rank, then the oldest.

    Args:
        rank_of_paper: ranks by identifier without version, where some papers must stay before others; others come last.
        num_earlier: how many at the end are texts that papers had earlier. They stay, and copies of them go, but for what is
            of the same paper.
    """
    num_own = len(fingerprints.ids) - num_earlier
    papers = [paper_and_version(document_id)[0] for document_id in fingerprints.ids]
    dropped = _older_versions(fingerprints, num_own)
    order = _order(fingerprints, papers, dropped, rank_of_paper or {}, num_own)
    signature_NP = fingerprints.signature_NP
    group_NB = _groups(signature_NP)
    first_with_words: dict[bytes, int] = {}
    # those that stay, so that a hundred copies of one text cost no more than two
    kept_in_group: dict[int, list[int]] = {}

    with progress("looking for duplicates", len(order)) as bar:
        for count, index in enumerate(order, start=1):
            bar.update(count)
            groups = [group for group in group_NB[index].tolist() if group != _NO_GROUP]
            twin = first_with_words.setdefault(fingerprints.words_hash[index], index)
            if index < num_own:
                if twin != index and not (twin >= num_own and papers[twin] == papers[index]):
                    dropped[index] = _copy_of(twin, fingerprints, dropped)
                    continue
                candidates = {other for group in groups for other in kept_in_group.get(group, ())}
                own = [other for other in candidates if other < num_own or papers[other] != papers[index]]
                if (similar := _most_similar(index, sorted(own), signature_NP)) and similar[1] >= threshold:
                    detail = f"similarity {similar[1]:.2f} to {fingerprints.ids[similar[0]]}"
                    dropped[index] = Duplicate("near_duplicate", similar[0], detail)
                    continue
            for group in groups:
                kept = kept_in_group.setdefault(group, [])
                if len(kept) < MAX_CANDIDATES_A_GROUP:
                    kept.append(index)
    return dropped


def similar_pairs(signature_NP: np.ndarray, threshold: float) -> Iterator[tuple[int, int, float]]:
    """Every pair of documents that the search proposes, with its estimated Jaccard similarity if it reaches `threshold`.

    Yields:
        The places of both, the smaller first, and the similarity; each pair once.
    """
    import numpy as np

    group_NB = _groups(signature_NP)
    members: dict[int, list[int]] = {}
    for index in np.flatnonzero((group_NB != _NO_GROUP).any(axis=1)).tolist():
        groups = [group for group in group_NB[index].tolist() if group != _NO_GROUP]
        candidates = sorted({other for group in groups for other in members.get(group, ())})
        if candidates:
            similarity_C = (signature_NP[candidates] == signature_NP[index]).mean(axis=1)
            for place in np.flatnonzero(similarity_C >= threshold).tolist():
                yield candidates[place], index, float(similarity_C[place])
        for group in groups:
            members.setdefault(group, []).append(index)


@cache
def _minhash(seed: int) -> MinHash:
    """One for all documents: drawing the permutations costs as much as a document."""
    from datasketch import MinHash

    return MinHash(num_perm=NUM_PERMUTATIONS, seed=seed, scheme=MINHASH_SCHEME)


def _copy_of(twin: int, fingerprints: Fingerprints, dropped: Mapping[int, Duplicate]) -> Duplicate:
    """Of a text that is dropped itself for a third, the copy is as near to that as it is."""
    same = f"the same words as {fingerprints.ids[twin]}"
    if (why := dropped.get(twin)) is None:
        return Duplicate("exact_duplicate", twin, same)
    return Duplicate(why.reason, why.of, f"{same}, which has {why.detail}")


def _most_similar(index: int, candidates: list[int], signature_NP: np.ndarray) -> tuple[int, float] | None:
    """The candidate most similar to a document, the first of equals, with its estimated Jaccard similarity."""
    if not candidates:
        return None
    similarity_C = (signature_NP[candidates] == signature_NP[index]).mean(axis=1)
    best = int(similarity_C.argmax())
    return candidates[best], float(similarity_C[best])


def _order(
    fingerprints: Fingerprints,
    papers: Sequence[str],
    dropped: Mapping[int, Duplicate],
    rank_of_paper: Mapping[str, int],
    num_own: int,
) -> list[int]:
    """Who is looked at before whom: earlier texts, then by rank, date and identifier."""
    last = max(rank_of_paper.values(), default=0) + 1

    def key(index: int) -> tuple[int, str, str, int]:
        rank = -1 if index >= num_own else rank_of_paper.get(papers[index], last)
        return rank, fingerprints.dates[index], fingerprints.ids[index], index

    return sorted((index for index in range(len(fingerprints.ids)) if index not in dropped), key=key)


def _groups(signature_NP: np.ndarray) -> np.ndarray:
    """For each document and band the number of the group that shares the band's rows, or `_NO_GROUP` where it is alone.

    Returns:
        int32 of shape (N, LSH_BANDS); no number stands in two bands.
    """
    import numpy as np

    group_NB = np.full((len(signature_NP), LSH_BANDS), _NO_GROUP, dtype=np.int32)
    num_groups = 0
    for band in range(LSH_BANDS):
        rows_NR = np.ascontiguousarray(signature_NP[:, band * LSH_ROWS : (band + 1) * LSH_ROWS])
        keys_N = rows_NR.view(np.dtype((np.void, rows_NR.dtype.itemsize * LSH_ROWS))).ravel()
        _, inverse_N, counts_G = np.unique(keys_N, return_inverse=True, return_counts=True)
        shared_G = counts_G > 1
        number_G = np.where(shared_G, np.cumsum(shared_G) - 1 + num_groups, _NO_GROUP)
        group_NB[:, band] = number_G[inverse_N]
        num_groups += int(shared_G.sum())
    return group_NB


def _older_versions(fingerprints: Fingerprints, num_own: int) -> dict[int, Duplicate]:
    """All but one of the records of each paper: the newest version stays, and without a version number means the newest."""
    records: dict[str, list[tuple[float, str, bytes, int]]] = {}
    for index, document_id in enumerate(fingerprints.ids[:num_own]):
        if document_id.startswith(TEXT_ID_PREFIX):
            continue
        paper, number = paper_and_version(document_id)
        version = float("inf") if number is None else float(number)
        records.setdefault(paper, []).append(
            (version, fingerprints.dates[index], fingerprints.words_hash[index], index)
        )
    dropped = {}
    for candidates in records.values():
        *older, (_, _, _, newest) = sorted(candidates)
        for _, _, _, index in older:
            dropped[index] = Duplicate("duplicate_id", newest, f"{fingerprints.ids[newest]} is there too")
    return dropped
