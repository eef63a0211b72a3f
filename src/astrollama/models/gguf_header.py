"""What a GGUF file tells that transformers' reader leaves out: rotary scaling, and how text is cut and merged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.errors import ModelError

# Our own: llama.cpp's keys tell less of the rotary embeddings than transformers needs.
ROPE_PARAMETERS_KEY = "astrollama.rope_parameters"
ROPE_FACTORS = "rope_freqs.weight"
# llama.cpp's names of pre-tokenizers that take digits one by one before the GPT-2 pattern. It matters where spaces stand
# before a number.
_SINGLE_DIGITS = ("smollm",)
# And of those that take a word whole if the vocabulary has it, before any merge.
_WHOLE_WORDS = ("llama3", "llama-v3", "llama-bpe")
_KNOWN_PRE_TOKENIZERS = {*_SINGLE_DIGITS, *_WHOLE_WORDS, "gpt-2"}


@dataclass(frozen=True)
class GGUFHeader:
    """The settings of a LLaMA's GGUF file.

    Attributes:
        num_tokens: of the vocabulary.
        tokenizer: `llama` (SentencePiece) or `gpt2` (byte-level BPE), in llama.cpp's words.
        pre_tokenizer: how text is cut, in llama.cpp's words.
        space_prefix: whether a text gets a space at its beginning.
        rope_parameters: of transformers' configuration, where there is rotary scaling, else None.
    """

    num_tokens: int
    tokenizer: str
    pre_tokenizer: str
    space_prefix: bool
    rope_parameters: dict[str, Any] | None


def read_header(gguf: Path) -> GGUFHeader:
    """Make sure that a file is a LLaMA in GGUF that can be read back whole, and read its settings.

    Raises:
        ModelError: it is damaged, no LLaMA, has biases or a rotary scaling that would be lost, or cuts text in a way that is
            not known here.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise ModelError(
            f"{gguf} is no readable GGUF file ({error})", "fetch it again, or give a model folder"
        ) from error

    def value(name: str, default: Any) -> Any:
        return reader.fields[name].contents() if name in reader.fields else default

    architecture = value("general.architecture", "")
    if architecture != "llama":
        raise ModelError(f"{gguf} has the architecture {architecture!r}", "give a GGUF file of a LLaMA model")
    tensors = [tensor.name for tensor in reader.tensors]
    if any(name.endswith(".bias") for name in tensors):
        raise ModelError(f"{gguf} has biases, which would be lost", "give the model in safetensors")
    recorded, kind = value(ROPE_PARAMETERS_KEY, ""), value("llama.rope.scaling.type", "none")
    if recorded:
        rope = json.loads(recorded)
    elif kind == "linear":
        theta, factor = value("llama.rope.freq_base", 10_000.0), value("llama.rope.scaling.factor", 1.0)
        rope = {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    elif kind != "none" or ROPE_FACTORS in tensors:
        raise ModelError(
            f"{gguf} scales its rotary embeddings in a way that is not read back from it",
            "give the model in safetensors",
        )
    else:
        rope = None
    tokenizer = str(value("tokenizer.ggml.model", ""))
    cut = str(value("tokenizer.ggml.pre", ""))
    if tokenizer == "gpt2" and cut not in _KNOWN_PRE_TOKENIZERS:
        raise ModelError(
            f"{gguf} cuts text in the way {cut!r}, and would get other tokens here than in llama.cpp",
            "give the model in safetensors",
        )
    prefix = bool(value("tokenizer.ggml.add_space_prefix", tokenizer == "llama"))
    num_tokens = len(value("tokenizer.ggml.tokens", []))
    return GGUFHeader(num_tokens, tokenizer, cut, prefix, rope)


def repair_tokenizer(tokenizer: Any, header: GGUFHeader) -> None:
    """Let the tokenizer that transformers made of a file cut and merge as llama.cpp does, and have the file's tokens alone."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    own = [token for token in rules["added_tokens"] if token["id"] < header.num_tokens]
    if len(own) < len(rules["added_tokens"]):  # GPT-2's <|endoftext|>, which other models do not have
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps({**rules, "added_tokens": own}))
    backend = tokenizer.backend_tokenizer
    if header.pre_tokenizer in _SINGLE_DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])
    if header.pre_tokenizer in _WHOLE_WORDS:
        model = backend.model
        model.ignore_merges = True
        backend.model = model
    if header.tokenizer == "llama":
        # a text that begins with a space gets another one, too
        prefix = [normalizers.Prepend("▁")] if header.space_prefix else []
        backend.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = None
