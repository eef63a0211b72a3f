"""One vector from the states of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["mean", "last", "echo"]


def pooled(states_TD: Tensor, pooling: Pooling) -> Tensor:
    """The vector of BOS and a text, or with `echo` of BOS and its two copies; of shape (D,).

    `mean` is over the text's own tokens, `last` is the state of the last one, and `echo` the mean over the second copy
    (Springer et al. 2024, arXiv:2402.15449). A text has one token at least.
    """
    if pooling == "last":
        return states_TD[-1]
    start = 1 if pooling == "mean" else (len(states_TD) + 1) // 2
    return states_TD[start:].mean(dim=0)
