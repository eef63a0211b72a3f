"""What evens out a trained encoder's directions, measured on texts that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from astrollama.backends.hf_rows import vectors_of_rows
from astrollama.models.whitening import save_whitening, whitening_of

if TYPE_CHECKING:
    from astrollama.models.adapters import Trainable
    from astrollama.recipe import Recipe
    from astrollama.tokens.pairs import PairTexts

# Fewer than twice the dimensions tell nothing of the weak directions; more than four times tell little more.
LEAST_TEXTS, _MOST_TEXTS = 2, 4


def whitens(recipe: Recipe, pairs: PairTexts, width: int) -> bool:
    """Whether a run's vectors, of `width` dimensions, are evened out: it asks for that, and there are texts enough."""
    return recipe.encoder.whitening > 0 and len(pairs) >= LEAST_TEXTS * width


@torch.no_grad()
def write_whitening(
    folder: Path, trainable: Trainable, weights: Mapping[str, torch.Tensor], pairs: PairTexts, recipe: Recipe
) -> None:
    """Measure it on the second texts of pairs that a seed chooses, abstracts where pairs are of titles, and write it.

    Args:
        folder: where the encoder with these weights lies already.
        trainable: its model, which has these weights afterwards.
    """
    for name, parameter in trainable.parameters().items():
        parameter.copy_(weights[name])
    model, settings = trainable.model.eval(), recipe.encoder
    order = np.random.default_rng(recipe.train.seed).permutation(len(pairs))
    chosen = order[: _MOST_TEXTS * model.config.hidden_size]
    rows = [pairs.tokens[second].tolist() for second in pairs.pairs_P2[chosen, 1].tolist()]
    is_causal = settings.attention == "causal"
    vectors = [
        own_BD.float().cpu() for _, own_BD in vectors_of_rows(model, rows, settings.pooling, is_causal=is_causal)
    ]
    save_whitening(folder, whitening_of(torch.cat(vectors), settings.whitening))
