"""What must hold before an encoder's training starts, and the pairs that it learns from."""

from __future__ import annotations

from pathlib import Path

from astrollama.console import warn
from astrollama.errors import RecipeError
from astrollama.models.load import first_layers, load_model
from astrollama.recipe import Recipe
from astrollama.sections import PackSection, ReplaySection
from astrollama.tokens.pairs import read_pairs
from astrollama.training.prepare import Prepared, with_device
from astrollama.training.trackers import require_trackers
from astrollama.training.whiten import LEAST_TEXTS, whitens


def prepare_encoder(recipe: Recipe, corpus: Path, citations: Path | None, device: str = "cpu") -> Prepared:
    """Load the base, an adapter's weights folded into it, with the encoder's layers alone, and read the pairs.

    Args:
        corpus: whose training documents the pairs are from.
        citations: who cites whom.
        device: where the base is loaded.

    Raises:
        ModelError, NetworkError: the base cannot be had.
        RecipeError: the method is no adapter, or a text is longer than the base's context.
        RunError, SourceError, UserInputError: as `read_pairs`; or the GPU, or a package that the recipe asks for, is not
            there.
    """
    recipe = with_device(recipe)
    require_trackers(recipe.train.trackers)
    if recipe.train.method != "lora":
        raise RecipeError(
            f"train.objective = 'contrastive' with train.method = {recipe.train.method!r}",
            "an encoder is an adapter: set train.method = 'lora'",
        )
    _warn_of_settings_without_effect(recipe, citations)
    base = first_layers(load_model(recipe.model.base, device), recipe.encoder.layers_share, recipe.encoder.final_norm)
    context = base.model.config.max_position_embeddings
    if recipe.encoder.max_tokens >= context:
        raise RecipeError(
            f"encoder.max_tokens = {recipe.encoder.max_tokens} leaves no room for BOS in the context of {base.name}, {context}",
            f"set encoder.max_tokens = {context - 1} or less",
        )
    pairs = read_pairs(corpus, "train", base.tokenizer, recipe.encoder, citations)
    width = base.model.config.hidden_size
    if recipe.encoder.whitening and not whitens(recipe, pairs, width):
        told = f"{len(pairs)} pairs tell too little of {width} dimensions, {LEAST_TEXTS * width} are needed"
        warn(f"encoder.whitening = {recipe.encoder.whitening} has no effect: {told}")
    validation = None
    if recipe.validation.every_steps:
        validation = read_pairs(corpus, "validation", base.tokenizer, recipe.encoder, citations)
    return Prepared(recipe, pairs, None, validation, base)


def _warn_of_settings_without_effect(recipe: Recipe, citations: Path | None) -> None:
    told = "with train.objective = 'contrastive'"
    if recipe.pack != PackSection():
        warn(f"pack has no effect {told}")
    if recipe.replay != ReplaySection():
        warn(f"replay has no effect {told}")
    if recipe.train.compile:
        warn(f"train.compile has no effect {told}")
    if citations is not None and "citations" not in recipe.encoder.pairs:
        warn("--citations has no effect: encoder.pairs does not have them")
