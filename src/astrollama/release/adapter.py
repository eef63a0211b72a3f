"""An adapter as it is, or the difference of a fully trained model to its base as an adapter of low rank.

Of a matrix's difference the truncated singular value decomposition is the nearest matrix of a rank (Eckart and Young 1936,
doi:10.1007/BF02288367). Embeddings, norms and head have no place in such an adapter: what training changed there is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from astrollama.console import track
from astrollama.errors import ModelError, UserInputError
from astrollama.files import copy_file, read_json, write_json
from astrollama.models.adapters import make_trainable
from astrollama.models.folder import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_RECORD,
    ENCODER_RECORD,
    WHITENING,
    read_base_record,
    read_tensors,
    save_tensors,
    tensor_shapes,
)
from astrollama.models.load import LoadedModel
from astrollama.release.parity_rounding import rounding_bound
from astrollama.release.parity_tensors import read_tensor
from astrollama.sections import LoraSection

_MATRIX = re.compile(r"model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\.weight")
KINDS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}  # as GGUF names them
_EPSILON = {"float32": 2.0**-18, "float16": 2.0**-11, "bfloat16": 2.0**-8}


@dataclass(frozen=True)
class LowRank:
    """What a low rank leaves of a model's difference to its base.

    Attributes:
        rest: for each matrix the norm of what is left out, as computed before it was written.
        norm: of the whole difference of that matrix.
        kept: share of the squared difference of all matrices that is kept.
        outside: share of the squared difference of the whole model that lies outside these matrices, and is lost.
    """

    rest: dict[str, float]
    norm: dict[str, float]
    kept: float
    outside: float


def copy_adapter(source: Path, folder: Path, dtype: str) -> None:
    """Write an adapter's settings, weights and records into an existing folder."""
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_RECORD, ENCODER_RECORD, WHITENING):
        if (source / name).is_file():
            copy_file(source / name, folder / name)
    _name_base(folder)
    _store_as(folder, dtype)


def write_low_rank(model: Path, base: LoadedModel, base_folder: Path, folder: Path, rank: int, dtype: str) -> LowRank:
    """Write the difference of a whole model to its base as a PEFT adapter.

    Args:
        model: the folder of a model with all its weights.
        base: its base, which becomes the adapter's; its layers are replaced on the way.
        base_folder: where the base's weights are.
        folder: to be made.

    Raises:
        ModelError: the two do not have the same tensors.
        UserInputError: the rank is higher than a matrix has rows or columns.
    """
    shapes, base_shapes = tensor_shapes(model), tensor_shapes(base_folder)
    odd = sorted(name for name in shapes.keys() | base_shapes.keys() if shapes.get(name) != base_shapes.get(name))
    if odd:
        raise ModelError(
            f"{odd[0]} is not alike in the model and in {base.name}", "give the base that the model was trained from"
        )
    matrices = [name for name in shapes if _MATRIX.fullmatch(name)]
    most = min(min(shapes[name]) for name in matrices)
    if rank > most:
        raise UserInputError(f"--rank {rank} is more than the {most} that the smallest matrix has", "give a lower one")
    factors: dict[str, torch.Tensor] = {}
    rest, norm, outside = {}, {}, 0.0
    for name in track(shapes, f"decomposing to rank {rank}", len(shapes), every=1):
        difference = torch.from_numpy(read_tensor(model, name) - read_tensor(base_folder, name))
        if name not in matrices:
            outside += float(difference.square().sum())
            continue
        left_OK, values_K, right_KI = torch.linalg.svd(difference, full_matrices=False)
        root_R = values_K[:rank].sqrt()
        module = name.removesuffix(".weight")
        factors[f"{module}.lora_A"] = root_R[:, None] * right_KI[:rank]
        factors[f"{module}.lora_B"] = left_OK[:, :rank] * root_R
        rest[name], norm[name] = float(values_K[rank:].norm()), float(values_K.norm())
    trainable = make_trainable(base, "lora", LoraSection(rank=rank, alpha=float(rank)))
    weights = {
        name: factors[name.removeprefix("base_model.model.").removesuffix(".default.weight")].contiguous()
        for name in trainable.parameters()
    }
    trainable.save(folder, weights)
    _name_base(folder)
    _store_as(folder, dtype)
    inside = sum(value**2 for value in norm.values())
    return LowRank(
        rest,
        norm,
        kept=1 - sum(value**2 for value in rest.values()) / inside if inside else 1.0,
        outside=outside / (inside + outside) if inside + outside else 0.0,
    )


def compare_adapters(source: Path, exported: Path, dtype: str) -> tuple[dict[str, Any], list[str]]:
    """The tensors of a copied adapter against its source's: figures for the report, and what is wrong."""
    kind = KINDS[dtype]
    names = sorted(tensor_shapes(source))
    if sorted(tensor_shapes(exported)) != names:
        return {"tensors": len(names)}, ["the adapter's tensors are not those of its source"]
    wrong = []
    for name in names:
        weights = read_tensor(source, name)
        if not (abs(read_tensor(exported, name) - weights) <= rounding_bound(weights, kind)).all():
            wrong.append(f"the tensor {name} is off by more than rounding explains")
    return {"tensors": len(names)}, wrong


def compare_low_rank(
    model: Path, base_folder: Path, exported: Path, low_rank: LowRank, dtype: str
) -> tuple[dict[str, Any], list[str]]:
    """The written factors against the difference itself: no more is missing than the decomposition left out.

    Returns:
        Figures for the report, and what is wrong.
    """
    wrong = []
    for name, rest in low_rank.rest.items():
        difference = read_tensor(model, name) - read_tensor(base_folder, name)
        module = f"base_model.model.{name.removesuffix('.weight')}"
        product = read_tensor(exported, f"{module}.lora_B.weight") @ read_tensor(exported, f"{module}.lora_A.weight")
        missing = float(((difference - product) ** 2).sum() ** 0.5)
        # both factors are rounded
        if not missing <= rest + 2 * _EPSILON[dtype] * low_rank.norm[name]:
            wrong.append(f"the adapter misses {missing:.3g} of {name}, not {rest:.3g}")
    figures = {"matrices": len(low_rank.rest), "kept": low_rank.kept, "outside": low_rank.outside}
    return figures, wrong


def _name_base(folder: Path) -> None:
    """Name the base in PEFT's settings as our own record does: PEFT notes the folder in this machine's cache."""
    settings = read_json(folder / ADAPTER_CONFIG)
    settings["base_model_name_or_path"] = read_base_record(folder).name
    write_json(folder / ADAPTER_CONFIG, settings)


def _store_as(folder: Path, dtype: str) -> None:
    # copies, for the file is written again from them
    tensors = {
        name: own.to(getattr(torch, dtype), copy=True) for name, own in read_tensors(folder / ADAPTER_WEIGHTS).items()
    }
    save_tensors(folder / ADAPTER_WEIGHTS, tensors)
