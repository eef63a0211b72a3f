"""Continuations scored behind their contexts, each context computed once however many continuations it has.

A context and its continuations lie end to end. A continuation sees the context and its own beginning, not the other
continuations, and its positions go on from the context's end (tree attention; Miao et al. 2023, arXiv:2305.09781).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from astrollama.backends.base import ContinuationLikelihood
from astrollama.backends.hf_rows import even_batches, predictions, require_finite
from astrollama.errors import UserInputError
from astrollama.tokens.tokenizer import DocumentTokenizer

_NAME = "branches"


@dataclass(frozen=True)
class Branches:
    """A context and some of its continuations.

    Attributes:
        context: tokens, one at least.
        continuations: tokens, one at least in each.
        numbers: which pairs of the caller's they are.
    """

    context: list[int]
    continuations: list[list[int]]
    numbers: list[int]

    @property
    def tokens(self) -> list[int]:
        """What goes through the model; nothing is predicted from a continuation's last token."""
        return [*self.context, *(token for tokens in self.continuations for token in tokens[:-1])]


@dataclass(frozen=True)
class _Layout:
    """Lengths of the branches that lie end to end, and which of its tokens each token of a branch sees."""

    lengths: list[int]
    masks: list[Tensor]


def branches_of(pairs: Sequence[tuple[str, str]], tokenizer: DocumentTokenizer, context_length: int) -> list[Branches]:
    """Divide pairs into tokens, cut what is longer than the model's context on the left, and put equal contexts together.

    Raises:
        UserInputError: a continuation is empty, or its text becomes one token with the end of its context.
    """
    moved = [_with_spaces_moved(*pair) for pair in pairs]
    contexts = tokenizer.encode([context for context, _ in moved])
    wholes = tokenizer.encode([context + continuation for context, continuation in moved])
    groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for number, (context, whole) in enumerate(zip(contexts, wholes, strict=True)):
        if len(whole) <= len(context):
            raise UserInputError(
                f"the continuation {pairs[number][1]!r} adds no token to its context (pair {number + 1})",
                "begin it with a space, or leave it out",
            )
        # as in lm-evaluation-harness, also where the two texts together have other tokens before the division
        row = [tokenizer.bos_id, *context, *whole[len(context) :]]
        cut = max(0, len(row) - (context_length + 1))
        start = max(1, 1 + len(context) - cut)
        row = row[cut:]
        groups.setdefault(tuple(row[:start]), []).append((number, row[start:]))
    return [branches for context, members in groups.items() for branches in _divided(list(context), members)]


def likelihoods(model: Any, groups: Sequence[Branches]) -> Iterator[dict[int, ContinuationLikelihood]]:
    """Score continuations batch by batch; yields what each batch tells, by the numbers of its pairs."""
    for batch in even_batches([len(group.tokens) for group in groups]):
        chosen = [groups[number] for number in batch]
        hidden_ND = _hidden_states(model, chosen)
        require_finite(hidden_ND)
        places, targets, owners = _predicted(chosen)
        device = model.device
        predicted = predictions(
            hidden_ND[torch.tensor(places, device=device)],
            model.lm_head.weight,
            torch.tensor(targets, device=device),
        )
        found = {}
        start = 0
        for number, length in owners:
            own = slice(start, start + length)
            nll = float(predicted.nll_T[own].sum(dtype=float))
            found[number] = ContinuationLikelihood(nll, length, bool(predicted.top_correct_T[own].all()))
            start += length
        yield found


def _with_spaces_moved(context: str, continuation: str) -> tuple[str, str]:
    """Spaces at the context's end belong to the continuation, whose first word has its token with them."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _divided(context: list[int], members: Sequence[tuple[int, list[int]]]) -> Iterator[Branches]:
    """All continuations of a context, in as many passes as keep those of one below `TOKENS_A_BATCH` tokens."""
    for batch in even_batches([len(tokens) for _, tokens in members]):
        numbers, continuations = zip(*(members[place] for place in batch), strict=True)
        yield Branches(context, list(continuations), list(numbers))


def _hidden_states(model: Any, groups: Sequence[Branches]) -> Tensor:
    """The last hidden states of groups end to end, of shape (N, D)."""
    device = model.device
    tokens_N = torch.tensor([token for group in groups for token in group.tokens], device=device)
    positions_N = torch.cat([_positions(group, device) for group in groups])
    layout = _Layout([len(group.tokens) for group in groups], [_mask(group, device) for group in groups])
    with _attending_within_branches(model):
        output = model.model(input_ids=tokens_N[None], position_ids=positions_N[None], use_cache=False, branches=layout)
    hidden_ND: Tensor = output.last_hidden_state[0]
    return hidden_ND


def _positions(group: Branches, device: torch.device) -> Tensor:
    start = len(group.context)
    parts = [range(start), *(range(start, start + len(tokens) - 1) for tokens in group.continuations)]
    return torch.tensor([position for part in parts for position in part], device=device)


def _mask(group: Branches, device: torch.device) -> Tensor:
    """True where a token (row) sees another (column)."""
    lengths = [len(group.context), *(len(tokens) - 1 for tokens in group.continuations)]
    branch_N = torch.arange(len(lengths), device=device).repeat_interleave(torch.tensor(lengths, device=device))
    return ((branch_N == 0) | (branch_N == branch_N[:, None])).tril()


def _predicted(groups: Sequence[Branches]) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Where among the states each continuation's token is predicted from, the tokens, and (pair, tokens) of each."""
    places: list[int] = []
    targets: list[int] = []
    owners: list[tuple[int, int]] = []
    start = 0
    for group in groups:
        end_of_context = start + len(group.context)
        start = end_of_context
        for number, tokens in zip(group.numbers, group.continuations, strict=True):
            places += [end_of_context - 1, *range(start, start + len(tokens) - 1)]
            targets += tokens
            owners.append((number, len(tokens)))
            start += len(tokens) - 1
    return places, targets, owners


@contextmanager
def _attending_within_branches(model: Any) -> Iterator[None]:
    from transformers import AttentionInterface

    before = model.config._attn_implementation
    AttentionInterface.register(_NAME, _branched_attention)
    model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _branched_attention(
    _module: Any,
    query_1HND: Tensor,
    key_1GND: Tensor,
    value_1GND: Tensor,
    _mask: None,
    *,
    branches: _Layout,
    scaling: float,
    **_unused: object,
) -> tuple[Tensor, None]:
    """Attention within branches; H query heads share G key-value heads. Returns (1, N, H, D)."""
    queries, keys, values = (
        torch.split(heads_1XND, branches.lengths, dim=2) for heads_1XND in (query_1HND, key_1GND, value_1GND)
    )
    outputs = [
        scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling, enable_gqa=True)
        for query, key, value, mask in zip(queries, keys, values, branches.masks, strict=True)
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None
