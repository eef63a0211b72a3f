"""GGUF files to safetensors folders, so that everything after has one format to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astrollama.errors import ModelError
from astrollama.files import atomic_path

# llama.cpp's names of pre-tokenizers that take digits one by one before the GPT-2 pattern; transformers' GGUF reader
# knows the pattern only. It matters where spaces stand before a number.
_SINGLE_DIGIT_PRE_TOKENIZERS = ("smollm",)


def convert_gguf(gguf: Path, folder: Path, boundary_token: str | None = None) -> None:
    """Write a GGUF file's weights, in float32, and its tokenizer as the Hugging Face folder `folder`, atomically.

    Args:
        boundary_token: the token to use as BOS and EOS instead of those that the file names.

    Raises:
        ModelError: the file is damaged, or is no LLaMA.
    """
    from astrollama.models.quiet import quiet_libraries

    with quiet_libraries():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        pre_tokenizer = _check(gguf)
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        except (ValueError, OSError, KeyError, NotImplementedError) as error:
            raise ModelError(
                f"{gguf} cannot be turned into a model ({error})", "give a GGUF file of a LLaMA model"
            ) from error
        if pre_tokenizer in _SINGLE_DIGIT_PRE_TOKENIZERS:
            _take_digits_singly(tokenizer)
        if boundary_token is not None:
            _set_boundary(tokenizer, model, boundary_token)
        _forget_quantisation(model)
        with atomic_path(folder) as partial:
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
            _remove_chat_template(partial, boundary_token)


def _check(gguf: Path) -> str:
    """Make sure that the file is a LLaMA in GGUF; returns the name of its pre-tokenizer."""
    from gguf import GGUFReader

    try:
        fields = GGUFReader(gguf).fields
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise ModelError(
            f"{gguf} is no readable GGUF file ({error})", "fetch it again, or give a model folder"
        ) from error
    values = {
        name: fields[name].contents() if name in fields else ""
        for name in ("general.architecture", "tokenizer.ggml.pre")
    }
    if values["general.architecture"] != "llama":
        raise ModelError(
            f"{gguf} has the architecture {values['general.architecture']!r}", "give a GGUF file of a LLaMA model"
        )
    return str(values["tokenizer.ggml.pre"])


def _take_digits_singly(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
    )


def _set_boundary(tokenizer: Any, model: Any, token: str) -> None:
    token_id = tokenizer.convert_tokens_to_ids(token)
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = token
    for config in (model.config, model.generation_config):
        config.bos_token_id = config.eos_token_id = config.pad_token_id = token_id


def _forget_quantisation(model: Any) -> None:
    """The weights are float32 now: a saved folder must not ask for the quantizer that read them."""
    if hasattr(model, "hf_quantizer"):
        del model.hf_quantizer
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _remove_chat_template(folder: Path, boundary_token: str | None) -> None:
    """With the document boundary as EOS the chat template no longer fits: a turn would not end where it says."""
    if boundary_token is None:
        return
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("chat_template", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
