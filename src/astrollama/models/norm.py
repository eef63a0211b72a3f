"""The root-mean-square norm (Zhang and Sennrich 2019, arXiv:1910.07467) in fewer passes over memory.

A LLaMA norms twice a layer. Written out in torch operations each norm passes over its input a dozen times and keeps a
second copy of it for the backward pass; on a CPU that is time and memory that can be seen. On a GPU a compiler fuses them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm


def use_lean_norms(model: Any) -> None:
    """Let the norms of a LLaMA compute by `rms_norm`; weights, names and results stay as they are, up to rounding."""
    for module in model.modules():
        if type(module) is LlamaRMSNorm:
            module.__class__ = _LeanRmsNorm


def rms_norm(hidden_XD: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    """Weight x hidden / sqrt(mean over D of hidden² + epsilon), float32, differentiable once."""
    normed: Tensor = _RmsNorm.apply(hidden_XD, weight_D, epsilon)  # type: ignore[no-untyped-call]
    return normed


class _LeanRmsNorm(LlamaRMSNorm):  # type: ignore[misc]
    def forward(self, hidden_states: Tensor) -> Tensor:
        if hidden_states.dtype != torch.float32 or self.weight.dtype != torch.float32:
            normed: Tensor = super().forward(hidden_states)
            return normed
        return rms_norm(hidden_states, self.weight, self.variance_epsilon)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_XD: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
        mean_square_X1 = torch.linalg.vector_norm(hidden_XD, dim=-1, keepdim=True).square() / hidden_XD.shape[-1]
        scale_X1 = torch.rsqrt(mean_square_X1 + epsilon)
        ctx.save_for_backward(hidden_XD, weight_D, scale_X1)
        return (hidden_XD * scale_X1).mul_(weight_D)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (grad_XD,) = grad_outputs
        hidden_XD, weight_D, scale_X1 = ctx.saved_tensors
        width = hidden_XD.shape[-1]
        product_ND = (grad_XD * hidden_XD).view(-1, width)
        # d/d hidden = scale (weight grad) - hidden scale³ / D sum over D of (weight grad hidden)
        along_X1 = (product_ND @ weight_D).view(scale_X1.shape) * scale_X1.pow(3) / width
        hidden_grad_XD = (grad_XD * weight_D).mul_(scale_X1).addcmul_(hidden_XD, along_X1, value=-1)
        weight_grad_D = scale_X1.view(-1) @ product_ND if ctx.needs_input_grad[1] else None
        return hidden_grad_XD, weight_grad_D, None
