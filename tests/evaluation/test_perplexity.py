import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from astrollama.backends.base import TextLikelihood
from astrollama.corpus.store import read_documents
from astrollama.evaluation.perplexity import measure_perplexity
from astrollama.records import Document
from astrollama.sections import EvaluateSection

SETTINGS = EvaluateSection(num_resamples=500)


class Scorer:
    """A model whose loss is known: `nats` a token, a token a word, a little more for each document after the other."""

    digest: str | None = None

    def __init__(self, name: str, nats: float) -> None:
        self.name = name
        self._nats = nats

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[TextLikelihood]:
        return [
            TextLikelihood(len(text.split()) * (self._nats + index % 3 / 10), len(text.split()), len(text.encode()))
            for index, text in enumerate(texts)
        ]

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        raise AssertionError("perplexity needs no generation")


@pytest.fixture(scope="module")
def documents(sample_corpus) -> list[Document]:  # type: ignore[no-untyped-def]
    return list(read_documents(sample_corpus / "test.parquet"))


def test_perplexity_weighs_by_tokens_and_reduction_is_paired(documents: list[Document]) -> None:
    metrics = measure_perplexity(Scorer("base", 3.0), Scorer("adapted", 2.5), documents, SETTINGS).metrics
    words = [len(document.text.split()) for document in documents]
    nll = sum(count * (3.0 + index % 3 / 10) for index, count in enumerate(words))
    assert metrics["base"] == pytest.approx(math.exp(nll / sum(words)))
    assert metrics["num_documents"] == len(documents)
    assert metrics["num_tokens"] == sum(words)
    num_bytes = sum(len(document.text.encode()) for document in documents)
    assert metrics["base_bits_per_byte"] == pytest.approx(nll / math.log(2) / num_bytes)
    # each document gains exactly half a nat a token, so that pairing leaves no width at all
    assert metrics["relative_reduction"] == pytest.approx(1 - math.exp(-0.5))
    assert metrics["relative_reduction_ci95"] == pytest.approx([1 - math.exp(-0.5)] * 2)
    low, high = metrics["base_ci95"]
    assert low < metrics["base"] < high


def test_a_model_against_itself_shows_no_difference(documents: list[Document]) -> None:
    metrics = measure_perplexity(Scorer("a", 3.0), Scorer("b", 3.0), documents, SETTINGS).metrics
    assert metrics["relative_reduction"] == 0
    assert metrics["relative_reduction_ci95"] == [0, 0]


def test_groups_hold_every_document_once_and_small_ones_have_no_interval(documents: list[Document]) -> None:
    lone = [replace(documents[0], date="1999-01-01"), *documents[1:]]
    metrics = measure_perplexity(Scorer("a", 3.0), Scorer("b", 2.9), lone, SETTINGS).metrics
    for groups in (metrics["by_year"], metrics["by_category"]):
        assert sum(group["num_documents"] for group in groups.values()) == len(documents)
    assert metrics["by_year"]["1999"]["relative_reduction_ci95"] is None
    assert len(metrics["by_category"]) == 6


def test_samples_allow_to_compute_everything_again(documents: list[Document]) -> None:
    result = measure_perplexity(Scorer("a", 3.0), Scorer("b", 2.9), documents, SETTINGS)
    nll = sum(sample["adapted_nll"] for sample in result.samples)
    tokens = sum(sample["num_tokens"] for sample in result.samples)
    assert math.exp(nll / tokens) == pytest.approx(result.metrics["adapted"])
    assert [sample["id"] for sample in result.samples] == [document.id for document in documents]
