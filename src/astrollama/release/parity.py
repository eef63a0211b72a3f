"""Parity: is what was written the model that was trained? Tokens, logits, perplexity and completions, compared.

The source is asked once (`observe`), then each exported model in each engine, and `compare` judges. Two kinds of formats
are told apart. Those that keep the weights (float32, half precision) must give the same model: `EXACT` and `HALF`. Those that
round them on purpose (bfloat16, 8 and 4 bits, a low rank) have a cost, which is measured and told: `COST`; that they
were rounded rightly, `parity_tensors` checks value by value.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from astrollama.console import progress
from astrollama.evaluation.intervals import estimate
from astrollama.release.parity_engines import Completion, Engine
from astrollama.release.parity_probe import NEW_TOKENS, Probe

_LOGIT_ROWS = 8
_POSITIONS_A_ROW = 32
_NUM_RESAMPLES = 1000
_SEED = 0


@dataclass(frozen=True)
class Tolerance:
    """How far an exported model may be from its source.

    Attributes:
        logits: the greatest root mean square of the logits' differences, as a share of the logits' own spread (their
            standard deviation over the vocabulary); None where the difference is a cost.
        perplexity: the greatest relative difference; None where it is a cost.
    """

    logits: float | None
    perplexity: float | None


# The same float32 weights in another order of sums, as when an adapter's update is added to a weight instead of beside it.
EXACT = Tolerance(logits=1e-4, perplexity=1e-3)
# Half precision keeps 11 bits: each weight, and in llama.cpp each activation, is off by up to 2^-12 of itself on the mean.
# Over the 7 products of 80 blocks, as many as any LLaMA has, such errors add up like a random walk to 0.6 %, and both
# kinds together to 0.8 %. A mistake in one tensor moves logits by tens of percents.
HALF = Tolerance(logits=1e-2, perplexity=1e-3)
# With weights of 8 and 4 bits llama.cpp rounds activations to 8 bits, too. Through the 30 blocks of SmolLM2-135M that moves
# logits by 3 % of their spread and perplexity by 0.5 %; rotary embeddings without their scaling move them by 40 % in the tests.
ROUNDED_ACTIVATIONS = Tolerance(logits=0.1, perplexity=0.02)
COST = Tolerance(logits=None, perplexity=None)


@dataclass(frozen=True)
class Observation:
    """What an engine answered to a probe.

    Attributes:
        nll: of each row's tokens after the first, in nats.
        logits_NV: at up to `_POSITIONS_A_ROW` places of the first `_LOGIT_ROWS` rows.
    """

    engine: str
    tokens: list[list[int]]
    nll: list[np.ndarray]
    logits_NV: np.ndarray
    completions: list[Completion]
    seconds: float

    @property
    def perplexity(self) -> float:
        """The exponential of the summed negative log-likelihood over the number of predicted tokens."""
        return float(np.exp(sum(float(nll_T.sum()) for nll_T in self.nll) / sum(map(len, self.nll))))


def observe(engine: Engine, probe: Probe, name: str, *, completions: bool = True) -> Observation:
    """Ask an engine everything; shows progress under `name`."""
    started = time.monotonic()
    tokens = engine.encode(probe.texts)
    nll, kept = [], []
    with progress(f"scoring with {name}", sum(map(len, probe.rows))) as bar:
        done = 0
        for number, row in enumerate(probe.rows):
            logits_TV = engine.logits(row)
            nll.append(_nll(logits_TV[:-1], row[1:]))
            if number < _LOGIT_ROWS:
                kept.append(logits_TV[:: max(1, len(row) // _POSITIONS_A_ROW)][:_POSITIONS_A_ROW].copy())
            done += len(row)
            bar.update(done)
    continued = engine.continue_greedily(probe.prompts, NEW_TOKENS) if completions else []
    return Observation(engine.name, tokens, nll, np.concatenate(kept), continued, time.monotonic() - started)


def compare(source: Observation, exported: Observation, tolerance: Tolerance) -> tuple[dict[str, Any], list[str]]:
    """How an exported model differs from its source.

    Returns:
        The figures for the report, and what is wrong in a few words each; nothing if the exported model is accepted.
    """
    tokens, wrong = _compare_tokens(source.tokens, exported.tokens)
    logits, of_logits = _compare_logits(source.logits_NV, exported.logits_NV, tolerance.logits)
    perplexity, of_perplexity = _compare_perplexity(source, exported, tolerance.perplexity)
    figures = {
        "engine": exported.engine,
        "seconds": round(exported.seconds, 1),
        "tokens": tokens,
        "logits": logits,
        "perplexity": perplexity,
    }
    wrong += of_logits + of_perplexity
    if exported.completions:
        strict = tolerance.logits is not None
        greedy, of_greedy = _compare_completions(
            source.completions, exported.completions, logits["greatest_difference"], strict=strict
        )
        figures["greedy"] = greedy
        wrong += of_greedy
    return figures, wrong


def _compare_tokens(source: list[list[int]], exported: list[list[int]]) -> tuple[dict[str, Any], list[str]]:
    different = [number for number, (a, b) in enumerate(zip(source, exported, strict=True)) if a != b]
    figures = {"texts": len(source), "equal": len(source) - len(different)}
    if not different:
        return figures, []
    a, b = source[different[0]], exported[different[0]]
    place = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    there = [tokens[place] if place < len(tokens) else "the end" for tokens in (a, b)]
    where = f"text {different[0] + 1} at token {place + 1}: {there[0]}, now {there[1]}"
    return figures, [f"the tokens of {len(different)} of {len(source)} texts differ ({where})"]


def _compare_logits(
    source_NV: np.ndarray, exported_NV: np.ndarray, tolerance: float | None
) -> tuple[dict[str, Any], list[str]]:
    """Logits matter up to a constant, which softmax takes out; so do their differences."""
    if source_NV.shape != exported_NV.shape:
        return {"greatest_difference": np.inf}, [
            f"the logits have the shape {exported_NV.shape}, not {source_NV.shape}"
        ]
    centred_NV = source_NV - source_NV.mean(-1, keepdims=True)
    difference_NV = exported_NV - exported_NV.mean(-1, keepdims=True) - centred_NV
    spread = float(np.sqrt(np.mean(np.square(centred_NV, dtype=np.float64))))
    rms = float(np.sqrt(np.mean(np.square(difference_NV, dtype=np.float64))))
    figures = {
        "positions": len(source_NV),
        "greatest_difference": float(np.abs(difference_NV).max()),
        "rms_difference": rms,
        "spread": spread,
        "rms_share_of_spread": rms / spread,
        "tolerance": tolerance,
    }
    if not np.isfinite(rms):
        return figures, ["its logits are not finite"]
    if tolerance is not None and rms > tolerance * spread:
        return figures, [f"its logits are off by {rms / spread:.2%} of their spread, more than {tolerance:.2%}"]
    return figures, []


def _compare_perplexity(
    source: Observation, exported: Observation, tolerance: float | None
) -> tuple[dict[str, Any], list[str]]:
    """The ratio has a paired interval, from resampled texts."""
    sums_3N = np.array(
        [[a.sum(), b.sum(), len(a)] for a, b in zip(source.nll, exported.nll, strict=True)], dtype=np.float64
    ).T
    ratio = estimate(lambda sums_3: np.exp((sums_3[1] - sums_3[0]) / sums_3[2]), sums_3N, _NUM_RESAMPLES, _SEED)
    figures = {
        "texts": len(source.nll),
        "tokens": int(sums_3N[2].sum()),
        "source": source.perplexity,
        "exported": exported.perplexity,
        "ratio": ratio.value,
        "ratio_ci95": ratio.ci95,
        "tolerance": tolerance,
    }
    if tolerance is not None and not abs(ratio.value - 1) <= tolerance:
        return figures, [f"its perplexity is {exported.perplexity:.4f}, the source's {source.perplexity:.4f}"]
    return figures, []


def _compare_completions(
    source: Sequence[Completion], exported: Sequence[Completion], error: float, *, strict: bool
) -> tuple[dict[str, Any], list[str]]:
    """Greedy continuations are equal, or part where the two likeliest tokens are a tie within rounding.

    Two logits, each off by `error` at most, change places only if they lay within twice of it.
    """
    differences, wrong = [], []
    for number, (a, b) in enumerate(zip(source, exported, strict=True), start=1):
        step = next((n for n, (x, y) in enumerate(zip(a.tokens, b.tokens, strict=True)) if x != y), None)
        if step is None:
            continue
        tie = b.tokens[step] == a.runners_up[step] and a.margins[step] <= 2 * error
        differences.append(
            {
                "prompt": number,
                "new_token": step + 1,
                "source": a.tokens[step],
                "exported": b.tokens[step],
                "margin": a.margins[step],
                "tie": tie,
            }
        )
        if strict and not tie:
            wrong.append(
                f"its completion of prompt {number} parts from the source's at token {step + 1}, where the margin is {a.margins[step]:.4f}"
            )
    figures = {
        "prompts": len(source),
        "new_tokens": NEW_TOKENS,
        "equal": len(source) - len(differences),
        "greatest_margin_of_a_tie": 2 * error,
        "differences": differences,
    }
    return figures, wrong


def _nll(logits_TV: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    logits = torch.from_numpy(logits_TV)
    chosen_T = logits.gather(-1, torch.tensor(list(targets))[:, None]).squeeze(-1)
    nll_T: np.ndarray = (logits.logsumexp(-1) - chosen_T).double().numpy()
    return nll_T
