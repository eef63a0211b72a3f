"""What evens out a trained encoder's directions, measured on texts that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from astrollama.backends.hf_rows import vectors_of_rows
from astrollama.errors import RecipeError
from astrollama.models.whitening import save_whitening, whitening_of

if TYPE_CHECKING:
    from astrollama.models.adapters import Trainable
    from astrollama.recipe import Recipe
    from astrollama.tokens.pairs import PairTexts

# Fewer than twice the dimensions tell nothing of the weak directions; more than four times tell little more.
_LEAST_TEXTS, _MOST_TEXTS = 2, 4


def require_pairs_to_whiten(pairs: PairTexts, width: int, recipe: Recipe) -> None:
    """Make sure that there are texts enough.

    Raises:
        RecipeError: there are not.
    """
    if recipe.encoder.whitening and len(pairs) < _LEAST_TEXTS * width:
        raise RecipeError(
            f"encoder.whitening = {recipe.encoder.whitening} with {len(pairs)} pairs for the {width} dimensions of the model",
            f"set encoder.whitening = 0, or give a corpus of {_LEAST_TEXTS * width} pairs",
        )


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
