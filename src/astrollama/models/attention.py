"""Attention within documents that lie end to end, without a mask.

A mask for N tokens has N x N entries, most of which say that two documents are strangers. Here each document is attended to
alone: on a GPU by one kernel that knows where documents begin (variable-length flash attention; Dao 2023,
arXiv:2307.08691), elsewhere one document after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_NAME = "documents"
_KERNEL_TYPES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Documents:
    """Where documents lie among N tokens.

    Attributes:
        lengths: of each document in tokens; their sum is N.
        offsets_S: int32, on the tokens' device: where each document begins, and N at the end.
        longest: a bound on the lengths, the same for all batches of a run, so that compiled code is not made anew.
        is_causal: whether a token sees none behind it.
    """

    lengths: tuple[int, ...]
    offsets_S: Tensor
    longest: int
    is_causal: bool = True


def attend_within_documents(model: Any) -> None:
    """Make a `LlamaForCausalLM` take `documents=Documents(…)` in its forward pass, and attend within these only."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _document_attention)
    model.set_attn_implementation(_NAME)


@contextmanager
def attending_within_documents(model: Any) -> Iterator[None]:
    """The same within the block; after it the model attends as it did before."""
    before = model.config._attn_implementation
    attend_within_documents(model)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _document_attention(
    _module: Any,
    query_1HND: Tensor,
    key_1GND: Tensor,
    value_1GND: Tensor,
    _mask: None,
    *,
    documents: Documents,
    scaling: float,
    **_unused: object,
) -> tuple[Tensor, None]:
    """Attention within documents; H query heads share G key-value heads. Returns (1, N, H, D)."""
    # the rotary embedding leaves float32 behind where autocast made bfloat16
    query_1HND, key_1GND = query_1HND.to(value_1GND.dtype), key_1GND.to(value_1GND.dtype)
    if value_1GND.is_cuda and value_1GND.dtype in _KERNEL_TYPES:
        return _by_kernel(query_1HND, key_1GND, value_1GND, documents, scaling), None
    return _one_by_one(query_1HND, key_1GND, value_1GND, documents, scaling), None


def _by_kernel(
    query_1HND: Tensor, key_1GND: Tensor, value_1GND: Tensor, documents: Documents, scaling: float
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    query_NHD, key_NGD, value_NGD = (heads_1XND[0].transpose(0, 1) for heads_1XND in (query_1HND, key_1GND, value_1GND))
    output_NHD = varlen_attn(
        query_NHD,
        key_NGD,
        value_NGD,
        documents.offsets_S,
        documents.offsets_S,
        documents.longest,
        documents.longest,
        scale=scaling,
        window_size=(-1, 0) if documents.is_causal else (-1, -1),
        enable_gqa=True,
    )
    assert isinstance(output_NHD, Tensor)
    return output_NHD[None]


@torch.compiler.disable  # type: ignore[untyped-decorator]  # the lengths change from batch to batch
def _one_by_one(
    query_1HND: Tensor, key_1GND: Tensor, value_1GND: Tensor, documents: Documents, scaling: float
) -> Tensor:
    queries, keys, values = (
        torch.split(heads_1XND, list(documents.lengths), dim=2) for heads_1XND in (query_1HND, key_1GND, value_1GND)
    )
    outputs = [
        scaled_dot_product_attention(query, key, value, is_causal=documents.is_causal, scale=scaling, enable_gqa=True)
        for query, key, value in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2)
