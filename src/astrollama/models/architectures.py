"""The shapes of LLaMA models, without their weights: enough to count parameters, memory and operations."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astrollama.errors import ModelError, RecipeError
from astrollama.files import read_json
from astrollama.models.folder import ADAPTER_CONFIG, read_base_record
from astrollama.models.packaged import PACKAGED_MODELS
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import MERGE_STAGE, TRAIN_STAGE, WEIGHTS, cache_folder
from astrollama.models.shipped import SHIPPED_MODELS
from astrollama.runs import MANIFEST, STAGE
from astrollama.sections import EMBEDDINGS

_CONFIG = "config.json"
_LLAMA_2_7B = {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
_LLAMA_2_70B = _LLAMA_2_7B | {
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
}
_LLAMA_3 = {"vocab_size": 128256, "bos_token_id": 128000, "eos_token_id": 128001, "rms_norm_eps": 1e-5}
_LLAMA_3_8B = _LLAMA_3 | {"intermediate_size": 14336, "num_key_value_heads": 8, "max_position_embeddings": 8192}
_LLAMA_3_70B = _LLAMA_2_70B | _LLAMA_3 | {"max_position_embeddings": 8192}
_SMOLLM2 = {
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_SMOLLM2_135M = _SMOLLM2 | {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
}
# What differs from LlamaConfig's defaults, which are LLaMA-7B's. Rotary embeddings have no parameters and are left out.
_KNOWN: dict[str, dict[str, Any]] = {
    "smollm2-135m": _SMOLLM2_135M,
    "HuggingFaceTB/SmolLM2-135M": _SMOLLM2_135M,
    "HuggingFaceTB/SmolLM2-360M": _SMOLLM2
    | {
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
    },
    "HuggingFaceTB/SmolLM2-1.7B": _SMOLLM2 | {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24},
    "meta-llama/Llama-2-7b-hf": _LLAMA_2_7B,
    "meta-llama/Llama-2-13b-hf": _LLAMA_2_7B
    | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
    "meta-llama/Llama-2-70b-hf": _LLAMA_2_70B,
    "meta-llama/Meta-Llama-3-8B": _LLAMA_3_8B,
    "meta-llama/Llama-3.1-8B": _LLAMA_3_8B | {"max_position_embeddings": 131072},
    "meta-llama/Meta-Llama-3-70B": _LLAMA_3_70B,
    "meta-llama/Llama-3.1-70B": _LLAMA_3_70B | {"max_position_embeddings": 131072},
}


def find_config(spec: str) -> Any:
    """The `LlamaConfig` of a model; nothing is fetched.

    What is on this disk comes first (a folder, of which `config.json` is enough; a complete run; a GGUF file; the cache of
    `model pull`), then a table of well-known bases. A shipped model has the shape of its base.

    Raises:
        ModelError: there is no such model here or in the table, or it is no LLaMA.
    """
    if spec in SHIPPED_MODELS:
        return find_config(read_base_record(SHIPPED_MODELS[spec].folder).name)
    path = Path(spec).expanduser()
    if path.is_file():
        return _llama_config(path.parent, path, gguf_file=path.name)
    if path.is_dir():
        folder = _model_folder(path)
        return _llama_config(folder, folder)
    cached = _cached(spec)
    if cached is not None:
        return _llama_config(cached, cached)
    name = spec.partition("@")[0]
    if name in _KNOWN:
        return _new_config(_KNOWN[name])
    near = difflib.get_close_matches(spec, _KNOWN, n=1)
    hint = (
        f"did you mean {near[0]}?" if near else f"fetch it (astrollama model pull), or give a folder with its {_CONFIG}"
    )
    raise ModelError(f"the shape of the model {spec!r} is not known here", hint)


def linear_shapes(config: Any) -> dict[str, tuple[int, int]]:
    """The matrices of one block, by name: width of the input and of the output."""
    width, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    return {
        "q_proj": (width, queries),
        "k_proj": (width, keys),
        "v_proj": (width, keys),
        "o_proj": (queries, width),
        "gate_proj": (width, inner),
        "up_proj": (width, inner),
        "down_proj": (inner, width),
    }


def count_parameters(config: Any) -> int:
    """Parameters of a LLaMA; a head tied to the embeddings counts once."""
    embeddings = config.vocab_size * config.hidden_size
    tables = embeddings if config.tie_word_embeddings else 2 * embeddings
    return int(tables + config.num_hidden_layers * count_block_parameters(config) + config.hidden_size)


def count_block_parameters(config: Any) -> int:
    """Parameters of one block: seven matrices, their biases where there are any, and two norms."""
    total: int = count_matrix_parameters(config) + 2 * config.hidden_size
    for name, (_, width) in linear_shapes(config).items():
        biased = config.attention_bias if name in ("q_proj", "k_proj", "v_proj", "o_proj") else config.mlp_bias
        total += width if biased else 0
    return total


def count_matrix_parameters(config: Any) -> int:
    """Parameters of one block's matrices."""
    return sum(inputs * outputs for inputs, outputs in linear_shapes(config).values())


def require_targets(config: Any, targets: Sequence[str]) -> None:
    """Make sure that a model has the layers that an adapter is to update.

    Raises:
        RecipeError: a target is neither a matrix of a block nor the embeddings.
    """
    shapes = linear_shapes(config)
    unknown = sorted(set(targets) - set(shapes) - {EMBEDDINGS})
    if unknown:
        raise RecipeError(
            f"lora.targets names {unknown[0]!r}, which the model does not have",
            f"choose from {', '.join(sorted(shapes))}",
        )


def count_adapter_parameters(config: Any, rank: int, targets: Sequence[str]) -> int:
    """Parameters of a LoRA adapter: for each target of `inputs` x `outputs`, rank x (inputs + outputs).

    Raises:
        RecipeError: as `require_targets`.
    """
    require_targets(config, targets)
    shapes = linear_shapes(config)
    block = sum(sum(shapes[target]) for target in set(targets) - {EMBEDDINGS})
    embeddings = config.vocab_size + config.hidden_size if EMBEDDINGS in targets else 0
    return rank * (int(config.num_hidden_layers) * block + int(embeddings))


def _model_folder(path: Path) -> Path:
    """The folder with `config.json`: that of a run's model, or the folder itself."""
    is_run = (path / MANIFEST).is_file() and read_json(path / MANIFEST).get("stage") in (TRAIN_STAGE, MERGE_STAGE)
    if not is_run and (path / STAGE).is_file():
        raise ModelError(f"{path} is an unfinished run", "train it to its end first: astrollama train … --resume")
    folder = path / WEIGHTS if is_run else path
    if (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(f"{path} is an adapter", "train from a whole model, such as the adapter's base")
    if not (folder / _CONFIG).is_file():
        raise ModelError(f"{folder} has no {_CONFIG}", "give a model folder in Hugging Face layout")
    return folder


def _cached(spec: str) -> Path | None:
    """The folder of a packaged model or of one of the hub's, if it was pulled."""
    name = spec if spec in PACKAGED_MODELS or "@" in spec else f"{spec}@main"
    for manifest in sorted(cache_folder().glob(f"*/{MANIFEST}")):
        if read_json(manifest).get("identity", {}).get("name") == name:
            return manifest.parent / WEIGHTS
    return None


def _new_config(settings: dict[str, Any]) -> Any:
    with quiet_libraries():
        from transformers import LlamaConfig

        return LlamaConfig(**settings)


def _llama_config(folder: Path, named: Path, **gguf: str) -> Any:
    with quiet_libraries():
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **gguf)
        except Exception as error:
            raise ModelError(
                f"the shape of {named} cannot be read ({str(error)[:200]})",
                "give a model folder in Hugging Face layout or a GGUF file",
            ) from error
    if config.model_type != "llama":
        raise ModelError(f"{named} is a model of type {config.model_type!r}", "give a LLaMA model (LlamaForCausalLM)")
    return config
