"""How many operations, how much memory and how much time a run needs, from the shape of its model alone.

A multiplication and an addition are two operations. A matrix that a token passes costs 2 operations a parameter forward,
2 backward for its input and 2 for its own gradient (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Embeddings are
looked up and cost nothing; the head is a matrix product, whether it is tied to them or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from astrollama.models.architectures import (
    count_adapter_parameters,
    count_block_parameters,
    count_matrix_parameters,
    count_parameters,
    linear_shapes,
)
from astrollama.models.loss import chunk_tokens
from astrollama.models.quantize import BLOCK_SIZE
from astrollama.recipe import Recipe
from astrollama.sections import EMBEDDINGS, Attention
from astrollama.training import checkpoint
from astrollama.training.hardware import Hardware

FLOAT32 = 4
# bytes of a parameter in NF4: 4 bits and its part of a block's scale
NF4 = 0.5 + FLOAT32 / BLOCK_SIZE
# What a step takes of the rate of plain matrix products. On a CPU measured (docs/benchmarks.md), on GPUs assumed.
_CPU_UTILISATION = {"full": 0.73, "lora": 0.51, "qlora": 0.51}
_GPU_UTILISATION = 0.4
# Python, the libraries and a tokenizer of 49,152 tokens: the peak of a run of a tiny model on Linux, 0.70 GiB, less the
# 0.12 that are counted here; a GPU holds no such thing.
_LIBRARY_BYTES = 600 * 2**20


@dataclass(frozen=True)
class TokenFlops:
    """Operations of one predicted token.

    Attributes:
        model: what training needs; the share of a machine's rate that these reach is the MFU.
        recomputed: what activation checkpointing does a second time.
    """

    model: float
    recomputed: float


def mean_context(lengths: Iterable[int], sequence_length: int, attention: Attention) -> float:
    """Mean number of tokens that a predicted token sees, itself included.

    In a piece of l tokens it is (l + 1) / 2; over pieces of lengths l it is sum(l (l + 1) / 2) / sum(l). With document
    attention a piece is a document, or a part of one that is longer than a sequence; packed, it is a sequence.

    Args:
        lengths: predicted tokens of each document.
    """
    if attention == "packed":
        return (sequence_length + 1) / 2
    seen = total = 0
    for length in lengths:
        whole, rest = divmod(length, sequence_length)
        seen += whole * sequence_length * (sequence_length + 1) // 2 + rest * (rest + 1) // 2
        total += length
    return seen / total


def flops_a_token(config: Any, recipe: Recipe, context: float) -> TokenFlops:
    """Operations of a predicted token with `context` tokens to see.

    With N parameters in the matrices of blocks and head, A in the adapter and L blocks of H heads of size E:
    forward 2 N + 2 A + 4 L H E context; backward twice that, less 2 N where the weights are frozen. So training costs
    6 N (full) or 4 N + 6 A (LoRA) and 12 L H E context. Activation checkpointing adds the blocks' forward pass. An encoder
    has no head; what is looked up, an update of the embeddings too, costs nothing.
    """
    blocks = config.num_hidden_layers * count_matrix_parameters(config)
    head = 0 if recipe.train.objective == "contrastive" else config.vocab_size * config.hidden_size
    adapter = _adapter_parameters(config, recipe, looked_up=False)
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * context
    weights = 6 if recipe.train.method == "full" else 4
    recomputed = 2 * (blocks + adapter) + attention if recipe.train.activation_checkpointing else 0
    return TokenFlops(weights * (blocks + head) + 6 * adapter + 3 * attention, recomputed)


def trained_parameters(config: Any, recipe: Recipe) -> int:
    """Parameters that a recipe trains."""
    return count_parameters(config) if recipe.train.method == "full" else _adapter_parameters(config, recipe)


def memory_by_part(config: Any, recipe: Recipe, kind: str, num_ranks: int) -> dict[str, float]:
    """Bytes on each device, by what they hold, when a step needs most.

    Weights, gradients, moments, average and best weights are divided among the ranks (FSDP; Zhao et al. 2023, arXiv:2304.11277); a base
    in 4 bits is not, and lies whole on each.

    Args:
        kind: `cpu` or `cuda`, as `Hardware.kind`.
    """
    trained = trained_parameters(config, recipe)
    parts = {
        "weights": _weight_bytes(config, recipe, num_ranks),
        "gradients": FLOAT32 * trained / num_ranks,
        "moments": 2 * FLOAT32 * trained / num_ranks,
        "average": FLOAT32 * trained / num_ranks if recipe.train.ema_decay else 0,
        "best": FLOAT32 * trained / num_ranks if recipe.keeps_best else 0,
        "copies": _copy_bytes(config, recipe, num_ranks),
        "activations": _activation_bytes(config, recipe, kind),
        "loss": _loss_bytes(config, recipe, kind),
        "libraries": _LIBRARY_BYTES if kind == "cpu" else 0,
    }
    return {name: float(size) for name, size in parts.items() if size}


def disk_bytes(config: Any, recipe: Recipe) -> int:
    """Bytes that a run needs on disk at most: the checkpoints that are kept, and the model."""
    copies = 3 + bool(recipe.train.ema_decay) + recipe.keeps_best
    return FLOAT32 * trained_parameters(config, recipe) * (copies * checkpoint.KEPT + 1)


def expected_utilisation(kind: str, method: str) -> float:
    """The share of the rate of plain matrix products that a step is expected to reach."""
    return _CPU_UTILISATION[method] if kind == "cpu" else _GPU_UTILISATION


def seconds_a_step(
    config: Any, recipe: Recipe, hardware: Hardware, num_devices: int, flops: float, utilisation: float
) -> float:
    """The time of a step of `flops` operations in all: that of its work or of its memory traffic, whichever is longer.

    Micro-batches that do not divide among the devices leave some of them idle in the last round. The traffic is a
    lower bound: each pass of a micro-batch reads the weights once, and AdamW reads 16 bytes and writes 12 a parameter.
    """
    micro_batches = recipe.micro_batches_a_step
    rounds = -(-micro_batches // num_devices)
    passes = 3 if recipe.train.activation_checkpointing else 2
    work = flops * rounds / micro_batches / (hardware.rates[recipe.train.precision].value * utilisation)
    optimiser = 7 * FLOAT32 * trained_parameters(config, recipe) / num_devices
    traffic = rounds * passes * _element_bytes(recipe) * count_parameters(config) + optimiser
    return max(work, traffic / hardware.bandwidth.value)


def _adapter_parameters(config: Any, recipe: Recipe, looked_up: bool = True) -> int:
    if recipe.train.method == "full":
        return 0
    targets = [target for target in recipe.lora.targets if looked_up or target != EMBEDDINGS]
    return count_adapter_parameters(config, recipe.lora.rank, targets)


def _element_bytes(recipe: Recipe) -> int:
    return 2 if recipe.train.precision == "bfloat16" else FLOAT32


def _weight_bytes(config: Any, recipe: Recipe, num_ranks: int) -> float:
    """Float32, but the blocks' matrices of a base in 4 bits."""
    total, adapter = count_parameters(config), _adapter_parameters(config, recipe)
    if recipe.train.method != "qlora":
        return FLOAT32 * (total + adapter) / num_ranks
    matrices: int = config.num_hidden_layers * count_matrix_parameters(config)
    return NF4 * matrices + FLOAT32 * (total - matrices) + FLOAT32 * adapter / num_ranks


def _copy_bytes(config: Any, recipe: Recipe, num_ranks: int) -> float:
    """Weights that are there a second time, because they were cast to bfloat16, unpacked from 4 bits, or gathered."""
    size = _element_bytes(recipe)
    block, matrices = count_block_parameters(config), count_matrix_parameters(config)
    if recipe.train.method == "qlora":
        return size * max(inputs * outputs for inputs, outputs in linear_shapes(config).values())
    if num_ranks > 1:
        # a block, the next one on its way, and embeddings, norm and head, which stay until the step ends
        rest = count_parameters(config) - config.num_hidden_layers * block
        gradients = FLOAT32 * (block + rest) if recipe.train.method == "full" else 0
        return float(FLOAT32 * (2 * block + rest) + (size * block if size < FLOAT32 else 0) + gradients)
    if size == FLOAT32:
        return 0
    # autocast keeps its casts of trained weights; those of frozen ones live as long as the backward pass needs them
    one_by_one = recipe.train.activation_checkpointing and recipe.train.method != "full"
    return size * matrices * (1 if one_by_one else int(config.num_hidden_layers))


def _activation_bytes(config: Any, recipe: Recipe, kind: str) -> float:
    """What the forward pass of a micro-batch keeps for the backward one, and one MLP's gradients there.

    A block of width D, MLP width I, H query and G key heads of size E, with attention that keeps no scores, keeps a token:
    the residual stream before each norm (2 D, float32), queries, keys, values and output of attention ((2 H + 2 G) E), and of
    the MLP gate, its SiLU and up (3 I). Where a weight is trained its input is kept too, and where a norm is, what it
    has normalised (2 D, float32). In bfloat16 the residual stream stays in float32, and autocast makes a copy of a norm's
    output for each matrix that reads it.
    """
    size, width, inner = _element_bytes(recipe), config.hidden_size, config.intermediate_size
    layers = config.num_hidden_layers
    heads, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    full = recipe.train.method == "full"
    trained = set(linear_shapes(config)) if full else set(recipe.lora.targets)
    block = 2 * width * FLOAT32 + size * (2 * heads + 2 * keys + 3 * inner) + (2 * width * FLOAT32 if full else 0)
    for readers in ({"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"}):
        num_copies = len(readers & trained) if size < FLOAT32 else min(len(readers & trained), 1)
        block += size * width * num_copies
    block += size * inner * ("down_proj" in trained)
    # attention goes document by document on a CPU, and its outputs are put together in a tensor of their own
    block += size * heads * (kind == "cpu" and "o_proj" in trained)
    block += 0 if full else size * recipe.lora.rank * len(trained)
    tokens = min(recipe.train.micro_batch_size, recipe.sequences_a_step) * recipe.pack.sequence_length
    kept = layers * width * FLOAT32 + block if recipe.train.activation_checkpointing else layers * block
    gradients = 3 * inner * size + 2 * width * FLOAT32
    return float(tokens * (kept + gradients))


def _loss_bytes(config: Any, recipe: Recipe, kind: str) -> int:
    """Two copies of a chunk's logits in float32, the head's gradient where it is trained, and the head in bfloat16."""
    head = config.vocab_size * config.hidden_size
    logits = 2 * FLOAT32 * chunk_tokens(kind) * config.vocab_size
    gradients = FLOAT32 * head if recipe.train.method == "full" else 0
    cast = _element_bytes(recipe) * head if recipe.train.precision == "bfloat16" else 0
    return int(logits + gradients + cast)
