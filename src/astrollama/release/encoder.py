"""An encoder as an adapter: it predicts no tokens any more, so its vectors are compared, made as its record says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from astrollama.backends.hf import HFLanguageModel
from astrollama.models.load import load_model
from astrollama.models.registry import ModelFolder
from astrollama.release.adapter import compare_adapters, copy_adapter
from astrollama.release.parity_engines import SourceEngine
from astrollama.release.parity_probe import Texts

# As many as SmolLM2-135M embeds in half a minute on two cores; the tokens of all texts are compared.
NUM_VECTORS = 64
# Least cosine of a vector with the source's. Rounding to half precision moves logits by 1 % of their spread at most (`parity`);
# an angle of so many radians has the cosine 1 - 5e-5. What bfloat16 moves is a cost, and is told.
LEAST_COSINES = {"float32": 1 - 1e-6, "float16": 1 - 5e-5, "bfloat16": None}


def write_encoder(
    found: ModelFolder, base: str | None, texts: Texts, dtype: str, work: Path
) -> tuple[dict[str, Any], list[str]]:
    """Write an encoder's adapter into the existing folder `work` and compare it with its source.

    Args:
        base: where its base is now, if not where it was in training.

    Returns:
        The checks for the report, and what is wrong.
    """
    copy_adapter(found.path, work, dtype)
    tensors, wrong = compare_adapters(found.path, work, dtype)
    source_tokens, source_ND, _ = _observe(found.name, base, texts)
    started = time.monotonic()
    tokens, vectors_ND, engine = _observe(str(work), base, texts)
    equal = sum(a == b for a, b in zip(source_tokens, tokens, strict=True))
    cosines_N = (source_ND * vectors_ND).sum(-1)
    least = LEAST_COSINES[dtype]
    if equal < len(tokens):
        wrong.append(f"the tokens of {len(tokens) - equal} of {len(tokens)} texts differ")
    if not np.isfinite(cosines_N).all():
        wrong.append("its vectors are not finite")
    elif least is not None and cosines_N.min() < least:
        wrong.append(f"a vector has the cosine {cosines_N.min():.6f} with the source's, less than {least:.6f}")
    figures = {
        "engine": engine,
        "seconds": round(time.monotonic() - started, 1),
        "tokens": {"texts": len(tokens), "equal": equal},
        "vectors": {"texts": len(cosines_N), "least_cosine": float(cosines_N.min()), "tolerance": least},
    }
    return {"adapter": {"tensors": tensors, "transformers": figures}}, wrong


def _observe(model: str, base: str | None, texts: Texts) -> tuple[list[list[int]], np.ndarray, str]:
    """The tokens of all texts, the first vectors at length 1, and what computed them."""
    loaded = load_model(model, base=base)
    engine = SourceEngine(loaded)
    vectors_ND = HFLanguageModel(loaded).embed(texts.texts[:NUM_VECTORS]).astype(np.float64)
    return engine.encode(texts.texts), vectors_ND / np.linalg.norm(vectors_ND, axis=-1, keepdims=True), engine.name
