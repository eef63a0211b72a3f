"""Recipes: the complete configuration of a run, from TOML.

A recipe names every setting that changes a result. It may extend another (`extends = "name"`), the command line may set
single keys (`--set train.peak_lr=1e-4`), and what comes out is checked as a whole and saved with the run.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from astrollama.errors import RecipeError
from astrollama.sections import (
    EMBEDDINGS,
    ApiSection,
    CardSection,
    CorpusSection,
    EncoderSection,
    EvaluateSection,
    LoraSection,
    ModelSection,
    PackSection,
    ReplaySection,
    Section,
    SourceSection,
    TrainSection,
    ValidationSection,
)

_PATHS = (("source", "paths"), ("corpus", "benchmarks"))
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


class Recipe(Section):
    """The complete configuration of a run."""

    name: str = Field("unnamed", min_length=1, description="Shown in reports.")
    model: ModelSection = ModelSection()
    source: SourceSection = SourceSection()
    corpus: CorpusSection = CorpusSection()
    card: CardSection = CardSection()
    pack: PackSection = PackSection()
    lora: LoraSection = LoraSection()
    encoder: EncoderSection = EncoderSection()
    replay: ReplaySection = ReplaySection()
    train: TrainSection = TrainSection()
    validation: ValidationSection = ValidationSection()
    evaluate: EvaluateSection = EvaluateSection()
    api: ApiSection = ApiSection()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        length, total = self.pack.sequence_length, self.train.global_batch_tokens
        if total % length:
            nearest = max(length, round(total / length) * length)
            raise ValueError(
                f"train.global_batch_tokens = {total} is no multiple of pack.sequence_length = {length}: "
                f"set train.global_batch_tokens = {nearest}"
            )
        return self

    @model_validator(mode="after")
    def _embeddings_are_an_encoders(self) -> Self:
        if EMBEDDINGS in self.lora.targets and self.train.objective != "contrastive":
            raise ValueError(
                f"lora.targets has {EMBEDDINGS!r}, which is the head of many models too: leave it out, or train an encoder"
            )
        return self

    @property
    def sequences_a_step(self) -> int:
        """Sequences of an optimiser step, or pairs."""
        if self.train.objective == "contrastive":
            return self.encoder.pairs_a_step
        return self.train.global_batch_tokens // self.pack.sequence_length

    @property
    def micro_batches_a_step(self) -> int:
        """Passes through the model that an optimiser step takes, on all ranks together; the last may be smaller."""
        return -(-self.sequences_a_step // self.train.micro_batch_size)

    @property
    def keeps_best(self) -> bool:
        """Whether the weights with the lowest validation loss are kept."""
        return bool(self.validation.every_steps and self.validation.patience)

    def to_toml(self) -> str:
        """The recipe with every value written out."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json"))


def builtin_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    installed = Path(__file__).parent / "_recipes"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "recipes"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in [*sorted(folder.glob("*.toml")), *sorted(folder.glob("*/*.toml"))]
    }


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
    _anchor_paths(values, path.parent)
    if "extends" not in values:
        return values
    parent = values.pop("extends")
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends = {parent!r} is not a text", "name one recipe")
    beside = path.parent / parent
    return _merge(_read(str(beside) if beside.is_file() else parent, (*seen, path.resolve())), values)


def _anchor_paths(values: Mapping[str, Any], folder: Path) -> None:
    """Files that a recipe names lie where it lies, wherever the command is given."""
    for section, key in _PATHS:
        names = values.get(section, {}).get(key) if isinstance(values.get(section, {}), dict) else None
        if isinstance(names, list):
            values[section][key] = [str(folder / name) if isinstance(name, str) else name for name in names]


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
        if isinstance(section, type) and issubclass(section, Section):
            keys += [name, *(f"{name}.{key}" for key in section.model_fields)]
        else:
            keys.append(name)
    return keys


def _default_of(location: Sequence[str]) -> Any:
    value: Any = Recipe().model_dump(mode="json")
    for part in location:
        value = value.get(part) if isinstance(value, dict) else None
    return None if isinstance(value, dict) else value
