"""What systems are measured on: the held-out documents of a corpus, and the files of questions, texts and citations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from astrollama.corpus.store import read_documents
from astrollama.records import Document

DataFile = Literal["questions", "general", "citations"]


@dataclass(frozen=True)
class EvaluationData:
    """The data of an evaluation; files are read when a task asks for them.

    Attributes:
        corpus: a complete corpus directory.
        seed: of the order in which documents are drawn.
        questions: files of multiple-choice questions (JSON lines), besides the built-in ones.
        general: a file of general text, or None.
        citations: a file of citations, one citing paper a line, or None.
        trained_on: identifiers, without version, of the papers that the models compared are known to be trained on.
    """

    corpus: Path
    seed: int
    questions: tuple[Path, ...] = ()
    general: Path | None = None
    citations: Path | None = None
    trained_on: frozenset[str] = frozenset()

    @cached_property
    def test(self) -> list[Document]:
        """All held-out documents in the order drawn: tasks take as many of the first as they need, so that they share."""
        return drawn(self.corpus / "test.parquet", self.seed)

    @cached_property
    def train(self) -> list[Document]:
        """All training documents in the order drawn, for what learns from labels."""
        return drawn(self.corpus / "train.parquet", self.seed)

    @cached_property
    def not_held_out(self) -> list[Document]:
        """All documents for training and validation in the order drawn, for what is told from held-out ones."""
        return [*self.train, *drawn(self.corpus / "validation.parquet", self.seed)]


def drawn(path: Path, seed: int) -> list[Document]:
    """All documents of a part of a corpus, in an order that the seed decides."""
    documents = list(read_documents(path))
    return [documents[index] for index in np.random.default_rng(seed).permutation(len(documents)).tolist()]
