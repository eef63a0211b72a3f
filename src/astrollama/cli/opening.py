"""What the shipped models do, shown in a minute before anything is trained."""

from __future__ import annotations

import textwrap

from astrollama.console import say

PROMPT = "We present spectroscopy of a Type Ia supernova, taken three days after the explosion. The early spectra show"
NUM_NEIGHBOURS = 3
_INDENT = "     "


def show_shipped_models(base: str) -> None:
    """A completion, a category and the nearest papers of the sample by the shipped models; nothing on another base than `base`.

    Raises:
        ModelError, NetworkError: their base cannot be had.
    """
    from astrollama.backends.encoders import load_encoder
    from astrollama.backends.hf import HFLanguageModel
    from astrollama.evaluation.categories.classify import classify, find_head
    from astrollama.evaluation.categories.heads import load_head
    from astrollama.models.folder import read_base_record
    from astrollama.models.load import load_model, resolve_device
    from astrollama.models.shipped import ENCODER, LANGUAGE_MODEL, SAMPLE_VECTORS, SHIPPED_MODELS
    from astrollama.search.nearest import nearest

    if read_base_record(SHIPPED_MODELS[LANGUAGE_MODEL].folder).name != base:
        return
    say(f"{_INDENT}what {LANGUAGE_MODEL}, the model of this package, makes of a beginning:")
    backend = HFLanguageModel(load_model(LANGUAGE_MODEL, resolve_device("auto")))
    (continuation,) = backend.generate([PROMPT], max_new_tokens=60, temperature=0.3, seed=0)
    _say_wrapped(f"{PROMPT} […]{continuation}")
    del backend  # two models at the same time would want twice the memory
    encoder = load_encoder(ENCODER)
    ((best, *_),) = classify(load_head(find_head(None)), [PROMPT], 1, encoder=encoder)
    say(f"{_INDENT}its category: {best.category}, {best.name} ({best.probability:.0%})")
    say(f"{_INDENT}nearest to it among the sample's papers, by {ENCODER} (cosine, title):")
    for near in nearest(SHIPPED_MODELS[ENCODER].folder / SAMPLE_VECTORS, encoder, PROMPT, NUM_NEIGHBOURS):
        say(f"{_INDENT}  {near.cosine:.2f}  {near.title}")


def _say_wrapped(text: str) -> None:
    say(textwrap.fill(text, width=100, initial_indent=f"{_INDENT}  ", subsequent_indent=f"{_INDENT}  "))
