"""Corpora whose documents have chosen texts and categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from astrollama.corpus.store import table_writer
from astrollama.evaluation.data import EvaluationData
from astrollama.records import Document, document_schema

# words of the sample that no two categories share here
WORDS = {
    "astro-ph.CO": ("dark", "energy", "universe", "redshift"),
    "astro-ph.GA": ("galaxy", "stars", "gas", "dust"),
    "astro-ph.SR": ("solar", "magnetic", "flare", "wind"),
}


def document(number: int, text: str, primary: str, *cross_listed: str) -> Document:
    return Document(f"{number}", text, "", (primary, *cross_listed), primary, "2020-01", "", f"{number}", "")


def separable(num_documents: int, seed: int) -> list[Document]:
    """Documents that say nothing but words of their category, the categories in turn."""
    generator = np.random.default_rng(seed)
    categories = list(WORDS)
    return [
        document(number, " ".join(generator.choice(WORDS[category], 12)), category)
        for number, category in ((number, categories[number % 3]) for number in range(num_documents))
    ]


def corpus_of(folder: Path, train: Sequence[Document], test: Sequence[Document]) -> EvaluationData:
    folder.mkdir(exist_ok=True)
    for name, documents in (("train", train), ("test", test)):
        with table_writer(folder / f"{name}.parquet", document_schema()) as writer:
            writer.write(pa.Table.from_pylist([asdict(own) for own in documents], schema=document_schema()))
    return EvaluationData(folder, seed=0)
