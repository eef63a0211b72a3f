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
from itertools import chain
from pathlib import Path
from typing import Any

from _systems import data_of, model
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
    )
    measurements: dict[str, Measurement] = {}
    systems = (model(name, options.vectors) for name in options.models)
    for system in chain(systems, [words(options.vectors)]):  # one model in memory at a time
        measurements[system.key] = retrieval.measure(system, data, settings)
        system.close()
    print(json.dumps({"seed": options.seed, "part": options.part} | figures(measurements, data, settings), indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="what `astrollama embed --model` takes")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, required=True, help="a folder for what is embedded")
    parser.add_argument("--part", choices=("test", "validation"), default="test", help="whose titles are asked for")
    parser.add_argument("--queries", type=int, default=600, help="titles, and candidates without --whole")
    parser.add_argument("--whole", action="store_true", help="every paper of the corpus is a candidate")
    parser.add_argument("--citations", type=Path, help="who cites whom: references are looked for too")
    parser.add_argument("--citing", type=int, default=300, help="citing papers")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of papers")
    options = parser.parse_args()
    if options.whole and options.part == "validation":
        parser.error("--whole takes the held-out part")
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
