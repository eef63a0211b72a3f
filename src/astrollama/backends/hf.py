"""Language models run by transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from astrollama.backends.base import (
    LEAST_TEMPERATURE,
    Ability,
    ContinuationLikelihood,
    TextLikelihood,
    TokenPredictions,
)
from astrollama.backends.hf_continuations import branches_of, likelihoods
from astrollama.backends.hf_rows import predictions, states_of_rows, vectors_of_rows
from astrollama.console import progress
from astrollama.errors import UnsupportedError, UserInputError
from astrollama.models.load import LoadedModel
from astrollama.models.loss import token_nll
from astrollama.models.pooling import Pooling
from astrollama.models.quiet import quiet_libraries

MAX_WINDOW_TOKENS = 2048
PROMPTS_A_BATCH = 16


# Raised when the same weights would get another score, continuation or vector.
VERSION = 1


class HFLanguageModel:
    """A loaded model as a `LanguageModel`; states that are not finite raise `ModelError`.

    Attributes:
        loaded: the model itself, for what is to be trained on it.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        # what was trained as an encoder predicts no tokens any more
        self.abilities: frozenset[Ability] = frozenset({"embed"} if loaded.encoder else {"score", "generate", "embed"})
        self.loaded = loaded
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
        self._require("score")
        encoded = self._tokenizer.encode(texts)
        owners, windows = self._windows(encoded)
        nll = [0.0] * len(texts)
        for owner, value in zip(owners, self._nll_of_rows(windows), strict=True):
            nll[owner] += value
        return [
            TextLikelihood(value, len(tokens), len(text.encode("utf-8")))
            for value, tokens, text in zip(nll, encoded, texts, strict=True)
        ]

    @torch.inference_mode()
    def token_predictions(self, texts: Sequence[str]) -> list[TokenPredictions]:
        """As the contract says."""
        self._require("score")
        owners, windows = self._windows(self._tokenizer.encode(texts))
        found: dict[int, TokenPredictions] = {}
        for batch, hidden_ND, targets_N in self._states_and_targets(windows):
            predicted = predictions(hidden_ND, self._model.lm_head.weight, targets_N)
            start = 0
            for number in batch:
                own = slice(start, start + len(windows[number]) - 1)
                found[number] = TokenPredictions(
                    predicted.nll_T[own], predicted.top_probability_T[own], predicted.top_correct_T[own]
                )
                start = own.stop
        parts: list[list[TokenPredictions]] = [[] for _ in texts]
        for number, owner in enumerate(owners):
            parts[owner].append(found[number])
        return [_joined(own) for own in parts]

    @torch.inference_mode()
    def loglikelihood_packed(self, texts: Sequence[str], sequence_length: int) -> list[TextLikelihood]:
        """As the contract says.

        Raises:
            UserInputError: the pieces are longer than the model's context.
        """
        self._require("score")
        assert sequence_length > 1
        if sequence_length > self._context:
            raise UserInputError(
                f"pieces of {sequence_length} tokens are longer than the context of {self.name}, {self._context}",
                "choose shorter ones",
            )
        stream = [token for document in self._tokenizer.encode_documents(texts) for token in document]
        pieces = [stream[start : start + sequence_length] for start in range(0, len(stream), sequence_length)]
        if len(pieces) > 1 and len(pieces[-1]) < sequence_length:
            pieces.pop()
        return [
            TextLikelihood(nll, len(piece) - 1, len(self._continuation(piece[:1], piece[1:]).encode("utf-8")))
            for nll, piece in zip(self._nll_of_rows(pieces), pieces, strict=True)
        ]

    @torch.inference_mode()
    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[ContinuationLikelihood]:
        """As the contract says; equal contexts are computed once.

        Of a continuation that is longer than the context by itself, only the last tokens are scored.

        Raises:
            UserInputError: a continuation has no tokens of its own.
        """
        self._require("score")
        groups = branches_of(pairs, self._tokenizer, self._context)
        found: dict[int, ContinuationLikelihood] = {}
        with progress(f"scoring with {_short(self.name)}", len(pairs)) as bar:
            for batch in likelihoods(self._model, groups):
                found |= batch
                bar.update(len(found))
        return [found[number] for number in range(len(pairs))]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        """As the contract says; of what was trained as an encoder, `mean` is its own way of pooling.

        Of a text that is longer than the model's context its first tokens are taken; each of the two copies that
        `echo` reads has half of the context at most, and nothing stands between them.

        Raises:
            UnsupportedError: an encoder is asked for another way than its own.
            UserInputError: a text has no tokens.
        """
        encoder = self.loaded.encoder
        if encoder is not None and pooling != "mean":
            raise UnsupportedError(f"{self.name} cannot pool by {pooling!r}", "use mean: it has one way, its own")
        if encoder is not None:
            pooling = encoder.pooling
        room = (self._context - 1) // (2 if pooling == "echo" else 1)
        encoded = [tokens[:room] for tokens in self._tokenizer.encode(texts)]
        if not all(encoded):
            raise UserInputError(
                f"text {encoded.index([]) + 1} of {len(texts)} is empty and has no vector", "leave it out"
            )
        copies = 2 if pooling == "echo" else 1
        rows = [[self._tokenizer.bos_id, *copies * tokens] for tokens in encoded]
        vectors_ND = np.empty((len(texts), self._model.config.hidden_size), dtype=np.float32)
        is_causal = encoder is None or encoder.attention == "causal"
        for batch, vectors_BD in vectors_of_rows(self._model, rows, pooling, is_causal=is_causal):
            vectors_ND[batch] = vectors_BD.float().cpu().numpy()
        return vectors_ND

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        """As the contract says; prompts of similar length are continued side by side."""
        self._require("generate")
        encoded = [[self._tokenizer.bos_id, *tokens] for tokens in self._tokenizer.encode(prompts)]
        longest = max(map(len, encoded), default=0)
        if longest >= self._context:
            raise UserInputError(f"a prompt has {longest} tokens, the model's context {self._context}", "shorten it")
        order = sorted(range(len(prompts)), key=lambda number: -len(encoded[number]))
        texts = [""] * len(prompts)
        with progress(f"continuing with {_short(self.name)}", len(prompts)) as bar:
            for start in range(0, len(prompts), PROMPTS_A_BATCH):
                batch = order[start : start + PROMPTS_A_BATCH]
                rows = [encoded[number] for number in batch]
                own_seed = int(np.random.default_rng([seed, start]).integers(2**63))
                for number, new in zip(
                    batch, self._continued(rows, max_new_tokens, temperature, own_seed), strict=True
                ):
                    texts[number] = self._continuation(encoded[number][1:], new)
                bar.update(start + len(batch))
        return texts

    def _require(self, ability: Ability) -> None:
        """Refuse what an encoder cannot do.

        Raises:
            UnsupportedError: it cannot.
        """
        if ability not in self.abilities:
            raise UnsupportedError(
                f"{self.name} is an encoder and cannot {ability}", "give the language model that it was made from"
            )

    def _continued(
        self, rows: Sequence[list[int]], max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[int]]:
        """The new tokens of each row; a row that has met its EOS is filled up with more of it."""
        eos = self._tokenizer.eos_id
        longest = max(map(len, rows))
        rooms = [self._context - len(row) for row in rows]
        device = self._model.device
        tokens_BT = torch.tensor([[eos] * (longest - len(row)) + row for row in rows], device=device)
        mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        sampling: dict[str, Any] = {"do_sample": False}
        if temperature >= LEAST_TEMPERATURE:
            sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        # transformers draws from torch's own generator, so its state is put back afterwards
        with quiet_libraries(), torch.random.fork_rng():
            torch.manual_seed(seed)
            output_BT = self._model.generate(
                tokens_BT,
                attention_mask=mask_BT,
                max_new_tokens=min(max_new_tokens, max(rooms)),
                bos_token_id=self._tokenizer.bos_id,
                eos_token_id=eos,
                pad_token_id=eos,
                **sampling,
            )
        # a longer prompt's room ends sooner; what the batch has given it beyond is left out
        return [new[:room] for new, room in zip(output_BT[:, longest:].tolist(), rooms, strict=True)]

    def _continuation(self, prompt: list[int], tokens: list[int]) -> str:
        """The text that `tokens` add to a prompt; decoded alone they would lose a space at their beginning."""
        before = self._tokenizer.decode(prompt)
        return self._tokenizer.decode([*prompt, *tokens]).removeprefix(before)

    def _windows(self, encoded: Sequence[list[int]]) -> tuple[list[int], list[list[int]]]:
        """Windows of texts, each led by the token before it (BOS at the beginning), and which text each belongs to."""
        owners, windows = [], []
        for owner, tokens in enumerate(encoded):
            row = [self._tokenizer.bos_id, *tokens]
            for start in range(0, len(tokens), self._window):
                owners.append(owner)
                windows.append(row[start : start + self._window + 1])
        return owners, windows

    def _nll_of_rows(self, rows: Sequence[list[int]]) -> list[float]:
        """The summed loss of each row's tokens after the first, in nats."""
        nll = [0.0] * len(rows)
        for batch, hidden_ND, targets_N in self._states_and_targets(rows):
            nll_N = token_nll(hidden_ND, self._model.lm_head.weight, targets_N).double()
            for number, nll_T in zip(
                batch, torch.split(nll_N, [len(rows[number]) - 1 for number in batch]), strict=True
            ):
                nll[number] = float(nll_T.sum())
        return nll

    def _states_and_targets(self, rows: Sequence[list[int]]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Numbers of rows, the states that predict their tokens after the first, and these tokens; shows progress."""
        inputs = [row[:-1] for row in rows]
        done = 0
        with progress(f"scoring with {_short(self.name)}", sum(map(len, inputs))) as bar:
            for batch, hidden_ND in states_of_rows(self._model, inputs):
                targets_N = torch.tensor(
                    [token for number in batch for token in rows[number][1:]], device=hidden_ND.device
                )
                yield batch, hidden_ND, targets_N
                done += len(targets_N)
                bar.update(done, f"{done:,} tokens")


def _joined(parts: Sequence[TokenPredictions]) -> TokenPredictions:
    """The predictions of a text from those of its windows, none if it has no tokens."""
    return TokenPredictions(
        np.concatenate([np.empty(0, np.float32), *(part.nll_T for part in parts)]),
        np.concatenate([np.empty(0, np.float32), *(part.top_probability_T for part in parts)]),
        np.concatenate([np.empty(0, bool), *(part.top_correct_T for part in parts)]),
    )


def _short(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1]
