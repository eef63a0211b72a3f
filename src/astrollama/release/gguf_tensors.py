"""A LLaMA's tensors as llama.cpp wants them: other names, and the rows of queries and keys in another order.

transformers rotates the first half of a head against its second, llama.cpp each even row against the odd one behind it, as
the original LLaMA did. The rows of the query and key matrices are therefore interleaved, head by head; with grouped-query
attention the keys have fewer heads than the queries.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from astrollama.errors import ModelError

_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_IN_BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_BLOCK_TENSOR = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")


def gguf_name(name: str) -> str:
    """What llama.cpp calls a tensor.

    Raises:
        ModelError: it has no place in llama.cpp's LLaMA.
    """
    match = _BLOCK_TENSOR.fullmatch(name)
    if match and match[2] in _IN_BLOCK:
        return f"blk.{match[1]}.{_IN_BLOCK[match[2]]}.weight"
    if name not in _OUTSIDE:
        raise ModelError(f"the tensor {name} has no place in a GGUF file of a LLaMA", "export it with --format hf")
    return _OUTSIDE[name]


def gguf_rows(name: str, weights: np.ndarray, config: Any) -> np.ndarray:
    """A tensor with its rows in llama.cpp's order.

    Args:
        name: in transformers.
        config: the model's `LlamaConfig`.
    """
    if name.endswith("self_attn.q_proj.weight"):
        return _interleaved(weights, config.num_attention_heads)
    if name.endswith("self_attn.k_proj.weight"):
        return _interleaved(weights, config.num_key_value_heads)
    return weights


def _interleaved(weights: np.ndarray, num_heads: int) -> np.ndarray:
    """The rows i and i + d/2 of each head of d rows as its rows 2i and 2i + 1."""
    heads_H2RD = weights.reshape(num_heads, 2, -1, weights.shape[-1])
    return heads_H2RD.swapaxes(1, 2).reshape(weights.shape)
