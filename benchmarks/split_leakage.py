"""Whether any text stands on both sides of a split: `python benchmarks/split_leakage.py CORPUS [--sample 2000]`.

Exact duplicates are compared over all documents by their words, near duplicates by MinHash and LSH over all, and, so that
nothing rests on that search alone, by brute force: the exact Jaccard similarity of word 2-grams between a random sample of
held-out documents and every training document, and of test documents and every one for validation. Exits with 1 where a
pair is found.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import zlib
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from astrollama.corpus.clean import words_of
from astrollama.corpus.dedup import SHINGLE_WORDS, signature, similar_pairs, words_hash
from astrollama.corpus.split import SPLITS
from astrollama.corpus.store import read_documents
from astrollama.provenance import hardware
from astrollama.runs import read_manifest

_ROWS = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--sample", type=int, default=2_000, help="held-out documents compared by brute force")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = measure(options.corpus, options.sample, options.seed)
    print(json.dumps({**result, "hardware": hardware()}, indent=2))
    sys.exit(any(result[key] for key in ("exact_across", "near_across_by_lsh", "near_across_by_brute_force")))


def measure(corpus: Path, sample: int, seed: int) -> dict[str, object]:
    settings = read_manifest(corpus, "corpus")["identity"]["settings"]
    threshold = settings["near_duplicate_threshold"]
    texts, split_of = [], []
    for split in SPLITS:
        for document in read_documents(corpus / f"{split}.parquet"):
            texts.append(document.text)
            split_of.append(split)

    splits_of_words: dict[bytes, set[str]] = {}
    for text, split in zip(texts, split_of, strict=True):
        splits_of_words.setdefault(words_hash(text), set()).add(split)
    signatures = np.stack([signature(text, settings["seed"]) for text in texts])
    near = sum(split_of[one] != split_of[other] for one, other, _ in similar_pairs(signatures, threshold))

    draw = random.Random(seed)
    of_split = {split: [text for text, own in zip(texts, split_of, strict=True) if own == split] for split in SPLITS}
    similarities, num_pairs = [], 0
    for sides in (("test", "train"), ("validation", "train"), ("test", "validation")):
        one, other = (of_split[split] for split in sides)
        chosen = draw.sample(one, min(sample, len(one)))
        if chosen and other:
            similarities.append(highest_similarities(chosen, other))
            num_pairs += len(chosen) * len(other)
    highest = np.concatenate(similarities)
    return {
        "split": read_manifest(corpus, "corpus")["split"],
        "documents": {split: split_of.count(split) for split in SPLITS},
        "threshold": threshold,
        "exact_across": sum(len(splits) > 1 for splits in splits_of_words.values()),
        "near_across_by_lsh": near,
        "pairs_by_brute_force": num_pairs,
        "near_across_by_brute_force": int((highest >= threshold).sum()),
        "highest_similarity_by_brute_force": round(float(highest.max()), 3),
    }


def highest_similarities(texts: list[str], others: list[str]) -> np.ndarray:
    """For each text the highest exact Jaccard similarity to any of the others, of shape (texts,)."""
    columns: dict[int, int] = {}
    one, other = shingle_matrix(texts, columns), shingle_matrix(others, columns)
    one.resize(one.shape[0], len(columns))
    size_M = np.asarray(other.sum(axis=1)).ravel()
    best = []
    for start in range(0, one.shape[0], _ROWS):
        rows = one[start : start + _ROWS]
        shared_NM = (rows @ other.T).toarray()
        union_NM = np.asarray(rows.sum(axis=1)) + size_M[None, :] - shared_NM
        best.append((shared_NM / union_NM).max(axis=1))
    return np.concatenate(best)


def shingle_matrix(texts: list[str], columns: dict[int, int]) -> csr_matrix:
    """A row a text with a 1 for each of its word 2-grams, whose columns are numbered in `columns`."""
    places: list[int] = []
    starts = [0]
    for text in texts:
        words = words_of(text)
        grams = {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}
        places += [columns.setdefault(zlib.crc32(gram.encode()), len(columns)) for gram in grams]
        starts.append(len(places))
    ones = np.ones(len(places), dtype=np.float32)
    return csr_matrix((ones, places, starts), shape=(len(texts), len(columns)))


if __name__ == "__main__":
    main()
