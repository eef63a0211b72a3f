"""Rows of tokens through a transformers model: end to end, without padding, and what its head expects after each token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from astrollama.backends.base import TokenPredictions
from astrollama.errors import ModelError
from astrollama.models.attention import Documents, attending_within_documents
from astrollama.models.forward import hidden_states
from astrollama.models.loss import chunk_tokens
from astrollama.models.pooling import Pooling, pooled

# What goes through the model at a time; more is no faster on a CPU, and takes more memory.
TOKENS_A_BATCH = 2048


def states_of_rows(
    model: Any, rows: Sequence[Sequence[int]], *, is_causal: bool = True
) -> Iterator[tuple[list[int], Tensor]]:
    """The last hidden states of rows, none of which sees another, batch by batch.

    Args:
        model: a `LlamaForCausalLM`.
        rows: one token at least in each.
        is_causal: whether a token sees none behind it.

    Yields:
        Which rows are in the batch, and the states of their tokens end to end, of shape (N, D).

    Raises:
        ModelError: a state is not finite.
    """
    device = model.device
    for batch in even_batches(list(map(len, rows))):
        lengths = tuple(len(rows[number]) for number in batch)
        offsets_S = torch.tensor(list(accumulate(lengths, initial=0)), dtype=torch.int32, device=device)
        tokens_N = torch.tensor([token for number in batch for token in rows[number]], device=device)
        positions_N = torch.cat([torch.arange(length, device=device) for length in lengths])
        documents = Documents(lengths, offsets_S, max(lengths), is_causal)
        with attending_within_documents(model):
            hidden_ND = hidden_states(model, tokens_N, positions_N, documents)
        require_finite(hidden_ND)
        yield batch, hidden_ND


def vectors_of_rows(
    model: Any, rows: Sequence[Sequence[int]], pooling: Pooling = "mean", *, is_causal: bool = True
) -> Iterator[tuple[list[int], Tensor]]:
    """As `states_of_rows`, with one vector a row, of shape (B, D)."""
    for batch, hidden_ND in states_of_rows(model, rows, is_causal=is_causal):
        states = torch.split(hidden_ND, [len(rows[number]) for number in batch])
        yield batch, torch.stack([pooled(states_TD, pooling) for states_TD in states])


def require_finite(hidden_ND: Tensor) -> None:
    """Refuse states from which no number could be told.

    Raises:
        ModelError: one is infinite or not a number.
    """
    if not bool(torch.isfinite(hidden_ND).all()):
        raise ModelError(
            "the model gives states that are not finite",
            "its weights are damaged, or its numbers too narrow: try another device or model",
        )


def even_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Numbers of rows of these lengths, as `batches_of`, in groups of up to `TOKENS_A_BATCH` tokens."""
    return batches_of(lengths, TOKENS_A_BATCH)


def batches_of(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Numbers of rows of these lengths, longest first, in groups of up to `most_tokens` tokens; a longer row is alone.

    Rows of one length stay in their order.
    """
    batches: list[list[int]] = []
    room = 0
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if lengths[number] > room:
            batches.append([])
            room = most_tokens
        batches[-1].append(number)
        room -= lengths[number]
    return batches


def predictions(hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> TokenPredictions:
    """What the head expects after each of N states, one at least, where `targets_N` is what stands there.

    Logits exist for `chunk_tokens` at a time, as in the loss.
    """
    size = chunk_tokens(targets_N.device.type)
    chunks = []
    for hidden_CD, targets_C in zip(torch.split(hidden_ND, size), torch.split(targets_N, size), strict=True):
        logits_CV = (hidden_CD @ head_VD.to(hidden_CD.dtype).T).float()
        normaliser_C = logits_CV.logsumexp(dim=-1)
        top_C, likeliest_C = logits_CV.max(dim=-1)
        nll_C = normaliser_C - logits_CV.gather(-1, targets_C[:, None]).squeeze(-1)
        chunks.append((nll_C, (top_C - normaliser_C).exp(), likeliest_C == targets_C))
    return TokenPredictions(*(torch.cat(parts).cpu().numpy() for parts in zip(*chunks, strict=True)))
