"""Scores against the plainest calculation: one row alone, all its logits, double precision."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from astrollama.backends import hf_rows
from astrollama.backends.base import ContinuationLikelihood
from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import UserInputError
from astrollama.models.load import LoadedModel

CONTEXT = 512
QUESTION = "The magnetic field of the Galaxy is measured by"
ANSWERS = [" Faraday rotation of pulsars.", " dust", " the polarisation of synchrotron emission at 1.4 GHz", " X"]


def plain_log_probabilities(double: Any, row: Sequence[int]) -> Tensor:
    with torch.no_grad():
        log_probabilities: Tensor = double(torch.tensor([row])).logits[0].log_softmax(-1)
    return log_probabilities


def plain_nll(double: Any, row: Sequence[int]) -> float:
    """Of every token after the first."""
    picked = plain_log_probabilities(double, row[:-1]).gather(-1, torch.tensor(row[1:])[:, None])
    return -float(picked.sum())


def plain_likelihood(loaded: LoadedModel, double: Any, context: str, continuation: str) -> ContinuationLikelihood:
    encode = loaded.tokenizer.tokenizer.encode
    before = encode(context.rstrip(), add_special_tokens=False)
    behind = encode(context + continuation, add_special_tokens=False)[len(before) :]
    num_tokens = len(behind)
    row = [loaded.tokenizer.bos_id, *before, *behind][-(CONTEXT + 1) :]
    num_tokens = min(num_tokens, len(row) - 1)
    log_probabilities = plain_log_probabilities(double, row[:-1])[-num_tokens:]
    targets = torch.tensor(row[-num_tokens:])
    nll = -float(log_probabilities.gather(-1, targets[:, None]).sum())
    return ContinuationLikelihood(nll, num_tokens, bool((log_probabilities.argmax(-1) == targets).all()))


def assert_same(found: ContinuationLikelihood, expected: ContinuationLikelihood) -> None:
    assert found.num_tokens == expected.num_tokens
    assert found.greedy == expected.greedy
    assert math.isclose(found.nll, expected.nll, rel_tol=1e-5)


@pytest.fixture(scope="module")
def pairs(loaded: LoadedModel, double: Any, sample_texts: list[str]) -> list[tuple[str, str]]:
    """Shared contexts, lone ones, none, one that ends in spaces, one too long, a continuation too long."""
    long = " ".join(sample_texts[:6])
    greedy = [
        (text, loaded.tokenizer.decode([token]))
        for text in ("Dust", "We present", sample_texts[0])
        for row in [[loaded.tokenizer.bos_id, *loaded.tokenizer.encode([text])[0]]]
        for token in [int(plain_log_probabilities(double, row)[-1].argmax())]
    ]
    return [
        *((QUESTION, answer) for answer in ANSWERS),
        ("", "Dust"),
        ("", "The Milky Way"),
        *greedy,
        (sample_texts[1], " and " + sample_texts[2]),
        (QUESTION + "  ", "dust"),
        (QUESTION + "\n", "dust"),
        (long, " a spiral galaxy"),
        (long, " a"),
        ("Dust", long),
        (QUESTION, ANSWERS[0]),
        ("The magnetic fi", "eld of the Galaxy"),
    ]


def test_a_continuation_has_the_likelihood_of_a_plain_calculation_alone_and_in_company(
    loaded: LoadedModel, model: HFLanguageModel, double: Any, pairs: list[tuple[str, str]]
) -> None:
    expected = [plain_likelihood(loaded, double, *pair) for pair in pairs]
    assert {likelihood.greedy for likelihood in expected} == {True, False}
    assert max(likelihood.num_tokens for likelihood in expected) == CONTEXT
    for found, wanted in zip(model.loglikelihood(pairs), expected, strict=True):
        assert_same(found, wanted)
    for pair, wanted in zip(pairs[:12], expected, strict=False):
        assert_same(model.loglikelihood([pair])[0], wanted)


def test_continuations_that_take_several_passes_are_scored_the_same(
    model: HFLanguageModel, pairs: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.loglikelihood(pairs)
    monkeypatch.setattr(hf_rows, "TOKENS_A_BATCH", 24)
    for found, wanted in zip(model.loglikelihood(pairs), expected, strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("tokens_a_batch", [2048, 128])
def test_a_context_is_computed_once_for_all_its_continuations(
    loaded: LoadedModel,
    model: HFLanguageModel,
    sample_texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tokens_a_batch: int,
) -> None:
    """Also one that is longer than a batch."""
    monkeypatch.setattr(hf_rows, "TOKENS_A_BATCH", tokens_a_batch)
    passed = []
    hook = loaded.model.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: passed.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    with hook:
        found = model.loglikelihood([(sample_texts[0], f" {word}") for word in sample_texts[1].split()[:20]])
    (context,) = loaded.tokenizer.encode([sample_texts[0]])
    assert len(context) > 128
    assert sum(passed) == 1 + len(context) + sum(likelihood.num_tokens - 1 for likelihood in found)


def test_the_model_attends_as_before_when_continuations_are_scored(loaded: LoadedModel, model: HFLanguageModel) -> None:
    before = loaded.model.config._attn_implementation
    model.loglikelihood([(QUESTION, ANSWERS[0])])
    assert loaded.model.config._attn_implementation == before


def test_no_pairs_have_no_likelihoods(model: HFLanguageModel) -> None:
    assert model.loglikelihood([]) == []


@pytest.mark.parametrize(("context", "continuation"), [("Dust", ""), ("", ""), ("The sta", "r")])
def test_a_continuation_without_a_token_of_its_own_is_refused(
    model: HFLanguageModel, context: str, continuation: str
) -> None:
    with pytest.raises(UserInputError, match=r"adds no token to its context \(pair 2\): begin it with a space"):
        model.loglikelihood([("Dust", " grains"), (context, continuation)])


def test_predictions_of_tokens_are_those_of_a_plain_calculation(
    loaded: LoadedModel, model: HFLanguageModel, double: Any, sample_texts: list[str]
) -> None:
    texts = [*sample_texts[:4], "", "Dust"]
    found = model.token_predictions(texts)
    for text, predicted in zip(texts, found, strict=True):
        row = [loaded.tokenizer.bos_id, *loaded.tokenizer.encode([text])[0]]
        log_probabilities, targets = plain_log_probabilities(double, row)[:-1], torch.tensor(row[1:]).long()
        picked = log_probabilities.gather(-1, targets[:, None])[:, 0]
        np.testing.assert_allclose(predicted.nll_T, -picked.numpy(), rtol=1e-4)
        np.testing.assert_allclose(predicted.top_probability_T, log_probabilities.exp().amax(-1).numpy(), rtol=1e-4)
        np.testing.assert_array_equal(predicted.top_correct_T, (log_probabilities.argmax(-1) == targets).numpy())
    for predicted in found:
        dtypes = [array.dtype for array in (predicted.nll_T, predicted.top_probability_T, predicted.top_correct_T)]
        assert dtypes == [np.float32, np.float32, np.bool_]


def test_predictions_of_tokens_sum_to_the_likelihood_of_their_text(
    model: HFLanguageModel, sample_texts: list[str]
) -> None:
    texts = ["Dust", " ".join(sample_texts[:6]), *sample_texts[:5], ""]
    for whole, predicted in zip(model.loglikelihood_rolling(texts), model.token_predictions(texts), strict=True):
        assert len(predicted.nll_T) == whole.num_tokens
        assert math.isclose(predicted.nll_T.sum(dtype=float), whole.nll, rel_tol=1e-6)


@pytest.mark.parametrize("length", [64, CONTEXT])
def test_packed_pieces_have_the_likelihood_of_a_plain_calculation(
    loaded: LoadedModel, model: HFLanguageModel, double: Any, sample_texts: list[str], length: int
) -> None:
    stream: list[int] = []
    for text in sample_texts[:6]:
        stream += [loaded.tokenizer.bos_id, *loaded.tokenizer.encode([text])[0], loaded.tokenizer.eos_id]
    found = model.loglikelihood_packed(sample_texts[:6], length)
    assert len(found) == len(stream) // length > 1
    for number, likelihood in enumerate(found):
        piece = stream[number * length : (number + 1) * length]
        assert likelihood.num_tokens == length - 1
        assert math.isclose(likelihood.nll, plain_nll(double, piece), rel_tol=1e-5)
    assert found[0].num_bytes == len(loaded.tokenizer.decode(stream[:length]).encode())


def test_a_lone_piece_need_not_be_full(loaded: LoadedModel, model: HFLanguageModel, double: Any) -> None:
    text = "Émigré stars of the halo"
    (likelihood,) = model.loglikelihood_packed([text], 256)
    (row,) = loaded.tokenizer.encode_documents([text])
    assert likelihood.num_tokens == len(row) - 1
    assert likelihood.num_bytes == len(text.encode())
    assert math.isclose(likelihood.nll, plain_nll(double, row), rel_tol=1e-5)
    assert model.loglikelihood_packed([], 256) == []


def test_pieces_longer_than_the_context_are_refused(model: HFLanguageModel) -> None:
    with pytest.raises(UserInputError, match="pieces of 1024 tokens are longer than the context"):
        model.loglikelihood_packed(["Dust"], 1024)


def test_rows_go_in_batches_of_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_rows, "TOKENS_A_BATCH", 10)
    assert hf_rows.even_batches([3, 12, 5, 4, 3, 6]) == [[1], [5], [2, 3], [0, 4]]
    assert hf_rows.even_batches([]) == []
