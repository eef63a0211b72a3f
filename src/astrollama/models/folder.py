"""Model folders in Hugging Face layout: is one safe and complete, what is in it, and which weights exactly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from astrollama.errors import ModelError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BASE_RECORD = "base.json"
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def check_folder(folder: Path) -> dict[str, Any]:
    """Make sure that a folder holds a LLaMA model which can be loaded without running anything from it.

    Returns:
        Its `config.json`.

    Raises:
        ModelError: a file is missing, the weights are pickled, the model wants code of its own, or is no LLaMA.
    """
    config = _read_config(folder / "config.json")
    if "auto_map" in config:
        raise ModelError(
            f"{folder} wants code of its own to be run (auto_map)", "remote code is never run: give a LLaMA model"
        )
    if "quantization_config" in config:
        raise ModelError(
            f"{folder} holds quantised weights",
            "give the model that they were made from, in safetensors, or a GGUF file",
        )
    if config.get("model_type") != "llama":
        raise ModelError(
            f"{folder} is a model of type {config.get('model_type')!r}", "give a LLaMA model (LlamaForCausalLM)"
        )
    weight_files(folder)
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(f"{folder} has no tokenizer.json", "save the tokenizer there with save_pretrained")
    return config


def check_adapter(folder: Path) -> dict[str, Any]:
    """Make sure that a folder holds a PEFT adapter whose weights are safetensors.

    Returns:
        Its `adapter_config.json`.

    Raises:
        ModelError: a file is missing or damaged, or the weights are pickled.
    """
    config = _read_config(folder / ADAPTER_CONFIG)
    if [file.name for file in weight_files(folder)] != [ADAPTER_WEIGHTS]:
        raise ModelError(
            f"{folder} has no {ADAPTER_WEIGHTS}", "give an adapter folder that PEFT or astrollama train saved"
        )
    return config


def adapter_digest(folder: Path, base_digest: str) -> str:
    """The SHA-256 of everything that decides what an adapter does: its weights, its settings and its base, in hex."""
    settings = {key: value for key, value in check_adapter(folder).items() if key != "base_model_name_or_path"}
    state = json.dumps([weights_digest(folder), settings, base_digest], sort_keys=True)
    return hashlib.sha256(state.encode()).hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model or adapter folder, sorted by name.

    Raises:
        ModelError: there are none, some of an index are missing, or the weights are pickled.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLE_SUFFIXES)
        if pickled:
            raise ModelError(
                f"{folder} holds pickled weights ({pickled[0]}), which can run code when they are read",
                "convert them to safetensors where you trust their source (save_pretrained does)",
            )
        raise ModelError(f"{folder} holds no weights", "give a folder with *.safetensors")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(_read_config(index).get("weight_map", {}).values())
        missing = sorted(named - {file.name for file in files})
        if missing:
            raise ModelError(f"{folder} lacks {missing[0]}, which its index names", "fetch the missing files")
        return [folder / name for name in sorted(named)]
    return files


def weights_digest(folder: Path) -> str:
    """The SHA-256 over all tensors (name, type, shape, bytes) in the order of their names, in hex.

    It does not depend on how the tensors are divided among files.

    Raises:
        ModelError: a file is damaged.
    """
    tensors: dict[str, Path] = {}
    for file in weight_files(folder):
        tensors |= dict.fromkeys(_open(file).keys(), file)
    digest = hashlib.sha256()
    handles = {file: _open(file) for file in set(tensors.values())}
    for name in sorted(tensors):
        tensor = handles[tensors[name]].get_tensor(name).contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def num_parameters(folder: Path) -> int:
    """Parameters stored in a folder; a head tied to the embeddings is stored once."""
    from math import prod

    total = 0
    for file in weight_files(folder):
        handle = _open(file)
        total += sum(prod(handle.get_slice(name).get_shape()) for name in handle.keys())  # noqa: SIM118
    return total


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}", "give a model folder in Hugging Face layout") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error})", "fetch the model again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no JSON object", "fetch the model again")
    return config


def _open(file: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is damaged ({error})", "fetch or save the model again") from error


def _bytes_of(tensor: Any) -> memoryview:
    import torch

    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())
