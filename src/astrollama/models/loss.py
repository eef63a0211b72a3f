"""The one loss: summed negative log-likelihood of next tokens, without the logits of the whole batch in memory.

A LLaMA's head is a matrix of vocabulary x width; the logits of 1,024 tokens over 49,152 words take 200 MB in float32, and
their gradient as much again. Here they exist for `chunk_tokens` at a time, and the gradient is computed with them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_TOKENS = 512
GPU_CHUNK_TOKENS = 2048  # larger products for a larger machine


def summed_nll(hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> Tensor:
    """The sum over N of -ln p(target), in nats, differentiable once in `hidden_ND` and `head_VD`.

    Under autocast the matrix products are in its type; softmax and sum are in float32 always.

    Args:
        hidden_ND: last hidden states, after the final norm.
        head_VD: the weight of the language-model head.
        targets_N: int64, the token that follows each position; one at least.
    """
    assert len(targets_N)
    kind = hidden_ND.device.type
    if torch.is_autocast_enabled(kind):
        hidden_ND = hidden_ND.to(torch.get_autocast_dtype(kind))
    with torch.autocast(kind, enabled=False):
        total: Tensor = _ChunkedNll.apply(hidden_ND, head_VD, targets_N)  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def token_nll(hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> Tensor:
    """-ln p(target) of each position, in nats, float32, of shape (N,)."""
    nll_N = torch.empty(len(targets_N), dtype=torch.float32, device=hidden_ND.device)
    for chunk in _chunks(targets_N):
        nll_N[chunk] = _nll(hidden_ND[chunk], head_VD, targets_N[chunk])[0]
    return nll_N


class _ChunkedNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> Tensor:
        hidden_grad_ND = torch.empty_like(hidden_ND)
        head_grad_VD = torch.empty_like(head_VD) if ctx.needs_input_grad[1] else None
        head_VD = head_VD.to(hidden_ND.dtype)
        total = hidden_ND.new_zeros((), dtype=torch.float32)
        for chunk in _chunks(targets_N):
            hidden_CD, targets_C = hidden_ND[chunk], targets_N[chunk]
            nll_C, logits_CV, normaliser_C = _nll(hidden_CD, head_VD, targets_C)
            total += nll_C.sum()
            # d nll / d logits = softmax(logits) - one_hot(target), made in the logits' own memory
            grad_CV = logits_CV.sub_(normaliser_C[:, None]).exp_()
            grad_CV[torch.arange(len(targets_C), device=targets_C.device), targets_C] -= 1.0
            grad_CV = grad_CV.to(hidden_ND.dtype)
            hidden_grad_ND[chunk] = grad_CV @ head_VD
            if head_grad_VD is not None and head_grad_VD.dtype == grad_CV.dtype:
                head_grad_VD.addmm_(grad_CV.T, hidden_CD, beta=0.0 if chunk.start == 0 else 1.0)
            elif head_grad_VD is not None and chunk.start == 0:
                head_grad_VD.copy_(grad_CV.T @ hidden_CD)
            elif head_grad_VD is not None:
                head_grad_VD += grad_CV.T @ hidden_CD
        ctx.gradients = hidden_grad_ND, head_grad_VD
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None, None]:
        # scaled where they are: a copy of the head's would be the largest thing in memory
        hidden_grad_ND, head_grad_VD = ctx.gradients
        del ctx.gradients
        scale = grad_outputs[0]
        return hidden_grad_ND.mul_(scale), None if head_grad_VD is None else head_grad_VD.mul_(scale), None


def chunk_tokens(kind: str) -> int:
    """Tokens whose logits exist at a time on a device of this kind, `cpu` or `cuda`."""
    return CHUNK_TOKENS if kind == "cpu" else GPU_CHUNK_TOKENS


def _chunks(targets_N: Tensor) -> list[slice]:
    size = chunk_tokens(targets_N.device.type)
    return [slice(start, start + size) for start in range(0, len(targets_N), size)]


def _nll(hidden_CD: Tensor, head_VD: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each position, its logits, and the logarithm of the sum of their exponentials, in float32."""
    logits_CV = (hidden_CD @ head_VD.to(hidden_CD.dtype).T).float()
    normaliser_C = logits_CV.logsumexp(dim=-1)
    return normaliser_C - logits_CV.gather(-1, targets_C[:, None]).squeeze(-1), logits_CV, normaliser_C
