"""What the shipped model does, shown in a minute before anything is trained."""

from __future__ import annotations

import textwrap

from astrollama.console import say

PROMPT = "We present spectroscopy of a Type Ia supernova, taken three days after the explosion. The early spectra show"
_INDENT = "     "


def show_shipped_model(base: str) -> None:
    """A completion and the category of a text by the shipped model; nothing where its base is another than `base`.

    Raises:
        ModelError, NetworkError: its base cannot be had.
    """
    from astrollama.backends.hf import HFLanguageModel
    from astrollama.evaluation.categories.classify import classify, find_head
    from astrollama.evaluation.categories.heads import load_head
    from astrollama.models.folder import read_base_record
    from astrollama.models.load import load_model, resolve_device
    from astrollama.models.shipped import LANGUAGE_MODEL, SHIPPED_MODELS

    if read_base_record(SHIPPED_MODELS[LANGUAGE_MODEL].folder).name != base:
        return
    say(f"{_INDENT}what {LANGUAGE_MODEL}, the model of this package, makes of a beginning:")
    backend = HFLanguageModel(load_model(LANGUAGE_MODEL, resolve_device("auto")))
    (continuation,) = backend.generate([PROMPT], max_new_tokens=60, temperature=0.3, seed=0)
    _say_wrapped(f"{PROMPT} […]{continuation}")
    ((best, *_),) = classify(load_head(find_head(None)), [PROMPT], 1, encoder=backend)
    say(f"{_INDENT}its category: {best.category}, {best.name} ({best.probability:.0%})")


def _say_wrapped(text: str) -> None:
    say(textwrap.fill(text, width=100, initial_indent=f"{_INDENT}  ", subsequent_indent=f"{_INDENT}  "))
