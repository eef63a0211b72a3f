"""Hidden states of sequences that hold several documents, so that no token sees another document."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def hidden_states(model: Any, tokens_BT: Tensor, positions_BT: Tensor, segments_BT: Tensor | None) -> Tensor:
    """The last hidden states of a LLaMA, after the final norm, of shape (B, T, D).

    Args:
        tokens_BT: int64.
        positions_BT: int64, the position of each token within its document.
        segments_BT: int64, equal within a document and different between neighbours; None where a row is one stream,
            and each token sees all before it.
    """
    mask = None if segments_BT is None else document_mask(segments_BT)
    output = model.model(input_ids=tokens_BT, position_ids=positions_BT, attention_mask=mask, use_cache=False)
    hidden_BTD: Tensor = output.last_hidden_state
    return hidden_BTD


def document_mask(segments_BT: Tensor) -> Tensor:
    """Which key each query may see, bool, of shape (B, 1, T, T): those of its own segment up to itself."""
    same_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
    return same_BTT.tril()[:, None]
