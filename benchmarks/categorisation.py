"""Text categorisation by a few models, TF-IDF and keyword rules, without the base that `astrollama evaluate` measures too.

The heads, metrics and intervals are those of `astrollama evaluate --tasks categorisation`; the first model is the one that
the others are compared with. With `--part validation` the abstracts are ones that may be looked at before a choice is
made. Prints JSON; vectors and trained heads are kept under `--vectors`, so that the same command goes on.

    python benchmarks/categorisation.py astrosmol-135m-encoder minilm --corpus corpus --vectors vectors --train 40000 --test 10000
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _systems import data_of, measured, parser
from astrollama.evaluation.categories.outcome import FULL, PROBED
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import categorisation
from astrollama.provenance import hardware
from astrollama.sections import EvaluateSection


def main() -> None:
    options = parse()
    data = data_of(options.part, options.corpus, options.seed)
    settings = EvaluateSection(
        num_train_labelled=options.train,
        num_test_labelled=options.test,
        head_epochs=options.epochs,
        head_length=options.length,
        head_lr=options.lr,
        head_rank=options.rank,
        head_embeddings=options.embeddings,
    )
    measurements = measured(categorisation, options, data, settings, baseline("tfidf"), baseline("keywords"))
    print(json.dumps({"seed": options.seed, "part": options.part} | figures(measurements, data, settings), indent=2))


def parse() -> argparse.Namespace:
    own = parser(__doc__.splitlines()[0], vectors=", and for the heads")
    own.add_argument("--train", type=int, default=800, help="labelled training abstracts")
    own.add_argument("--test", type=int, default=200, help="abstracts to categorise")
    own.add_argument("--epochs", type=int, default=0, help="of a head that is fine-tuned beside the probe")
    own.add_argument("--length", type=int, default=96, help="tokens of an abstract that such a head reads")
    own.add_argument("--lr", type=float, default=5e-4, help="of such a head, at its peak")
    own.add_argument("--rank", type=int, default=8, help="of such a head's layers")
    own.add_argument("--embeddings", action="store_true", help="such a head changes embeddings too")
    return own.parse_args()


def baseline(name: SystemAbility) -> System:
    return System(name, name, name, "baseline", frozenset({name}), name, Path())


def figures(measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection) -> dict[str, Any]:
    first = next(iter(measurements))
    result = categorisation.summarise(measurements, data, settings, first)
    own = measurements[first]
    return {
        "train": own.details["num_train"],
        "test": len(own.samples),
        "systems": {
            key: {name: {"value": one.value, "ci95": one.ci95} for name, one in estimates.items()}
            for key, estimates in result.estimates.items()
        },
        f"{first} against": [
            asdict(one)
            for one in result.comparisons
            if one.metric in ("macro_f1", f"{PROBED}_macro_f1", f"{FULL}_macro_f1")
        ],
        "methods": result.details["methods"],
        "hardware": hardware(),
    }


if __name__ == "__main__":
    main()
