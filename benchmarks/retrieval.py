"""Retrieval by a few models beside BM25, without the base that `astrollama evaluate` measures too: the whole corpus as candidates
would take SmolLM2-135M hours on two cores.

The sub-tasks, metrics and intervals are those of `astrollama evaluate --tasks retrieval`. The first model is the one that
the others are compared with. With `--part validation` the titles are of papers that may be looked at before a choice is
made: the trials of docs/experiments.md. With `--whole` every paper of the corpus is a candidate. Prints JSON; vectors are
kept under `--vectors`, so that the same command goes on.

    python benchmarks/retrieval.py encoder-run minilm --corpus corpus --vectors vectors --part validation
    python benchmarks/retrieval.py encoder-run minilm --corpus corpus --vectors vectors --whole --citations citations.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _systems import data_of, measured, parser
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import retrieval
from astrollama.provenance import hardware
from astrollama.sections import EvaluateSection

ALL = 10_000_000
METRICS = ("ndcg_at_10", "recall_at_1", "recall_at_10")


def main() -> None:
    options = parse()
    data = data_of(options.part, options.corpus, options.seed, options.citations)
    settings = EvaluateSection(
        num_embeddings=ALL if options.whole else options.queries,
        num_distractors=ALL if options.whole else 0,
        num_title_queries=options.queries,
        num_half_queries=0,
        num_citing=options.citing,
        fused_share=options.share,
    )
    measurements = measured(retrieval, options, data, settings, words(options.vectors))
    print(json.dumps({"seed": options.seed, "part": options.part} | figures(measurements, data, settings), indent=2))


def parse() -> argparse.Namespace:
    own = parser(__doc__.splitlines()[0], vectors="")
    own.add_argument("--queries", type=int, default=600, help="titles, and candidates without --whole")
    own.add_argument("--whole", action="store_true", help="every paper of the corpus is a candidate")
    own.add_argument("--citations", type=Path, help="who cites whom: references are looked for too")
    own.add_argument("--citing", type=int, default=300, help="citing papers")
    own.add_argument("--share", type=float, default=0.5, help="of the cosine where it is fused with BM25's score")
    options = own.parse_args()
    if options.whole and options.part == "validation":
        own.error("--whole takes the held-out part")
    return options


def words(vectors: Path) -> System:
    return System("bm25", "BM25", "bm25", "baseline", frozenset({"bm25"}), "bm25", vectors / "bm25")


def figures(measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection) -> dict[str, Any]:
    first = next(iter(measurements))
    result = retrieval.summarise(measurements, data, settings, first)
    wanted = [name for name in result.infos if name.endswith(METRICS)]
    return {
        "candidates": result.details["num_candidates"],
        "systems": {
            key: {
                name: {"value": own[name].value, "ci95": own[name].ci95, "queries": own[name].num_samples}
                for name in wanted
                if name in own
            }
            for key, own in result.estimates.items()
        },
        f"{first} against": [asdict(own) for own in result.comparisons if own.metric in wanted],
        "hardware": hardware(),
    }


if __name__ == "__main__":
    main()
