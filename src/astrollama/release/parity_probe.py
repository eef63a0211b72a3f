"""What two models are compared on: texts to tokenise, rows of tokens to score, prompts to continue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrollama.corpus.store import STAGE_NAME, read_documents
from astrollama.errors import UserInputError
from astrollama.runs import read_manifest
from astrollama.sources.sample import SAMPLE
from astrollama.tokens.tokenizer import DocumentTokenizer

NUM_TEXTS = 1000
# As many as the source model scores in about a quarter of a minute at 135 M parameters on two cores; several engines follow.
PERPLEXITY_TOKENS = 8192
ROW_TOKENS = 512
NUM_PROMPTS = 20
PROMPT_TOKENS = 16
NEW_TOKENS = 32
_SEED = 0
_HELD_OUT = "test.parquet"


@dataclass(frozen=True)
class Texts:
    """Abstracts to compare on.

    Attributes:
        source: where they come from, for the report; a corpus by the name of its folder, for reports are published.
        digest: SHA-256 of the file that they come from, where it is a corpus's, else "".
    """

    source: str
    digest: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    """What is asked of each engine.

    Attributes:
        tokens: of each text by the source's tokenizer, BOS first.
        rows: the beginnings of these, to be scored.
        prompts: equally long beginnings, to be continued.
    """

    texts: tuple[str, ...]
    tokens: list[list[int]]
    rows: list[list[int]]
    prompts: list[list[int]]

    @property
    def longest(self) -> int:
        """The greatest number of tokens that an engine has before it at once."""
        return max(PROMPT_TOKENS + NEW_TOKENS, *map(len, self.rows))


def read_texts(corpus: Path | None) -> Texts:
    """Held-out documents of a corpus, `NUM_TEXTS` of them drawn, or the built-in sample as far as it goes.

    Raises:
        RunError: `corpus` is no complete corpus.
        UserInputError: it holds nothing out.
    """
    if corpus is None:
        lines = SAMPLE.read_text(encoding="utf-8").splitlines()
        return Texts("the built-in sample", "", tuple(json.loads(line)["abstract"] for line in lines))
    manifest = read_manifest(corpus, STAGE_NAME)
    documents = [document.text for document in read_documents(corpus / _HELD_OUT)]
    if not documents:
        raise UserInputError(f"{corpus} holds no document out", "give a corpus with held-out documents, or no --corpus")
    drawn = np.random.default_rng(_SEED).permutation(len(documents))[:NUM_TEXTS]
    return Texts(
        f"held-out documents of {corpus.resolve().name}",
        manifest["files"][_HELD_OUT]["sha256"],
        tuple(documents[number] for number in drawn.tolist()),
    )


def make_probe(texts: Sequence[str], tokenizer: DocumentTokenizer, context: int) -> Probe:
    """Rows and prompts from the first of the texts.

    Args:
        context: the model's, in tokens.
    """
    tokens = [[tokenizer.bos_id, *encoded] for encoded in tokenizer.encode(texts)]
    rows: list[list[int]] = []
    for row in tokens:
        if sum(map(len, rows)) >= PERPLEXITY_TOKENS:
            break
        if len(row) > 1:
            rows.append(row[: min(ROW_TOKENS, context)])
    prompts = [row[:PROMPT_TOKENS] for row in tokens if len(row) > PROMPT_TOKENS][:NUM_PROMPTS]
    return Probe(tuple(texts), tokens, rows, prompts)
