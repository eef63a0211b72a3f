"""Hidden states of documents that lie end to end, none of which sees another."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from astrollama.models.attention import Documents


def hidden_states(model: Any, tokens_N: Tensor, positions_N: Tensor, documents: Documents) -> Tensor:
    """The last hidden states of a LLaMA, after the final norm, of shape (N, D).

    Args:
        model: one that `attend_within_documents` has prepared.
        tokens_N: int64.
        positions_N: int64, the position of each token within its document.
        documents: which tokens belong together.
    """
    output = model.model(input_ids=tokens_N[None], position_ids=positions_N[None], use_cache=False, documents=documents)
    hidden_ND: Tensor = output.last_hidden_state[0]
    return hidden_ND
