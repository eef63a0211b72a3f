"""Language models run by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from transformers import GenerationConfig

from astrollama.backends.base import TextLikelihood
from astrollama.console import progress
from astrollama.errors import UserInputError
from astrollama.models.attention import Documents, attending_within_documents
from astrollama.models.forward import hidden_states
from astrollama.models.load import LoadedModel
from astrollama.models.loss import token_nll
from astrollama.models.quiet import quiet_libraries

# Windows are scored in groups whose tokens stay below this.
TOKENS_A_BATCH = 2048
MAX_WINDOW_TOKENS = 2048
LEAST_TEMPERATURE = 0.01


class HFLanguageModel:
    """A loaded model as a `LanguageModel`."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.name = loaded.name
        self.digest: str | None = loaded.digest
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._context = int(loaded.model.config.max_position_embeddings)
        self._window = min(MAX_WINDOW_TOKENS, self._context)
        self._model.generation_config = (
            GenerationConfig()
        )  # a folder's own (penalties, top_k, …) is no part of the contract

    @torch.inference_mode()
    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[TextLikelihood]:
        """As the contract says."""
        encoded = self._tokenizer.encode(texts)
        windows = [
            (index, [self._tokenizer.bos_id, *tokens][start : start + self._window + 1])
            for index, tokens in enumerate(encoded)
            for start in range(0, len(tokens), self._window)
        ]
        nll = [0.0] * len(texts)
        done = 0
        with progress(f"scoring with {_short(self.name)}", sum(map(len, encoded))) as bar:
            for batch in _batches(windows):
                for (index, _), value in zip(batch, self._score([tokens for _, tokens in batch]), strict=True):
                    nll[index] += value
                done += sum(len(tokens) - 1 for _, tokens in batch)
                bar.update(done, f"{done:,} tokens")
        return [
            TextLikelihood(value, len(tokens), len(text.encode("utf-8")))
            for value, tokens, text in zip(nll, encoded, texts, strict=True)
        ]

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        """As the contract says; all prompts are continued side by side."""
        if not prompts:
            return []
        bos, eos = self._tokenizer.bos_id, self._tokenizer.eos_id
        encoded = [[bos, *tokens] for tokens in self._tokenizer.encode(prompts)]
        longest = max(map(len, encoded))
        room = self._context - longest
        if room < 1:
            raise UserInputError(f"a prompt has {longest} tokens, the model's context {self._context}", "shorten it")
        device = self._model.device
        tokens_BT = torch.tensor([[eos] * (longest - len(row)) + row for row in encoded], device=device)
        mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in encoded], device=device)
        greedy = temperature < LEAST_TEMPERATURE
        sampling = (
            {"do_sample": False}
            if greedy
            else {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        )
        # transformers draws from torch's own generator, so its state is put back afterwards
        with quiet_libraries(), torch.random.fork_rng():
            torch.manual_seed(seed)
            output_BT = self._model.generate(
                tokens_BT,
                attention_mask=mask_BT,
                max_new_tokens=min(max_new_tokens, room),
                bos_token_id=bos,
                eos_token_id=eos,
                pad_token_id=eos,
                **sampling,
            )
        new = output_BT[:, longest:].tolist()
        return [self._continuation(prompt[1:], tokens) for prompt, tokens in zip(encoded, new, strict=True)]

    def _continuation(self, prompt: list[int], tokens: list[int]) -> str:
        """The text that `tokens` add to a prompt; decoded alone they would lose a space at their beginning."""
        before = self._tokenizer.decode(prompt)
        return self._tokenizer.decode([*prompt, *tokens]).removeprefix(before)

    def _score(self, rows: Sequence[list[int]]) -> list[float]:
        """The summed loss of each row's tokens after the first, in nats; the rows lie end to end, without padding."""
        device = self._model.device
        lengths = tuple(len(row) - 1 for row in rows)
        ends = list(accumulate(lengths, initial=0))
        documents = Documents(lengths, torch.tensor(ends, dtype=torch.int32, device=device), self._window)
        tokens_N, targets_N = (
            torch.tensor([token for row in rows for token in row[part]], device=device)
            for part in (slice(None, -1), slice(1, None))
        )
        positions_N = torch.cat([torch.arange(length, device=device) for length in lengths])
        with attending_within_documents(self._model):
            hidden_ND = hidden_states(self._model, tokens_N, positions_N, documents)
        nll_N = token_nll(hidden_ND, self._model.lm_head.weight, targets_N).double()
        return [float(nll_N[start:stop].sum()) for start, stop in pairwise(ends)]


def _batches(windows: list[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
    """Windows in groups whose tokens stay below `TOKENS_A_BATCH`."""
    groups: list[list[tuple[int, list[int]]]] = []
    room = 0
    for window in windows:
        if len(window[1]) > room:
            groups.append([])
            room = TOKENS_A_BATCH
        groups[-1].append(window)
        room -= len(window[1])
    return groups


def _short(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1]
