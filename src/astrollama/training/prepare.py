"""What must hold before a run starts: base, tokens and recipe fit together, and the disk has room."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.console import warn
from astrollama.errors import AstroLlamaError, RecipeError, RunError
from astrollama.models.load import LoadedModel, load_model, resolve_device
from astrollama.models.quantize import require_bitsandbytes
from astrollama.recipe import Recipe
from astrollama.sections import Budget, LoraSection, Section, TrainSection, ValidationSection
from astrollama.tokens.mixture import Mixture
from astrollama.tokens.packing import Packer
from astrollama.tokens.pairs import PairPacker, PairTexts
from astrollama.tokens.shards import TokenShards
from astrollama.training.estimate import disk_bytes
from astrollama.training.trackers import require_trackers


@dataclass(frozen=True)
class Prepared:
    """A run that can start.

    Attributes:
        recipe: with its device resolved.
        replay: general text; None where `replay.share` is 0.
        validation: None where `validation.every_steps` is 0.
    """

    recipe: Recipe
    shards: TokenShards | PairTexts
    replay: TokenShards | None
    validation: TokenShards | PairTexts | None
    base: LoadedModel

    @property
    def pairs(self) -> PairTexts | None:
        """The pairs of an encoder's training, or None."""
        return self.shards if isinstance(self.shards, PairTexts) else None

    @property
    def mixture(self) -> Mixture:
        """What is trained on."""
        replay = None if self.replay is None else self._packer(self.replay)
        return Mixture(self.packer(self.shards), replay, self.recipe.replay.share)

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same: base, tokens, and every setting that changes the result."""
        recipe = self.recipe
        sections = {"train", "validation"} | ({"pack", "replay"} if self.pairs is None else {"encoder"})
        sections |= set() if recipe.train.method == "full" else {"lora"}
        without = {"train": {"checkpoint_minutes", "device", "keep_checkpoint", "objective", "trackers"}}
        parts = {"tokens": self.shards, "replay_tokens": self.replay, "validation_tokens": self.validation}
        return {
            "base": {"name": self.base.name, "digest": self.base.digest},
            **{name: shards.hashes for name, shards in parts.items() if shards is not None},
            **recipe.model_dump(mode="json", include=sections, exclude=without),
        }

    def packer(self, shards: TokenShards | PairTexts) -> Packer | PairPacker:
        """The sequences of documents, or the pairs."""
        if isinstance(shards, PairTexts):
            encoder = self.recipe.encoder
            near = encoder.pairs_a_step if encoder.negatives == "near" else 0
            return PairPacker(shards, self.recipe.train.seed, near)
        return self._packer(shards)

    def _packer(self, shards: TokenShards) -> Packer:
        pack = self.recipe.pack
        return Packer(shards, pack.sequence_length, pack.attention, self.recipe.train.seed)


def prepare(recipe: Recipe, tokens: Path, replay: Path | None = None, device: str = "cpu") -> Prepared:
    """Load the base and open the tokens, and make sure that they belong together.

    Args:
        replay: the pack directory of the general text.
        device: where the base is loaded.

    Raises:
        ModelError, NetworkError: the base cannot be had.
        RecipeError: a sequence is longer than the base's context, or `replay.share` lacks its tokens.
        RunError: the tokens were made with another tokenizer, or there are none.
        UserInputError: the GPU, or a package that the recipe asks for, is not there.
    """
    recipe = with_device(recipe)
    require_trackers(recipe.train.trackers)
    if recipe.train.method == "qlora":
        require_bitsandbytes()
    if recipe.replay.share and replay is None:
        raise RecipeError(
            f"replay.share = {recipe.replay.share} needs general text",
            "give its tokens with --replay, or set replay.share = 0",
        )
    _warn_of_settings_without_effect(recipe, replay)
    if replay is not None and replay.resolve() == tokens.resolve():
        warn(f"--replay is {replay}, the corpus itself")
    shards = open_tokens(tokens)
    general = open_tokens(replay) if replay is not None and recipe.replay.share else None
    validation = None
    if recipe.validation.every_steps:
        validation = TokenShards.open(tokens, "validation")
        if len(validation) == 0:
            raise RunError(
                f"{tokens} holds no validation documents",
                "import the corpus with a corpus.validation_fraction above 0, or set validation.every_steps = 0",
            )
    base = load_model(recipe.model.base, device)
    for path, packed in ((tokens, shards), (replay, general)):
        if packed is not None:
            _require_same_tokenizer(path, packed, base)
    require_context(recipe, base.model.config)
    if base.model.config.attention_dropout:
        warn(f"{base.name} asks for dropout in its attention, which has none here")
    return Prepared(recipe, shards, general, validation, base)


def with_device(recipe: Recipe) -> Recipe:
    """The recipe with the device that `auto` stands for.

    Raises:
        UserInputError: the GPU is not there.
    """
    device = resolve_device(recipe.train.device)
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"device": device})})


def require_context(recipe: Recipe, config: Any) -> None:
    """Refuse sequences that are longer than the base's context.

    Raises:
        RecipeError: they are.
    """
    length, context = recipe.pack.sequence_length, config.max_position_embeddings
    if length > context:
        raise RecipeError(
            f"pack.sequence_length = {length} is longer than the context of {recipe.model.base}, {context}",
            f"set pack.sequence_length = {context} or less",
        )


def require_space(out: Path, recipe: Recipe, model: Any) -> None:
    """Refuse to start what would fill the disk: the checkpoints that are kept, and the model.

    Raises:
        AstroLlamaError: there is too little room.
    """
    needed = disk_bytes(model.config, recipe)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise AstroLlamaError(
            f"{out} has {free / 1e9:.1f} GB free, checkpoints and model need {needed / 1e9:.1f} GB",
            "free some, or choose another --out",
        )


def open_tokens(tokens: Path) -> TokenShards:
    """The training documents of a directory of the pack stage.

    Raises:
        RunError: there is no such directory, it is damaged, or it is empty.
    """
    shards = TokenShards.open(tokens)
    if len(shards) == 0:
        raise RunError(f"{tokens} holds no documents", "pack a corpus that has training documents")
    return shards


def _require_same_tokenizer(path: Path | None, shards: TokenShards, base: LoadedModel) -> None:
    made_with = shards.manifest["tokenizer"]
    if made_with["digest"] != base.tokenizer.digest:
        raise RunError(
            f"{path} was packed with the tokenizer of {made_with['model']}, which is not that of {base.name}",
            f"pack the corpus again with --model {base.name}",
        )


def _warn_of_settings_without_effect(recipe: Recipe, replay: Path | None) -> None:
    train = recipe.train
    if train.method == "full":
        _warn_of_changes("lora", recipe.lora, LoraSection(), "train.method = 'full'")
    if train.device == "cpu" and train.precision == "bfloat16":
        warn("train.precision = 'bfloat16' makes CPUs without units for it several times slower")
    budget = Budget.parse(train.budget)
    if budget.unit == "tokens" and train.global_batch_tokens > budget.amount:
        warn(
            f"one step of train.global_batch_tokens = {train.global_batch_tokens} is more than train.budget = {train.budget!r}"
        )
    if train.schedule != "wsd":
        _warn_of_changes("train", train, TrainSection(), f"train.schedule = {train.schedule!r}", "decay_fraction")
    if not train.warmup_fraction:
        _warn_of_changes("train", train, TrainSection(), "train.warmup_fraction = 0", "start_lr_ratio")
    if not recipe.validation.every_steps:
        _warn_of_changes("validation", recipe.validation, ValidationSection(), "validation.every_steps = 0")
    elif train.decay_fraction > 1 - train.warmup_fraction:
        warn(f"train.decay_fraction = {train.decay_fraction} begins within the warm-up: what lies there has no effect")
    if replay is not None and not recipe.replay.share:
        warn("--replay has no effect with replay.share = 0")


def _warn_of_changes(name: str, section: Section, default: Section, why: str, *keys: str) -> None:
    for key in sorted(keys or type(section).model_fields):
        if getattr(section, key) != getattr(default, key):
            warn(f"{name}.{key} has no effect with {why}")
