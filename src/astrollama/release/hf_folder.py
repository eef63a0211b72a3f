"""A model folder that plain transformers loads, and prompts as the model was trained: with BOS at the beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astrollama.models.quiet import quiet_libraries
from astrollama.tokens.tokenizer import DocumentTokenizer

_LOCAL_KEYS = ("is_local", "local_files_only", "name_or_path")


def write_hf(source: Path, folder: Path, dtype: str, tokenizer: DocumentTokenizer) -> None:
    """Write weights, tokenizer and generation settings of a whole model into an existing folder.

    Args:
        source: the model's folder; `tokenizer` is its own.
        dtype: `float32`, `float16` or `bfloat16`.
    """
    import torch

    with quiet_libraries():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype), trust_remote_code=False)
        settings = model.generation_config
        settings.bos_token_id, settings.eos_token_id = tokenizer.bos_id, settings.eos_token_id or tokenizer.eos_id
        if settings.pad_token_id is None:
            settings.pad_token_id = tokenizer.eos_id
        model.save_pretrained(folder)
        own = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        _begin_with_bos(own, tokenizer.bos_id)
        own.save_pretrained(folder)
    _edit(folder / "config.json", _add_older_names)
    _edit(folder / "tokenizer_config.json", _forget_this_machine)


def _begin_with_bos(tokenizer: Any, bos_id: int) -> None:
    """Let a text's tokens begin with BOS, as a document's did in training; LLaMA-2's and Llama 3's tokenizers do already."""
    from tokenizers.processors import TemplateProcessing

    if tokenizer("a")["input_ids"] == [bos_id, *tokenizer("a", add_special_tokens=False)["input_ids"]]:
        return
    bos = tokenizer.convert_ids_to_tokens(bos_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=[bos, "$A"], pair=[bos, "$A", bos, "$B:1"], special_tokens=[(bos, bos_id)]
    )


def _add_older_names(config: dict[str, Any]) -> None:
    """Name the rotary settings as transformers 4 and many programs read them.

    They know no `rope_parameters` and would go on with another base of the frequencies without a word.
    """
    rope = dict(config["rope_parameters"])
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] != "default":
        config["rope_scaling"] = rope


def _forget_this_machine(config: dict[str, Any]) -> None:
    """Take out what transformers noted of where the tokenizer lay, and name its class as older versions do, too.

    What it says of BOS and EOS would replace the post-processor, which says the same or better.
    """
    for key in (*_LOCAL_KEYS, "add_bos_token", "add_eos_token"):
        config.pop(key, None)
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"


def _edit(path: Path, change: Any) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
