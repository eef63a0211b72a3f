"""The settings of a LLaMA in a GGUF file: its shape, its rotary embeddings, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.errors import ModelError
from astrollama.models.gguf_header import ROPE_PARAMETERS_KEY


@dataclass(frozen=True)
class Origin:
    """What a file tells of where it comes from.

    Attributes:
        digest: of the model that was exported.
        base: the base's name, or "" where it is not known.
        licence: an SPDX name, or "" where it is not known.
    """

    name: str
    digest: str
    base: str
    licence: str


def require_exportable(config: Any) -> None:
    """Refuse what llama.cpp's LLaMA does not have.

    Raises:
        ModelError: biases, another activation, or rotary embeddings of a kind that is not handled.
    """
    fix = "export it with --format hf"
    if config.attention_bias or config.mlp_bias:
        raise ModelError("the model has biases, which GGUF files are not written with here", fix)
    if config.hidden_act != "silu":
        raise ModelError(f"the model's activation is {config.hidden_act}, llama.cpp's LLaMA has silu", fix)
    kind = config.rope_parameters["rope_type"]
    if kind not in ("default", "linear", "llama3"):
        raise ModelError(f"rotary embeddings of the kind {kind!r} are not handled (default, linear, llama3 are)", fix)


def add_settings(writer: Any, config: Any, origin: Origin) -> None:
    """Write shape, rotary embeddings and origin with a `gguf.GGUFWriter`."""
    writer.add_name(origin.name)
    writer.add_string("astrollama.model_digest", origin.digest)
    if origin.licence:
        writer.add_license(origin.licence)
    if origin.base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, origin.base)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _add_rope(writer, config)


def rope_factors(config: Any) -> np.ndarray | None:
    """By how much each of a head's d/2 frequencies is lowered, where that differs between them (Llama 3.1), else None.

    llama.cpp reads them from a tensor, as it does not know the rule.
    """
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = config.rope_parameters
    if rope["rope_type"] != "llama3":
        return None
    scaled_F, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")
    exponents_F = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    plain_F = 1.0 / np.power(np.float32(rope["rope_theta"]), exponents_F)
    factors_F: np.ndarray = (plain_F / scaled_F.numpy()).astype(np.float32)
    return factors_F


def _add_rope(writer: Any, config: Any) -> None:
    from gguf import RopeScalingType

    rope = config.rope_parameters
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] != "default":
        # llama.cpp's keys do not tell all; with these the file can be read back into transformers
        writer.add_string(ROPE_PARAMETERS_KEY, json.dumps(rope, sort_keys=True))
