"""A trained model and its base as one model: base + alpha x (trained - base), weight by weight.

With alpha = 1 an adapter becomes a model of its own. Less draws any trained model back towards its base, which keeps more
of what the base knew (weight-space interpolation; Wortsman et al. 2022, arXiv:2109.01903). More than 1 is refused: no
training and no measurement stands behind weights beyond the trained ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from astrollama.console import progress, say
from astrollama.errors import ModelError, UserInputError
from astrollama.files import atomic_path, read_json
from astrollama.models.folder import (
    open_weights,
    read_base_record,
    read_encoder_record,
    tensor_shapes,
    weight_files,
    weights_digest,
)
from astrollama.models.history import TRAINING, keep_history
from astrollama.models.load import load_model, load_tokenizer, save_model
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import MERGE_STAGE, TRAIN_STAGE, WEIGHTS, ModelFolder, find_model
from astrollama.runs import MANIFEST, read_manifest, refuse_inside, stage_directory
from astrollama.tokens.shards import INDEX
from astrollama.tokens.tokenizer import DocumentTokenizer

# What decides the result beside the weights, and shows in no shape.
_SETTINGS = (
    "hidden_act",
    "num_attention_heads",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
)
_LORA_TENSOR = re.compile(r".*\.layers\.\d+\..*\.lora_[AB]\.weight")


@dataclass(frozen=True)
class _Source:
    """What is merged: `tensor` gives the merged float32 tensor of a name in `shapes`, computed when it is asked for."""

    model: dict[str, str]
    base: dict[str, str]
    config: Any
    generation_config: Any
    tokenizer: DocumentTokenizer
    shapes: Mapping[str, tuple[int, ...]]
    tensor: Callable[[str], Tensor]


def merge(model: str, out: Path, base: str | None, alpha: float) -> dict[str, Any]:
    """Write base + `alpha` x (trained - base) to `out`, a directory that `find_model` takes, in float32.

    An adapter is merged into the base that it was trained on, in memory; a model with all its weights and its base are
    read tensor by tensor.

    Args:
        model: a run, an adapter or a model folder.
        base: where the base is now, if not where it was in training; a model folder that is no run needs it.
        alpha: from 0, the base (for an adapter on 4 bits what they left of it), to 1, the trained model; both bit for bit,
            save that an adapter is added to its base in float32.

    Returns:
        The manifest. Where `out` holds this very merge already, nothing is done.

    Raises:
        ModelError: a model cannot be had; the base is another than in training, is not known, or does not fit.
        RunError: `out` holds something else.
        UserInputError: `alpha` lies outside [0, 1], or `out` inside `model`.
    """
    if not 0 <= alpha <= 1:
        raise UserInputError(f"alpha = {alpha:g} lies outside 0 to 1", "give 0 for the base, 1 for the trained model")
    found = find_model(model)
    if read_encoder_record(found.path) is not None:
        raise ModelError(f"{found.name} is an encoder", "it is used as it is: no language model would come of a merge")
    refuse_inside(out, [Path(found.name), *([] if base is None else [Path(base)])])
    source = _adapter(found, base, alpha) if found.kind == "adapter" else _whole_model(found, base, alpha)
    identity = {"model": source.model["digest"], "base": source.base["digest"], "alpha": alpha}
    with stage_directory(out, MERGE_STAGE, identity, disposable=[WEIGHTS, INDEX, TRAINING]) as stage:
        if stage.state == "complete":
            say(f"{out}: the merged model is already there")
            return read_manifest(out, MERGE_STAGE)
        _save(source, out / WEIGHTS)
        files = [str(path.relative_to(out)) for path in sorted((out / WEIGHTS).iterdir())]
        return stage.finish(
            [*files, *keep_history(found.place, out, alpha)],
            {"tensors": len(source.shapes), "parameters": sum(torch.Size(s).numel() for s in source.shapes.values())},
            model=source.model,
            base=source.base,
            alpha=alpha,
            digest=weights_digest(out / WEIGHTS),
        )


def write_merged(found: ModelFolder, base: str | None, folder: Path) -> None:
    """Write an adapter merged into its base, alone, as the model folder `folder`.

    Raises:
        ModelError: as `merge`.
    """
    _save(_adapter(found, base, 1.0), folder)


def _save(source: _Source, folder: Path) -> None:
    with atomic_path(folder) as partial, progress("merging", len(source.shapes)) as bar:
        done = 0

        def tensor(name: str) -> Tensor:
            nonlocal done
            merged = source.tensor(name)
            if not bool(torch.isfinite(merged).all()):
                raise ModelError(f"{name} of {source.model['name']} is not finite", "train or save the model again")
            done += 1
            bar.update(done)
            return merged

        save_model(partial, source.config, source.generation_config, source.tokenizer, source.shapes, tensor)


def _adapter(found: ModelFolder, base: str | None, alpha: float) -> _Source:
    """An adapter on its base, which `load_model` has checked and, where it was so in training, quantised."""
    (file,) = weight_files(found.path)
    odd = [name for name in open_weights(file).keys() if not _LORA_TENSOR.fullmatch(name)]  # noqa: SIM118
    if odd:
        raise ModelError(
            f"{found.name} adapts more than the linear layers of the blocks ({odd[0]})", "merge it with PEFT instead"
        )
    record = read_base_record(found.path)
    loaded = load_model(found.name, base=base)
    if record.quantization:
        say(f"{found.name} was trained on {record.name} in 4 bits: it is merged into what they left of its weights")
    adapted = {f"{name}.weight": m for name, m in loaded.model.named_modules() if hasattr(m, "get_delta_weight")}
    weights = {
        name.replace(".base_layer.", "."): weight
        for name, weight in loaded.model.named_parameters()
        if ".lora_" not in name
    }

    @torch.no_grad()
    def tensor(name: str) -> Tensor:
        weight: Tensor = weights[name].detach()
        if name in adapted and alpha > 0:
            weight = weight + alpha * adapted[name].get_delta_weight("default")
        return weight

    assert loaded.base_name is not None
    return _Source(
        {"name": loaded.name, "digest": loaded.digest},
        {**record.to_json(), "name": loaded.base_name},
        loaded.model.config,
        loaded.model.generation_config,
        loaded.tokenizer,
        {name: tuple(weight.shape) for name, weight in weights.items()},
        tensor,
    )


def _whole_model(found: ModelFolder, base: str | None, alpha: float) -> _Source:
    """A model with all its weights and its base, neither of which is loaded."""
    on, on_digest = base_of(found, base)
    shapes, base_shapes = tensor_shapes(found.path), tensor_shapes(on.path)
    for name, shape in shapes.items():
        if base_shapes.get(name) != shape:
            raise _misfit(found, on, f"{name} is {shape}, not {base_shapes.get(name)}")
    config, generation_config = _settings(found.path)
    base_config, _ = _settings(on.path)
    for key in _SETTINGS:
        if getattr(config, key) != getattr(base_config, key):
            raise _misfit(found, on, f"{key} is {getattr(config, key)}, not {getattr(base_config, key)}")
    tokenizer = load_tokenizer(found.path)
    if tokenizer.digest != load_tokenizer(on.path).digest:
        raise _misfit(found, on, "their tokenizers differ")
    trained, untrained = _read(found.path), _read(on.path)

    def tensor(name: str) -> Tensor:
        # lerp gives each end exactly at 0 and at 1, which the sum does not
        return torch.lerp(untrained(name), trained(name), alpha)

    return _Source(
        {"name": found.name, "digest": weights_digest(found.path)},
        {"name": on.name, "digest": on_digest},
        config,
        generation_config,
        tokenizer,
        shapes,
        tensor,
    )


def base_of(found: ModelFolder, base: str | None) -> tuple[ModelFolder, str]:
    """The base of a model with all its weights and its digest: the very one of a run, else the one that is named."""
    recorded = run_manifest(found).get("base", {})
    name = base or recorded.get("name")
    if name is None:
        raise ModelError(f"{found.name} does not record the base that it was trained from", "name it with --base")
    try:
        on = find_model(name)
    except ModelError as error:
        if base is not None:
            raise
        raise ModelError(
            f"the base of {found.name} cannot be found ({error.what})", "say with --base where it is now"
        ) from error
    if on.kind == "adapter":
        raise ModelError(f"{on.name} is an adapter", "give a whole model as the base")
    digest = weights_digest(on.path)
    if recorded and recorded["digest"] != digest:
        raise ModelError(
            f"{found.name} was trained on {recorded['name']} ({recorded['digest'][:12]}…), not on {on.name} ({digest[:12]}…)",
            "give the base that it was trained on",
        )
    return on, digest


def run_manifest(found: ModelFolder) -> dict[str, Any]:
    """The manifest of the run or the merge that a model is; empty where it is neither."""
    path = Path(found.name) / MANIFEST
    manifest = read_json(path) if path.is_absolute() and path.is_file() else {}
    return manifest if manifest.get("stage") in (TRAIN_STAGE, MERGE_STAGE) else {}


def _settings(folder: Path) -> tuple[Any, Any]:
    """The configurations of a model folder: of the architecture and of generation."""
    with quiet_libraries():
        from transformers import AutoConfig, GenerationConfig

        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if (folder / "generation_config.json").is_file():
                return config, GenerationConfig.from_pretrained(folder)
        except Exception as error:
            raise ModelError(
                f"the settings of {folder} cannot be read ({error})", "fetch or save the model again"
            ) from error
        return config, GenerationConfig.from_model_config(config)


def _read(folder: Path) -> Callable[[str], Tensor]:
    """How to read single tensors of a folder, in float32."""
    files = [open_weights(file) for file in weight_files(folder)]
    holder = {name: file for file in files for name in file.keys()}  # noqa: SIM118

    def tensor(name: str) -> Tensor:
        read: Tensor = holder[name].get_tensor(name)
        return read.float()

    return tensor


def _misfit(found: ModelFolder, on: ModelFolder, difference: str) -> ModelError:
    return ModelError(f"{found.name} was not made from {on.name} ({difference})", "give the base that it was made from")
