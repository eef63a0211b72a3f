"""What computes with an exported model: the contract that parity compares through, and transformers as one of the engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from astrollama.models.load import LoadedModel
from astrollama.models.quiet import quiet_libraries


@dataclass(frozen=True)
class Completion:
    """A greedy continuation.

    Attributes:
        tokens: the likeliest token at each step.
        runners_up: the second likeliest.
        margins: by how much the logit of the first is above that of the second.
    """

    tokens: list[int]
    runners_up: list[int]
    margins: list[float]


class Engine(Protocol):
    """A model behind some library.

    Attributes:
        name: the library and its version, for the report.
    """

    name: str

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text as a user of the library gets them; BOS comes first."""
        ...

    def logits(self, row: Sequence[int]) -> np.ndarray:
        """The logits after each of T tokens, float32, of shape (T, V)."""
        ...

    def continue_greedily(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Completion]:
        """The likeliest token again and again, `num_tokens` of them, whether EOS is among them or not."""
        ...


class SourceEngine:
    """The model that is exported, as `load_model` gives it."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.name = _transformers()
        self._tokenizer = loaded.tokenizer
        self._model = loaded.model

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """As the contract says; BOS is put there by us."""
        return [[self._tokenizer.bos_id, *tokens] for tokens in self._tokenizer.encode(texts)]

    def logits(self, row: Sequence[int]) -> np.ndarray:
        """As the contract says."""
        return _logits(self._model, row)

    def continue_greedily(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Completion]:
        """As the contract says; the prompts are equally long and are continued side by side."""
        return _continue_greedily(self._model, prompts, num_tokens)


class FolderEngine:
    """A model folder as anyone loads it: by transformers alone, with no code of ours. Half precision is computed in float32."""

    def __init__(self, folder: Path) -> None:
        self.name = _transformers()
        with quiet_libraries():
            from transformers import AutoModelForCausalLM, AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """As the contract says; a text that spells a special token stands for itself, as in training."""
        return self._tokenizer(list(texts), split_special_tokens=True)["input_ids"]  # type: ignore[no-any-return]

    def logits(self, row: Sequence[int]) -> np.ndarray:
        """As the contract says."""
        return _logits(self._model, row)

    def continue_greedily(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Completion]:
        """As `SourceEngine` does."""
        return _continue_greedily(self._model, prompts, num_tokens)


def completion_of(logits_SV: np.ndarray) -> Completion:
    """The completion whose S steps had these logits."""
    first_S = logits_SV.argmax(-1)
    steps_S = np.arange(len(first_S))
    best_S = logits_SV[steps_S, first_S]
    rest_SV = logits_SV.copy()
    rest_SV[steps_S, first_S] = -np.inf
    second_S = rest_SV.argmax(-1)
    margins_S = best_S - logits_SV[steps_S, second_S]
    return Completion(first_S.tolist(), second_S.tolist(), margins_S.tolist())


@torch.inference_mode()
def _logits(model: Any, row: Sequence[int]) -> np.ndarray:
    logits_1TV = model(torch.tensor([list(row)]), use_cache=False).logits
    logits_TV: np.ndarray = logits_1TV[0].float().numpy()
    return logits_TV


@torch.inference_mode()
def _continue_greedily(model: Any, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Completion]:
    if not prompts:
        return []
    tokens_BT, cache = torch.tensor([list(prompt) for prompt in prompts]), None
    steps = []
    for _ in range(num_tokens):
        output = model(tokens_BT, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        steps.append(output.logits[:, -1].float())
        tokens_BT = steps[-1].argmax(-1, keepdim=True)
    logits_BSV = torch.stack(steps, dim=1).numpy()
    return [completion_of(logits_SV) for logits_SV in logits_BSV]


def _transformers() -> str:
    import transformers

    return f"transformers {transformers.__version__}"
