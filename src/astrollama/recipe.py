"""Recipes: the complete configuration of a run, from TOML.

A recipe names every setting that changes a result. It may extend another (`extends = "name"`), the command line may set
single keys (`--set train.peak_lr=1e-4`), and what comes out is checked as a whole and saved with the run.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from astrollama.errors import RecipeError

Attention = Literal["document", "packed"]
Device = Literal["auto", "cpu", "cuda"]
BudgetUnit = Literal["tokens", "epochs", "minutes"]

MAX_SEED = 2**32 - 1
# what other programs call it
_OTHER_NAMES = {
    "learning_rate": ("peak_lr",),
    "lr": ("peak_lr",),
    "batch_size": ("global_batch_tokens",),
    "epochs": ("budget",),
    "max_steps": ("budget",),
    "minutes": ("budget",),
    "r": ("rank",),
    "block_size": ("sequence_length",),
    "max_length": ("sequence_length",),
}

_BUDGET = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)\s*")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(_Section):
    """The model to start from."""

    base: str = Field(
        "smollm2-135m",
        min_length=1,
        description="A name of `astrollama model list`, a Hugging Face id, a folder or a GGUF file.",
    )


class CorpusSection(_Section):
    """How papers become a corpus."""

    min_words: int = Field(
        20,
        ge=1,
        description="Abstracts with fewer words are dropped. 20: of 53,374 papers 30 lie below, mostly announcements.",
    )
    min_prose_ratio: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Least share of letters among the characters outside maths. 0.6: of 53,374 abstracts one lies below (a text without spaces), the next has 0.69.",
    )
    near_duplicate_threshold: float = Field(
        0.7,
        ge=0.6,
        le=1,
        description="Estimated Jaccard similarity of word 3-grams from which two texts are the same. 0.7: what it finds in 53,374 papers are versions, replies and reprints; below 0.6 the search would miss pairs.",
    )
    split: Literal["date", "random"] = Field(
        "date", description="Hold out the newest whole months (`date`), or a random share as the paper did (`random`)."
    )
    test_fraction: float = Field(0.1, gt=0, lt=1, description="Least share of the documents to hold out.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the MinHash permutations and of the random split.")


class PackSection(_Section):
    """How documents become sequences."""

    sequence_length: int = Field(512, ge=16, description="Tokens a sequence. 512: the paper's.")
    attention: Attention = Field(
        "document",
        description="`document`: no token sees another document and positions restart. `packed`: one stream cut into pieces, as the paper did.",
    )


class LoraSection(_Section):
    """The adapter, where `train.method` is `lora`."""

    rank: int = Field(16, ge=1, description="Rank of the update. The paper does not state its own.")
    alpha: float = Field(32.0, gt=0, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the update. 0: none.")
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="The linear layers that get an update. All linear layers of a block.",
    )

    @field_validator("targets", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class TrainSection(_Section):
    """The training run."""

    method: Literal["full", "lora"] = Field("full", description="Train every weight, or a low-rank adapter.")
    budget: str = Field(
        "1 epochs",
        description="How long: `100_000 tokens`, `3 epochs` or `5 minutes`. The schedule spans exactly this.",
    )
    global_batch_tokens: int = Field(
        1024,
        ge=16,
        description="Tokens an optimiser step, padding counted. 1,024: two rows of 512.",
    )
    micro_batch_size: int = Field(1, ge=1, description="Sequences a forward pass. 1: least memory, and no padding.")
    peak_lr: float = Field(3e-4, gt=0, description="Highest learning rate. 3e-4: the paper's.")
    min_lr_ratio: float = Field(
        0.1, ge=0, le=1, description="Final learning rate as a share of the peak. 0.1: the paper's."
    )
    warmup_fraction: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the budget over which the rate rises linearly, from a hundredth of the peak. 0.1: the paper's.",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first decay. 0.9: the paper's.")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's second decay. 0.95: the paper's.")
    epsilon: float = Field(1e-5, gt=0, description="AdamW's epsilon. 1e-5: the paper's.")
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay, on matrices only. 0.1: the paper's.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm. 1.0: the paper's.")
    device: Device = Field("auto", description="`auto` takes the GPU where there is one.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of the matrix products; weights and optimiser stay in float32. bfloat16 is for GPUs: CPUs without its units are ten times slower with it.",
    )
    checkpoint_minutes: float = Field(10.0, gt=0, description="Minutes between checkpoints.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the data order and of dropout.")

    @field_validator("budget")
    @classmethod
    def _budget_is_known(cls, value: str) -> str:
        Budget.parse(value)
        return value


class EvaluateSection(_Section):
    """What is measured after training."""

    num_documents: int = Field(
        200,
        ge=2,
        description="Held-out documents, drawn at random with `seed`. 200: 100 gave an interval 2.3 points wide.",
    )
    num_completions: int = Field(4, ge=0, description="Held-out abstracts that both models continue.")
    max_new_tokens: int = Field(120, ge=1, description="Tokens a completion. The paper allowed 1,024.")
    temperature: float = Field(
        0.3, ge=0, description="Of the sampling; below 0.01 the likeliest token is taken. 0.3: the paper's."
    )
    num_resamples: int = Field(10_000, ge=100, description="Bootstrap resamples an interval.")
    device: Device = Field("auto", description="`auto` takes the GPU where there is one.")
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Seed of the choice of documents, of the sampling and of the bootstrap."
    )


class Recipe(_Section):
    """The complete configuration of a run."""

    name: str = Field("unnamed", min_length=1, description="Shown in reports.")
    model: ModelSection = ModelSection()
    corpus: CorpusSection = CorpusSection()
    pack: PackSection = PackSection()
    lora: LoraSection = LoraSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        micro = self.train.micro_batch_size * self.pack.sequence_length
        total = self.train.global_batch_tokens
        if total % micro:
            nearest = max(micro, round(total / micro) * micro)
            raise ValueError(
                f"train.global_batch_tokens = {total} is no multiple of train.micro_batch_size x pack.sequence_length = {micro}: "
                f"set train.global_batch_tokens = {nearest}"
            )
        return self

    def to_toml(self) -> str:
        """The recipe with every value written out."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of tokens, epochs or minutes of training time."""

    amount: float
    unit: BudgetUnit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `100_000 tokens`, `3 epochs` or `5 minutes`.

        Raises:
            ValueError: the text is no such budget, or nothing is left to do in it.
        """
        match = _BUDGET.fullmatch(text)
        units = get_args(BudgetUnit)
        unit = next((u for u in units if match and match[2] in (u, u[:-1])), None)
        if match is None or unit is None:
            raise ValueError(f"{text!r} is no budget: write for example '100_000 tokens', '3 epochs' or '5 minutes'")
        amount = float(match[1].replace("_", "").replace(",", ""))
        if not 0 < amount < 1e15 or (unit == "tokens" and amount < 1):
            raise ValueError(f"{text!r} leaves nothing to do: give a positive amount that a clock or a disk can hold")
        return cls(amount, unit)


def builtin_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    installed = Path(__file__).parent / "_recipes"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_recipe(source: str, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a path or a built-in name, lay `settings` (`key=value`) over it, and check all of it.

    Raises:
        RecipeError: the file, a key or a value cannot be used; the message names it and suggests what can.
    """
    values = _read(source, seen=())
    for setting in settings:
        _set(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _explain(error, source) from error


def _read(source: str, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = Path(source)
    if path.suffix != ".toml" and not path.is_file():
        known = builtin_recipes()
        if source not in known:
            raise RecipeError(f"there is no recipe {source!r}", f"give a TOML file or one of {', '.join(known)}")
        path = known[source]
    if path.resolve() in seen:
        raise RecipeError(f"{path} extends itself", "break the circle of `extends`")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"there is no recipe {path}", f"give a TOML file or one of {', '.join(builtin_recipes())}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read ({error})", "give a TOML file in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML ({error})", "mend that line") from error
    if "extends" not in values:
        return values
    parent = values.pop("extends")
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends = {parent!r} is not a text", "name one recipe")
    beside = path.parent / parent
    return _merge(_read(str(beside) if beside.is_file() else parent, (*seen, path.resolve())), values)


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), dict)
        result[key] = _merge(result[key], value) if both else value
    return result


def _set(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(
            f"--set {setting!r} is no setting", "write --set section.key=value, for example --set train.peak_lr=1e-4"
        )
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    target = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise RecipeError(
                f"--set {setting!r}: {part} is a value, not a section", "see docs/reference/recipe.md for the keys"
            )
    target[parts[-1]] = value


def _explain(error: ValidationError, source: str) -> RecipeError:
    """The first mistake in one line, with a suggestion."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        also = [f"{key.rpartition('.')[0]}.{name}".lstrip(".") for name in _OTHER_NAMES.get(location[-1], ())]
        match = [name for name in also if name in all_keys()] or difflib.get_close_matches(
            key, all_keys(), n=1, cutoff=0.5
        )
        fix = f"did you mean {match[0]}?" if match else "see docs/reference/recipe.md for the keys"
        return RecipeError(f"recipe {source}: unknown key {key}", fix)
    message = first["msg"].removeprefix("Value error, ")
    if not location:
        return RecipeError(f"recipe {source}", message)
    example = _default_of(location)
    fix = f"{message[0].lower()}{message[1:]}" + (f"; the default is {example!r}" if example is not None else "")
    return RecipeError(f"recipe {source}: {key} = {first['input']!r} cannot be used", fix)


def all_keys() -> list[str]:
    """Every key of a recipe, dotted, in order."""
    keys = []
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            keys += [name, *(f"{name}.{key}" for key in section.model_fields)]
        else:
            keys.append(name)
    return keys


def _default_of(location: Sequence[str]) -> Any:
    value: Any = Recipe().model_dump(mode="json")
    for part in location:
        value = value.get(part) if isinstance(value, dict) else None
    return None if isinstance(value, dict) else value
