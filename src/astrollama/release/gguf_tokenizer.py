"""A tokenizer in a GGUF file: of which kind it is, and its tokens, scores and merges.

Three kinds are known, by their rules and not by their names: LLaMA-2's, which SentencePiece made (llama.cpp merges by the
score of the result); and byte-level BPE, cut before merging as Llama 3, SmolLM2 or GPT-2 do it (llama.cpp merges by rank, and
has its own code for each way of cutting).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from astrollama.errors import ModelError
from astrollama.tokens.tokenizer import DocumentTokenizer

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
LLAMA_3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPACE = "▁"  # SentencePiece's sign for a space


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as llama.cpp reads it.

    Attributes:
        model: `llama` (merges by scores) or `gpt2` (byte-level BPE, merges by rank).
        pre: how text is cut before merging, by llama.cpp's name.
        space_prefix: whether a text gets a space at its beginning.
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    space_prefix: bool


def vocabulary(tokenizer: DocumentTokenizer, vocab_size: int) -> Vocabulary:
    """The tokenizer, filled up with unused tokens to the model's vocabulary.

    Raises:
        ModelError: it is of none of the known kinds.
    """
    rules = json.loads(tokenizer.tokenizer.backend_tokenizer.to_str())
    model = rules["model"]
    pre = None if model["type"] != "BPE" else _byte_level_kind(rules)
    sentencepiece = pre is None and _is_sentencepiece(rules)
    if pre is None and not sentencepiece:
        raise ModelError(
            f"the tokenizer is none that GGUF files are written with here: {_describe(rules)}",
            "SentencePiece as in LLaMA-2 and byte-level BPE as in Llama 3, SmolLM2 and GPT-2 are; or export with --format hf",
        )
    tokens, types = _tokens(rules, tokenizer, vocab_size)
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    if sentencepiece:
        return Vocabulary("llama", "default", tokens, types, _scores(tokens, merges), [], _has_space_prefix(rules))
    assert pre is not None
    return Vocabulary("gpt2", pre, tokens, types, [], [" ".join(merge) for merge in merges], False)


def add_vocabulary(writer: Any, vocabulary: Vocabulary, tokenizer: DocumentTokenizer) -> None:
    """Write a vocabulary and the special tokens with a `gguf.GGUFWriter`; a prompt begins with BOS, as documents do."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(tokenizer.bos_id)
    writer.add_eos_token_id(tokenizer.eos_id)
    if tokenizer.tokenizer.unk_token_id is not None:
        writer.add_unk_token_id(tokenizer.tokenizer.unk_token_id)
    if tokenizer.tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.tokenizer.pad_token_id)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(vocabulary.space_prefix)
    if isinstance(tokenizer.tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.tokenizer.chat_template)


def _byte_level_kind(rules: dict[str, Any]) -> str | None:
    """llama.cpp's name for how a byte-level tokenizer cuts text, or None if it is another or none."""
    if rules["normalizer"] is not None or rules["model"]["byte_fallback"]:
        return None
    steps = _steps(rules["pre_tokenizer"], "pretokenizers")
    if not steps or steps[-1]["type"] != "ByteLevel" or steps[-1]["add_prefix_space"]:
        return None
    by_regex, whole_words = steps[-1]["use_regex"], rules["model"]["ignore_merges"]
    if len(steps) == 1 and by_regex and not whole_words:
        return "gpt-2"
    if len(steps) != 2 or (not by_regex) != whole_words:
        return None
    first = steps[0]
    if by_regex and first["type"] == "Digits" and first["individual_digits"]:
        return "smollm"
    if whole_words and first["type"] == "Split" and first["pattern"] == {"Regex": LLAMA_3_SPLIT}:
        isolated = first["behavior"] == "Isolated" and not first["invert"]
        return "llama-bpe" if isolated else None
    return None


def _is_sentencepiece(rules: dict[str, Any]) -> bool:
    """Whether spaces become `▁`, nothing else is changed or cut, and unknown characters fall back to bytes."""
    if rules["model"]["type"] != "BPE" or not rules["model"]["byte_fallback"]:
        return False
    normal, cut = rules["normalizer"], rules["pre_tokenizer"]
    steps = _steps(normal, "normalizers")
    if cut is None:
        replaces = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
        return replaces in steps and all(step == replaces or step["type"] == "Prepend" for step in steps)
    return normal is None and cut["type"] == "Metaspace" and cut["replacement"] == _SPACE and not cut["split"]


def _has_space_prefix(rules: dict[str, Any]) -> bool:
    if rules["pre_tokenizer"] is not None:
        return bool(rules["pre_tokenizer"]["prepend_scheme"] != "never")
    return any(step["type"] == "Prepend" for step in _steps(rules["normalizer"], "normalizers"))


def _steps(rule: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    if rule is None:
        return []
    return list(rule[key]) if rule["type"] == "Sequence" else [rule]


def _tokens(rules: dict[str, Any], tokenizer: DocumentTokenizer, vocab_size: int) -> tuple[list[str], list[int]]:
    """The text and the type of each of `vocab_size` tokens."""
    tokens = [f"[PAD{number}]" for number in range(vocab_size)]
    types = [_UNUSED] * vocab_size
    for token, number in rules["model"]["vocab"].items():
        is_byte = rules["model"]["byte_fallback"] and len(token) == 6 and token.startswith("<0x")
        tokens[number], types[number] = token, _BYTE if is_byte else _NORMAL
    for added in rules["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = _CONTROL if added["special"] else _USER_DEFINED
    for number in (tokenizer.bos_id, tokenizer.eos_id):
        types[number] = _CONTROL
    if rules["model"]["byte_fallback"] and rules["model"]["unk_token"] is not None:
        types[rules["model"]["vocab"][rules["model"]["unk_token"]]] = _UNKNOWN
    return tokens, types


def _scores(tokens: list[str], merges: list[tuple[str, ...]]) -> list[float]:
    """The earlier a merge, the higher the score of what it makes; what no merge makes comes last."""
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        ranks.setdefault(left + right, rank)
    return [-float(ranks.get(token, len(merges))) for token in tokens]


def _describe(rules: dict[str, Any]) -> str:
    steps = _steps(rules["normalizer"], "normalizers") + _steps(rules["pre_tokenizer"], "pretokenizers")
    return " + ".join([rules["model"]["type"], *(step["type"] for step in steps)])
