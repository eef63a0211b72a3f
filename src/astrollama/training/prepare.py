"""What must hold before a run starts: base, tokens and recipe fit together, and the disk has room."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.console import warn
from astrollama.errors import AstroLlamaError, RecipeError, RunError
from astrollama.models.load import LoadedModel, load_model, resolve_device
from astrollama.recipe import Recipe
from astrollama.sections import LoraSection
from astrollama.tokens.shards import TokenShards
from astrollama.training import checkpoint

# A checkpoint holds the trained weights and AdamW's two moments.
_COPIES_A_CHECKPOINT = 3
_LORA_SHARE = 0.1


@dataclass(frozen=True)
class Prepared:
    """A run that can start: `recipe` has its device resolved."""

    recipe: Recipe
    shards: TokenShards
    base: LoadedModel


def prepare(recipe: Recipe, tokens: Path) -> Prepared:
    """Load the base and open the tokens, and make sure that they belong together.

    Raises:
        ModelError, NetworkError: the base cannot be had.
        RecipeError: a sequence is longer than the base's context.
        RunError: the tokens were made with another tokenizer, or there are none.
        UserInputError: the GPU that the recipe asks for is not there.
    """
    device = resolve_device(recipe.train.device)
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"device": device})})
    _warn_of_settings_without_effect(recipe)
    shards = TokenShards.open(tokens)
    base = load_model(recipe.model.base, device)
    made_with = shards.manifest["tokenizer"]
    if made_with["digest"] != base.tokenizer.digest:
        raise RunError(
            f"{tokens} was packed with the tokenizer of {made_with['model']}, which is not that of {base.name}",
            f"pack the corpus again with --model {base.name}",
        )
    if len(shards) == 0:
        raise RunError(f"{tokens} holds no documents", "pack a corpus that has training documents")
    context = int(base.model.config.max_position_embeddings)
    if recipe.pack.sequence_length > context:
        raise RecipeError(
            f"pack.sequence_length = {recipe.pack.sequence_length} is longer than the context of {base.name}, {context}",
            f"set pack.sequence_length = {context} or less",
        )
    return Prepared(recipe, shards, base)


def require_space(out: Path, recipe: Recipe, model: Any) -> None:
    """Refuse to start what would fill the disk: the checkpoints that are kept, and the model.

    Raises:
        AstroLlamaError: there is too little room.
    """
    weights = 4 * sum(p.numel() for p in model.parameters())
    share = 1.0 if recipe.train.method == "full" else _LORA_SHARE
    needed = weights * share * (_COPIES_A_CHECKPOINT * checkpoint.KEPT + 1)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise AstroLlamaError(
            f"{out} has {free / 1e9:.1f} GB free, checkpoints and model need {needed / 1e9:.1f} GB",
            "free some, or choose another --out",
        )


def _warn_of_settings_without_effect(recipe: Recipe) -> None:
    if recipe.train.method == "lora":
        return
    changed = {key for key, value in recipe.lora.model_dump().items() if value != LoraSection().model_dump()[key]}
    for key in sorted(changed):
        warn(f"lora.{key} has no effect with train.method = 'full'")
