"""How far rounding may move a weight, by the type that it is stored in: what is further off is damaged or out of place."""

from __future__ import annotations

import numpy as np

F32 = "F32"
F16 = "F16"
BF16 = "BF16"
BLOCK = 32  # values that share a scale in the 8- and 4-bit types

_HALF_EPSILON = 2.0**-11  # the greatest relative rounding error of float16
_HALF_TINY = 2.0**-25  # and the greatest absolute one where it is smallest
_BRAIN_EPSILON = 2.0**-8


def rounding_bound(weights: np.ndarray, kind: str) -> np.ndarray:
    """How far from `weights` what is read back may lie, value by value, in the same shape.

    Of 8 and 4 bits: half a step of the block's grid (of Q4_0, whose grid has 8 steps to one side and 7 to the other, a
    whole one), and the rounding of the block's scale, which is kept in float16.

    Args:
        kind: `F32`, `F16`, `BF16`, `Q8_0`, `Q4_0` or `Q4_1`.
    """
    if kind == F32:
        return np.zeros_like(weights)
    bound: np.ndarray
    if kind in (F16, BF16):
        epsilon, tiny = (_HALF_EPSILON, _HALF_TINY) if kind == F16 else (_BRAIN_EPSILON, 0.0)
        bound = np.maximum(np.abs(weights) * epsilon, tiny)
        return bound
    blocks_NB = weights.reshape(-1, BLOCK)
    largest_N1 = np.abs(blocks_NB).max(-1, keepdims=True)
    if kind == "Q8_0":
        bound_N1 = largest_N1 * (0.5 / 127 + _HALF_EPSILON) + 127 * _HALF_TINY
    elif kind == "Q4_0":
        bound_N1 = largest_N1 * (1 / 8 + _HALF_EPSILON) + 8 * _HALF_TINY
    else:
        assert kind == "Q4_1"
        range_N1 = blocks_NB.max(-1, keepdims=True) - blocks_NB.min(-1, keepdims=True)
        bound_N1 = range_N1 * (0.5 / 15 + _HALF_EPSILON) + largest_N1 * _HALF_EPSILON + 16 * _HALF_TINY
    # a little more, as these sums are themselves rounded
    bound = np.broadcast_to(bound_N1 * 1.001, blocks_NB.shape).reshape(weights.shape)
    return bound
