"""Model folders in Hugging Face layout: is one safe and complete, what is in it, and which weights exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from astrollama.errors import ModelError
from astrollama.files import sha256_file

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BASE_RECORD = "base.json"
ENCODER_RECORD = "encoder.json"
WHITENING = "whitening.safetensors"
WEIGHTS_FILE = "model"
SHARD_BYTES = 5_000_000_000
NF4 = "nf4"
_INDEX = f"{WEIGHTS_FILE}.safetensors.index.json"
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


@dataclass(frozen=True)
class BaseRecord:
    """The base that an adapter belongs to.

    Attributes:
        name: where the base was in training.
        digest: SHA-256 of its weights.
        quantization: `nf4` where the adapter was trained on these weights in 4 bits, else None.
    """

    name: str
    digest: str
    quantization: str | None

    def to_json(self) -> dict[str, str]:
        """The content of `base.json`."""
        record = {"name": self.name, "digest": self.digest}
        return record | {"quantization": self.quantization} if self.quantization else record


@dataclass(frozen=True)
class EncoderRecord:
    """How an adapter that was trained as an encoder makes vectors; it belongs to no language model any more.

    Attributes:
        num_layers: the first layers of its base, which are all that it has.
        final_norm: whether its base's final norm comes behind them.
        whitened: whether `whitening.safetensors`, an affine map of the last states, comes behind that.
    """

    pooling: Literal["mean", "last"]
    attention: Literal["causal", "bidirectional"]
    num_layers: int
    final_norm: bool = True
    whitened: bool = False


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


def read_base_record(folder: Path) -> BaseRecord:
    """The base that an adapter belongs to.

    Raises:
        ModelError: the folder does not say, or names a quantisation that is not known.
    """
    record = _read_config(folder / BASE_RECORD) if (folder / BASE_RECORD).is_file() else {}
    if not {"name", "digest"} <= record.keys():
        raise ModelError(
            f"{folder} does not say which base its adapter belongs to",
            f"only adapters whose {BASE_RECORD} has a name and a digest are loaded",
        )
    quantization = record.get("quantization")
    if quantization not in (None, NF4):
        raise ModelError(
            f"the adapter {folder} was trained on a base with the quantisation {quantization!r}",
            f"only {NF4} can be made again: train it anew",
        )
    return BaseRecord(str(record["name"]), str(record["digest"]), quantization)


def read_encoder_record(folder: Path) -> EncoderRecord | None:
    """How an adapter makes vectors; None where it was not trained as an encoder.

    Raises:
        ModelError: the record is damaged.
    """
    if not (folder / ENCODER_RECORD).is_file():
        return None
    record = _read_config(folder / ENCODER_RECORD)
    try:
        encoder = EncoderRecord(**record)
    except TypeError as error:
        raise ModelError(
            f"{folder / ENCODER_RECORD} cannot be used ({error})", "fetch or save the encoder again"
        ) from error
    known = encoder.pooling in ("mean", "last") and encoder.attention in ("causal", "bidirectional")
    known = known and isinstance(encoder.final_norm, bool) and isinstance(encoder.whitened, bool)
    if not known or not isinstance(encoder.num_layers, int) or encoder.num_layers < 1:
        raise ModelError(f"{folder / ENCODER_RECORD} holds {record}", "fetch or save the encoder again")
    if encoder.whitened and not (folder / WHITENING).is_file():
        raise ModelError(f"{folder} has no {WHITENING}", "fetch or save the encoder again")
    return encoder


def adapter_digest(folder: Path, base: BaseRecord) -> str:
    """The SHA-256 of everything that decides what an adapter does, in hex: its weights, its settings and its base."""
    settings = {key: value for key, value in check_adapter(folder).items() if key != "base_model_name_or_path"}
    state = [weights_digest(folder), settings, base.digest, *([base.quantization] if base.quantization else [])]
    encoder = read_encoder_record(folder)
    state += [asdict(encoder)] if encoder else []
    state += [sha256_file(folder / WHITENING)] if encoder and encoder.whitened else []
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def write_weights(
    folder: Path, shapes: Mapping[str, Sequence[int]], tensor: Callable[[str], Tensor], shard_bytes: int = SHARD_BYTES
) -> None:
    """Write float32 tensors as `model.safetensors`, or as shards with their index where one file would be too large.

    Args:
        shapes: the names and shapes of all tensors, in the order in which they are divided among shards.
        tensor: the tensor of a name; asked for shard by shard, so that never more than one shard is in memory.
    """
    shards = _shards(shapes, shard_bytes)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"{WEIGHTS_FILE}{f'-{number:05d}-of-{len(shards):05d}' if len(shards) > 1 else ''}.safetensors"
        save_tensors(folder / file, {name: tensor(name) for name in names})
        weight_map |= dict.fromkeys(names, file)
    if len(shards) > 1:
        num_values = sum(map(prod, shapes.values()))
        index = {"metadata": {"total_parameters": num_values, "total_size": 4 * num_values}, "weight_map": weight_map}
        (folder / _INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def save_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, for whomever any other new file is for: the library alone lets nobody else read it."""
    from safetensors.torch import save_file

    file.touch()
    mode = file.stat().st_mode
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, metadata={"format": "pt"})
    file.chmod(mode)


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a folder, by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder):
        handle = open_weights(file)
        shapes |= {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118
    return shapes


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model or adapter folder, sorted by name, without what whitens an encoder.

    Raises:
        ModelError: there are none, some of an index are missing, or the weights are pickled.
    """
    files = sorted(file for file in folder.glob("*.safetensors") if file.name != WHITENING)
    if not files:
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLE_SUFFIXES)
        if pickled:
            raise ModelError(
                f"{folder} holds pickled weights ({pickled[0]}), which can run code when they are read",
                "convert them to safetensors where you trust their source (save_pretrained does)",
            )
        raise ModelError(f"{folder} holds no weights", "give a folder with *.safetensors")
    index = folder / _INDEX
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
        tensors |= dict.fromkeys(open_weights(file).keys(), file)
    digest = hashlib.sha256()
    handles = {file: open_weights(file) for file in set(tensors.values())}
    for name in sorted(tensors):
        tensor = handles[tensors[name]].get_tensor(name).contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def num_parameters(folder: Path) -> int:
    """Parameters stored in a folder; a head tied to the embeddings is stored once."""
    return sum(map(prod, tensor_shapes(folder).values()))


def open_weights(file: Path) -> Any:
    """A safetensors file, whose tensors are read when they are asked for.

    Raises:
        ModelError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is damaged ({error})", "fetch or save the model again") from error


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, by name.

    Raises:
        ModelError: it is damaged.
    """
    opened = open_weights(file)
    return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


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


def _shards(shapes: Mapping[str, Sequence[int]], shard_bytes: int) -> list[list[str]]:
    """The names in groups whose float32 tensors take `shard_bytes` at most, or that hold one larger tensor alone."""
    shards: list[list[str]] = []
    size = 0
    for name, shape in shapes.items():
        size += 4 * prod(shape)
        if not shards or size > shard_bytes:
            shards.append([])
            size = 4 * prod(shape)
        shards[-1].append(name)
    return shards


def _bytes_of(tensor: Any) -> memoryview:
    import torch

    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())
