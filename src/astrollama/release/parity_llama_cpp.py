"""A GGUF file in llama.cpp itself, through the package llama-cpp-python, which is an extra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from astrollama.errors import AstroLlamaError
from astrollama.release.parity_engines import Completion, completion_of

INSTALL = "pip install 'astrollama[llama-cpp]' and export again, to another folder"


class LlamaCppEngine:
    """A model in llama.cpp, with its own tokenizer and its defaults: keys and values are kept in half precision."""

    def __init__(self, llama: Any) -> None:
        import llama_cpp

        self.name = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"
        self._llama = llama

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """As the contract says; whether BOS is added, the file decides."""
        return [self._llama.tokenize(text.encode("utf-8"), add_bos=True, special=False) for text in texts]

    def logits(self, row: Sequence[int]) -> np.ndarray:
        """As the contract says."""
        self._llama.reset()
        self._llama.eval(list(row))
        logits_TV: np.ndarray = self._llama.scores[: len(row)].copy()
        return logits_TV

    def continue_greedily(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Completion]:
        """As the contract says."""
        return [self._continued(prompt, num_tokens) for prompt in prompts]

    def _continued(self, prompt: Sequence[int], num_tokens: int) -> Completion:
        self._llama.reset()
        tokens, steps = list(prompt), []
        for _ in range(num_tokens):
            self._llama.eval(tokens)
            steps.append(self._llama.scores[self._llama.n_tokens - 1].copy())
            tokens = [int(steps[-1].argmax())]
        return completion_of(np.stack(steps))


def missing() -> str | None:
    """Why llama.cpp cannot be asked, or None if it can."""
    try:
        import llama_cpp  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:  # the last two: its library was built for another machine
        return f"llama-cpp-python cannot be imported ({' '.join(str(error).split())[:200]})"
    return None


@contextmanager
def open_llama_cpp(gguf: Path, context: int) -> Iterator[LlamaCppEngine]:
    """Load a GGUF file for the block.

    Args:
        context: of how many tokens the longest row is.

    Raises:
        AstroLlamaError: llama.cpp does not take the file.
    """
    import torch
    from llama_cpp import Llama

    threads = torch.get_num_threads()
    try:
        llama = Llama(
            str(gguf),
            n_ctx=context,
            n_batch=context,
            n_ubatch=context,
            n_threads=threads,
            n_threads_batch=threads,
            logits_all=True,
            verbose=False,
        )
    except ValueError as error:
        raise AstroLlamaError(
            f"llama.cpp does not load {gguf.name} ({error})", "nothing was kept: report it with the model's config.json"
        ) from error
    try:
        yield LlamaCppEngine(llama)
    finally:
        llama.close()
