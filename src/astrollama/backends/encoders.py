"""Whatever turns texts into vectors, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astrollama.backends.base import Encoder


def load_encoder(name: str, base: str | None = None) -> Encoder:
    """The model of a name as an encoder: `minilm`, or what `find_model` takes, a language model too.

    Args:
        base: for an adapter, where its base is now, if it has moved.

    Raises:
        ModelError, NetworkError: it cannot be had.
    """
    from astrollama.backends import hf, minilm
    from astrollama.models.load import load_model, resolve_device

    device = resolve_device("auto")
    if name in (minilm.KEY, minilm.NAME):
        return minilm.load_minilm(device)
    return hf.HFLanguageModel(load_model(name, device, base))
