"""GGUF files to safetensors folders, so that everything after has one format to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astrollama.errors import ModelError
from astrollama.files import atomic_path
from astrollama.models.gguf_header import read_header, repair_tokenizer


def convert_gguf(gguf: Path, folder: Path, boundary_token: str | None = None) -> None:
    """Write a GGUF file's weights, in float32, and its tokenizer as the Hugging Face folder `folder`, atomically.

    Args:
        boundary_token: the token to use as BOS and EOS instead of those that the file names.

    Raises:
        ModelError: the file is damaged, is no LLaMA, or has what would be lost.
    """
    from astrollama.models.quiet import quiet_libraries

    with quiet_libraries():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        header = read_header(gguf)
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        except (ValueError, OSError, KeyError, NotImplementedError) as error:
            raise ModelError(
                f"{gguf} cannot be turned into a model ({error})", "give a GGUF file of a LLaMA model"
            ) from error
        repair_tokenizer(tokenizer, header)
        if header.rope_parameters is not None:
            model.config.rope_parameters = header.rope_parameters
        if boundary_token is not None:
            _set_boundary(tokenizer, model, boundary_token)
        _forget_quantisation(model)
        with atomic_path(folder) as partial:
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
            _remove_chat_template(partial, boundary_token)


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
