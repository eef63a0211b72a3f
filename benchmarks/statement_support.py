"""How close sentences are to an abstract, its own and others': `python benchmarks/statement_support.py CORPUS`.

The threshold of the task conviction is chosen from this. Of held-out abstracts each sentence is compared with the other
sentences of its abstract, and the sentences of three other abstracts of the same primary category with all of its sentences,
by the closest of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from _training import table
from astrollama.corpus.sentences import sentences
from astrollama.evaluation.continuations.meaning import Meaning
from astrollama.evaluation.continuations.openings import openings
from astrollama.evaluation.data import EvaluationData

OTHERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    own, others = closest(options.corpus, options.documents, options.seed)
    rows = [
        {
            "threshold": threshold,
            "own kept": float((own >= threshold).mean()),
            "others kept": float((others >= threshold).mean()),
        }
        for threshold in np.arange(0.3, 0.65, 0.05).round(2).tolist()
    ]
    print(json.dumps({"own sentences": len(own), "others": len(others), "thresholds": rows}, indent=2))
    print(table(rows))


def closest(corpus: Path, num_documents: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest cosine of each sentence with those of an abstract: its own, and another's of the category."""
    divided = openings(EvaluationData(corpus, seed).test)[:num_documents]
    meaning = Meaning()
    vectors = [meaning.vectors(sentences(opening.document.text)) for opening in divided]
    own, others = [], []
    for index, opening in enumerate(divided):
        cosines_SS = vectors[index] @ vectors[index].T
        np.fill_diagonal(cosines_SS, -1)
        own.append(cosines_SS.max(axis=1))
        alike = [
            other
            for other, candidate in enumerate(divided)
            if other != index and candidate.document.primary_category == opening.document.primary_category
        ]
        others += [(vectors[other] @ vectors[index].T).max(axis=1) for other in alike[:OTHERS]]
    return np.concatenate(own), np.concatenate(others)


if __name__ == "__main__":
    main()
