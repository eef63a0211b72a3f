from typing import Literal

import numpy as np
import pytest
import torch

from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import UserInputError
from astrollama.models.load import LoadedModel

CONTEXT = 512


def plain_states(loaded: LoadedModel, tokens: list[int]) -> np.ndarray:
    """The last hidden states of BOS and tokens alone, as transformers itself gives them, without BOS's."""
    with torch.no_grad():
        output = loaded.model(torch.tensor([[loaded.tokenizer.bos_id, *tokens]]), output_hidden_states=True)
    states: np.ndarray = output.hidden_states[-1][0, 1:].numpy()
    return states


def plain_vector(loaded: LoadedModel, text: str, pooling: Literal["mean", "last", "echo"]) -> np.ndarray:
    (tokens,) = loaded.tokenizer.encode([text])
    if pooling == "echo":
        tokens = tokens[: (CONTEXT - 1) // 2]
        return plain_states(loaded, tokens + tokens)[len(tokens) :].mean(0)
    states = plain_states(loaded, tokens[: CONTEXT - 1])
    return states.mean(0) if pooling == "mean" else states[-1]


@pytest.mark.parametrize("pooling", ["mean", "last", "echo"])
def test_vectors_are_those_of_each_text_alone_in_the_order_given(
    loaded: LoadedModel,
    model: HFLanguageModel,
    sample_texts: list[str],
    pooling: Literal["mean", "last", "echo"],
) -> None:
    texts = ["Dust", *sample_texts[:12], "a", " ".join(sample_texts[:6]), "Dust"]
    vectors_ND = model.embed(texts, pooling=pooling)
    assert vectors_ND.dtype == np.float32
    expected_ND = np.stack([plain_vector(loaded, text, pooling) for text in texts])
    np.testing.assert_allclose(vectors_ND, expected_ND, atol=2e-5)


def test_no_texts_have_no_vectors(model: HFLanguageModel) -> None:
    assert model.embed([]).shape == (0, 64)


def test_an_empty_text_is_refused(model: HFLanguageModel) -> None:
    with pytest.raises(UserInputError, match="text 2 of 2 is empty and has no vector: leave it out"):
        model.embed(["Dust", ""])
