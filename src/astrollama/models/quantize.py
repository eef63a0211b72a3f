"""Weights in 4 bits: NF4 of QLoRA (Dettmers et al. 2023, arXiv:2305.14314), without its double quantisation.

A weight matrix is cut into blocks of 64 values in a row; each block keeps its largest magnitude in float32 and, of every
value divided by it, the nearest of 16 levels. Only a maximum, a division and comparisons decide the level, and one product
gives the value back, so that every device makes the very same weights from the same base.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from astrollama.errors import UserInputError
from astrollama.models.folder import NF4
from astrollama.models.quiet import quiet_libraries

BLOCK_SIZE = 64
# Quantiles of the normal distribution, scaled to [-1, 1] (appendix E of the paper).
LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


def quantize(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """The levels of a weight matrix and the scales of its blocks.

    Returns:
        uint8 with two levels a byte, the first in the high half, of shape (bytes, 1); float32 of shape (blocks,).
    """
    values_N = weight_OI.detach().float().reshape(-1)
    blocks_NB = torch.nn.functional.pad(values_N, (0, -len(values_N) % BLOCK_SIZE)).view(-1, BLOCK_SIZE)
    scale_N = blocks_NB.abs().amax(-1)
    divisor_N1 = torch.where(scale_N > 0, scale_N, 1.0)[:, None]
    levels = torch.tensor(LEVELS, device=weight_OI.device)
    index_NB = torch.bucketize(blocks_NB / divisor_N1, (levels[1:] + levels[:-1]) / 2, out_int32=True)
    index = index_NB.to(torch.uint8).view(-1, 2)[: -(-len(values_N) // 2)]
    return (index[:, :1] << 4) | index[:, 1:], scale_N


def dequantize(packed: Tensor, scale_N: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The weight matrix of `shape`, float32, that `quantize`'s result stands for."""
    levels = torch.tensor(LEVELS, device=packed.device)
    values_N = levels[torch.cat([packed >> 4, packed & 15], dim=1).view(-1).int()]
    blocks_NB = torch.nn.functional.pad(values_N, (0, -len(values_N) % BLOCK_SIZE)).view(-1, BLOCK_SIZE)
    num_values = shape[0] * shape[1]
    return (blocks_NB * scale_N[:, None]).view(-1)[:num_values].view(shape)


@torch.no_grad()
def round_to_nf4(model: Any) -> None:
    """Replace the weights of all linear layers of the blocks by what 4 bits leave of them, in place."""
    for _, _, linear in _block_linears(model):
        linear.weight.copy_(dequantize(*quantize(linear.weight), tuple(linear.weight.shape)))


def quantize_model(model: Any) -> None:
    """Keep the weights of all linear layers of the blocks in 4 bits from now on, in place; embeddings and head stay.

    Raises:
        UserInputError: bitsandbytes, which multiplies with such weights, is not installed.
    """
    require_bitsandbytes()
    for parent, name, linear in _block_linears(model):
        setattr(parent, name, Nf4Linear(linear))


def require_bitsandbytes() -> None:
    """Make sure that bitsandbytes is there.

    Raises:
        UserInputError: it is not.
    """
    try:
        with quiet_libraries():
            import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise UserInputError(
            "train.method = 'qlora' needs bitsandbytes, which is not installed",
            "pip install 'astrollama[qlora]', or set train.method = 'lora'",
        ) from error


class Nf4Linear(torch.nn.Linear):
    """A frozen linear layer with its weight in 4 bits, which is made float only while a product needs it.

    The weight is in buffers: what shards, averages or counts parameters leaves it alone. bitsandbytes' own layer is not
    taken because in evaluation mode it computes in bfloat16 on some CPUs.
    """

    packed: Tensor
    scale: Tensor

    def __init__(self, linear: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed, scale = quantize(linear.weight)
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale)
        self.register_parameter("bias", linear.bias)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The float32 weight that the products are made with, of shape (out_features, in_features)."""
        return dequantize(self.packed, self.scale, (self.out_features, self.in_features))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 — torch's name
        """`input` times the weight, in autocast's type where that is on."""
        import bitsandbytes
        from bitsandbytes.functional import QuantState

        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        state = QuantState(
            self.scale,
            shape=torch.Size((self.out_features, self.in_features)),
            blocksize=BLOCK_SIZE,
            quant_type=NF4,
            dtype=dtype,
        )
        bias = None if self.bias is None else self.bias.to(dtype)
        product: Tensor = bitsandbytes.matmul_4bit(input.to(dtype), self.packed, state, bias=bias)
        return product


def _block_linears(model: Any) -> Iterator[tuple[torch.nn.Module, str, torch.nn.Linear]]:
    """Each linear layer of a LLaMA's blocks, with the module that holds it and its name there."""
    for parent in list(model.model.layers.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear):
                yield parent, name, child
