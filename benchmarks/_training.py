"""What the training benchmarks share: tokens of the sample, random models, tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from astrollama.sources.sample import SAMPLE


def passive_threads() -> None:
    """Let threads that wait sleep, as the command `astrollama` does; to be called before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pack_sample(folder: Path, model: str) -> Path:
    """The sample packed with the model's tokenizer, in `folder`/tokens."""
    from astrollama.corpus.build import import_corpus
    from astrollama.models.load import load_tokenizer
    from astrollama.models.registry import find_model
    from astrollama.sections import CorpusSection
    from astrollama.sources.files import FileSource
    from astrollama.tokens.shards import pack_corpus

    import_corpus(FileSource([SAMPLE]), CorpusSection(), folder / "corpus")
    found = find_model(model)
    pack_corpus(folder / "corpus", load_tokenizer(found.path), found.name, folder / "tokens")
    return folder / "tokens"


def write_llama(folder: Path, tokenizer_of: Path, **dimensions: int) -> Path:
    """A LLaMA with random weights of seed 0 and the tokenizer of a model folder, saved as a model folder."""
    from astrollama.models.quiet import quiet_libraries

    with quiet_libraries():
        import torch
        from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

        tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
        torch.manual_seed(0)
        config = LlamaConfig(
            **{"vocab_size": len(tokenizer), "max_position_embeddings": 2048, **dimensions},
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
