"""A fine-tuned head: low-rank layers in the model, and a linear one on the mean of its last hidden states, or on an encoder's vectors.

The linear layer begins as a probe, so that the model is not bent by a random one first (linear probing, then fine-tuning;
Kumar et al. 2022, arXiv:2202.10054).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from astrollama.backends.hf_rows import vectors_of_rows
from astrollama.console import progress
from astrollama.evaluation.categories.layers import low_rank_layers
from astrollama.evaluation.categories.logistic import Linear
from astrollama.evaluation.categories.probe import Probe
from astrollama.models.load import LoadedModel
from astrollama.sections import EMBEDDINGS, EvaluateSection, LoraSection

# Of the probe that it begins as: one that is held back less has no loss left on its few texts, and nothing is learnt.
START_STRENGTH = 1e-3
WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MAX_GRAD_NORM = 1.0
TEXTS_A_STEP = 8


@dataclass(frozen=True)
class LoraHead:
    """A trained head; it belongs to the model that it was trained on.

    Attributes:
        adapter: the low-rank layers' weights, by PEFT's names, on the CPU.
        probe: the linear layer.
        max_tokens: how many tokens of a text it reads, the first.
        lora: the shape of the low-rank layers.
    """

    adapter: Mapping[str, Tensor]
    probe: Probe
    max_tokens: int
    lora: LoraSection

    @torch.no_grad()
    def logits(self, loaded: LoadedModel, texts: Sequence[str]) -> np.ndarray:
        """Of shape (N, C). The model is as it was afterwards."""
        rows = _token_rows(loaded, texts, self.max_tokens)
        vectors_ND = np.empty((len(rows), loaded.model.config.hidden_size), dtype=np.float32)
        with low_rank_layers(loaded.model, self.lora, seed=0) as weights:
            for name, weight in weights.items():
                weight.copy_(self.adapter[name])
            for batch, pooled_BD in _pooled(loaded, rows):
                vectors_ND[batch] = pooled_BD.float().cpu().numpy()
        return self.probe.logits(vectors_ND)


def train_head(
    loaded: LoadedModel,
    texts: Sequence[str],
    targets_N: np.ndarray,
    probe: Probe,
    settings: EvaluateSection,
) -> LoraHead:
    """Train a head from a probe on for `head_epochs` epochs; the model is as it was afterwards.

    AdamW, linear warm-up and decay; `TEXTS_A_STEP` texts a step, in an order drawn anew for each epoch.
    """
    lora = _lora(settings)
    rows = _token_rows(loaded, texts, settings.head_length)
    device = loaded.model.device
    mean_D, scale_D, weights_CD, bias_C = (
        torch.tensor(values, dtype=torch.float32, device=device)
        for values in (probe.mean_D, probe.scale_D, probe.linear.weights_CD, probe.linear.bias_C)
    )
    generator = np.random.default_rng(settings.seed)
    steps = [
        order_N[start : start + TEXTS_A_STEP]
        for order_N in (generator.permutation(len(rows)) for _ in range(settings.head_epochs))
        for start in range(0, len(rows), TEXTS_A_STEP)
    ]
    with (
        low_rank_layers(loaded.model, lora, settings.seed) as adapter,
        progress("training a head for categories", len(steps)) as bar,
    ):
        trained = [*adapter.values(), weights_CD.requires_grad_(), bias_C.requires_grad_()]
        optimizer = torch.optim.AdamW(trained, lr=settings.head_lr, weight_decay=WEIGHT_DECAY)
        for step, numbers in enumerate(steps):
            optimizer.param_groups[0]["lr"] = settings.head_lr * _schedule(step, len(steps))
            loss = 0.0
            for batch, pooled_BD in _pooled(loaded, [rows[number] for number in numbers]):
                targets_B = torch.tensor(targets_N[numbers[batch]], device=device)
                logits_BC = (pooled_BD - mean_D) / scale_D @ weights_CD.T + bias_C
                share = cross_entropy(logits_BC, targets_B, reduction="sum") / len(numbers)
                share.backward()  # type: ignore[no-untyped-call]
                loss += float(share.detach())
            torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
            optimizer.step()
            optimizer.zero_grad()
            bar.update(step + 1, f"loss {loss:.3f}")
        weights = {name: weight.detach().cpu().clone() for name, weight in adapter.items()}
    linear = Linear(*(values.detach().double().cpu().numpy() for values in (weights_CD, bias_C)))
    return LoraHead(weights, Probe(probe.mean_D, probe.scale_D, linear), settings.head_length, lora)


def recipe(settings: EvaluateSection) -> dict[str, Any]:
    """How a head is trained, for its record."""
    lora = _lora(settings)
    return {
        "num_epochs": settings.head_epochs,
        "max_tokens": settings.head_length,
        "texts_a_step": TEXTS_A_STEP,
        "peak_lr": settings.head_lr,
        "warmup_share": WARMUP_SHARE,
        "weight_decay": WEIGHT_DECAY,
        "max_grad_norm": MAX_GRAD_NORM,
        "start_c": START_STRENGTH,
        "lora_rank": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_targets": list(lora.targets),
        "seed": settings.seed,
    }


def _lora(settings: EvaluateSection) -> LoraSection:
    blocks = LoraSection.model_fields["targets"].default
    targets = (*blocks, EMBEDDINGS) if settings.head_embeddings else blocks
    return LoraSection(rank=settings.head_rank, alpha=2.0 * settings.head_rank, targets=targets)


def _token_rows(loaded: LoadedModel, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """BOS and the first tokens of each text."""
    room = min(max_tokens, loaded.model.config.max_position_embeddings - 1)
    return [[loaded.tokenizer.bos_id, *tokens[:room]] for tokens in loaded.tokenizer.encode(texts)]


def _pooled(loaded: LoadedModel, rows: Sequence[list[int]]) -> Iterator[tuple[list[int], Tensor]]:
    """Numbers of rows, and their vectors, of shape (B, D), batch by batch: the mean without BOS's state, or an encoder's own."""
    encoder = loaded.encoder
    if encoder is None:
        return vectors_of_rows(loaded.model, rows)
    return vectors_of_rows(loaded.model, rows, encoder.pooling, is_causal=encoder.attention == "causal")


def _schedule(step: int, num_steps: int) -> float:
    """The share of the peak learning rate at a step."""
    warmup = max(1, round(WARMUP_SHARE * num_steps))
    return min((step + 1) / warmup, (num_steps - step) / max(1, num_steps - warmup))
