"""Training an encoder: texts that belong together come close, and far from the other texts of the step.

The loss is InfoNCE in both directions (van den Oord et al. 2018, arXiv:1807.03748; Radford et al. 2021, arXiv:2103.00020):

    loss = -1/2 sum_i [log softmax_j(cos(a_i, b_j) / t)_i + log softmax_j(cos(b_i, a_j) / t)_i]

where the sums of the softmax leave out texts of the same paper, which are no wrong answers. The vectors of a step that is
too large for memory are computed once without gradients; then part by part with them, each part with the gradient that the
loss has at its vectors (gradient cache; Gao et al. 2021, arXiv:2101.06983). So memory does not limit how many texts a text
is told from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from astrollama.backends.hf_rows import batches_of
from astrollama.models.attention import Documents, attend_within_documents
from astrollama.models.forward import hidden_states
from astrollama.models.norm import use_lean_norms
from astrollama.models.parallel import Parallel
from astrollama.models.pooling import pooled
from astrollama.recipe import Recipe
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.pairs import PairTexts
from astrollama.training.step import seed_of

# What goes through the model at a time, tokens times layers: 4,096 tokens of SmolLM2-135M. More is no faster, but for a
# step that is one part, whose vectors need not be computed twice.
TOKEN_LAYERS_A_PART = 4096 * 30


class Encoder(torch.nn.Module):
    """A model's vectors as one forward pass.

    Args:
        model: a `LlamaForCausalLM` with as many layers as the encoder has.
    """

    def __init__(self, model: Any, recipe: Recipe, ranks: Parallel) -> None:
        super().__init__()
        self.model = model
        self._settings = recipe.encoder
        self._precision = recipe.train.precision
        self._device = ranks.device
        attend_within_documents(model)
        if ranks.device == "cpu":
            use_lean_norms(model)
        if recipe.train.activation_checkpointing:
            model.activation_checkpointing_enable()

    def forward(self, texts: Sequence[np.ndarray]) -> Tensor:
        """The vectors of texts, of length 1 and shape (B, D), float32."""
        lengths = tuple(map(len, texts))
        documents = Documents(
            lengths,
            torch.tensor(list(accumulate(lengths, initial=0)), dtype=torch.int32, device=self._device),
            self._settings.max_tokens + 1,
            is_causal=self._settings.attention == "causal",
        )
        tokens_N = torch.from_numpy(np.concatenate(texts)).to(self._device)
        positions_N = torch.cat([torch.arange(length, device=self._device) for length in lengths])
        kind = self._device.split(":")[0]
        with torch.autocast(kind, torch.bfloat16, enabled=self._precision == "bfloat16"):
            hidden_ND = hidden_states(self.model, tokens_N, positions_N, documents)
        parts = torch.split(hidden_ND.float(), list(lengths))
        return normalize(torch.stack([pooled(states_TD, self._settings.pooling) for states_TD in parts]), dim=-1)


class Contrastive:
    """The objective of an encoder. It runs on one rank."""

    def __init__(self, module: Encoder, pairs: PairTexts, recipe: Recipe) -> None:
        self.module = module
        self._pairs = pairs
        self._recipe = recipe

    @classmethod
    def of(cls, model: Any, pairs: PairTexts, recipe: Recipe, ranks: Parallel) -> Self:
        """The objective, with the model made ready for it."""
        return cls(Encoder(model, recipe, ranks), pairs, recipe)

    def accumulate(self, mixture: Mixture, rows: Sequence[Row], step: int) -> tuple[float, int]:
        """As `Objective` says; the sum is over pairs."""
        del mixture
        parts = self._parts(self._pairs, rows)
        in_one = len(parts) == 1
        with torch.set_grad_enabled(in_one):
            vectors_BD = self._vectors(self._pairs, rows, parts, step)
        if not in_one:
            vectors_BD.requires_grad_(True)
        nll = summed_loss(vectors_BD, self._papers(self._pairs, rows), self._recipe.encoder.temperature)
        (nll / len(rows)).backward()  # type: ignore[no-untyped-call]
        if in_one:
            return nll.item(), len(rows)
        assert vectors_BD.grad is not None
        for number, part in enumerate(parts):
            torch.manual_seed(seed_of(self._recipe.train.seed, step, number))  # dropout as it was without gradients
            again_BD = self.module([self._pairs.tokens[text] for text, _ in part])
            gradient_BD = vectors_BD.grad[[place for _, place in part]]
            (again_BD * gradient_BD).sum().backward()
        return nll.item(), len(rows)

    @torch.no_grad()
    def mean_loss(self, mixture: Mixture, rows: Sequence[Row]) -> float:
        """As `Objective` says: each step's worth of pairs is a batch of its own, as in training."""
        pairs = mixture.corpus.shards
        assert isinstance(pairs, PairTexts)
        size = self._recipe.encoder.pairs_a_step
        self.module.eval()
        total = 0.0
        for start in range(0, len(rows), size):
            own = rows[start : start + size]
            vectors_BD = self._vectors(pairs, own, self._parts(pairs, own), step=0)
            total += summed_loss(vectors_BD, self._papers(pairs, own), self._recipe.encoder.temperature).item()
        self.module.train()
        return total / len(rows)

    def _vectors(
        self, pairs: PairTexts, rows: Sequence[Row], parts: Sequence[Sequence[tuple[int, int]]], step: int
    ) -> Tensor:
        """The vectors of the pairs' texts, first and second in turn, of shape (2P, D)."""
        vectors: dict[int, Tensor] = {}
        for number, part in enumerate(parts):
            torch.manual_seed(seed_of(self._recipe.train.seed, step, number))
            own_BD = self.module([pairs.tokens[text] for text, _ in part])
            vectors |= {place: vector_D for (_, place), vector_D in zip(part, own_BD, strict=True)}
        return torch.stack([vectors[place] for place in range(2 * len(rows))])

    def _parts(self, pairs: PairTexts, rows: Sequence[Row]) -> list[list[tuple[int, int]]]:
        """Texts and their places in the step, longest first, in parts of up to `TOKEN_LAYERS_A_PART`."""
        texts = [piece.document for row in rows for piece in row.pieces]
        most = TOKEN_LAYERS_A_PART // self.module.model.config.num_hidden_layers
        batches = batches_of([len(pairs.tokens[text]) for text in texts], most)
        return [[(texts[place], place) for place in batch] for batch in batches]

    def _papers(self, pairs: PairTexts, rows: Sequence[Row]) -> list[int]:
        return [pairs.papers[piece.document] for row in rows for piece in row.pieces]


def summed_loss(vectors_BD: Tensor, papers: Sequence[int], temperature: float) -> Tensor:
    """The loss of P pairs, summed, in nats.

    Args:
        vectors_BD: B = 2P vectors of length 1, the two of each pair one after the other.
        papers: a number for each, the same for texts of one paper.
    """
    papers_B = torch.tensor(papers, device=vectors_BD.device)
    first_PD, second_PD = vectors_BD[::2], vectors_BD[1::2]
    logits_PP = first_PD @ second_PD.T / temperature
    own_PP = torch.eye(len(first_PD), dtype=torch.bool, device=vectors_BD.device)
    # the other text of the pair may be of another paper (a citation): both sides' papers count
    first_P, second_P = papers_B[::2], papers_B[1::2]
    same_PP = (first_P[:, None] == second_P) | (first_P[:, None] == first_P) | (second_P[:, None] == second_P)
    logits_PP = logits_PP.masked_fill(same_PP & ~own_PP, float("-inf"))
    targets_P = torch.arange(len(first_PD), device=vectors_BD.device)
    forth = cross_entropy(logits_PP, targets_P, reduction="sum")
    return (forth + cross_entropy(logits_PP.T, targets_P, reduction="sum")) / 2
