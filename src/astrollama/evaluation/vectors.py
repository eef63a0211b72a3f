"""Vectors of texts on disk: several tasks embed the same abstracts, and an hour's work survives a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrollama.backends.base import Encoder
from astrollama.console import progress
from astrollama.errors import ModelError
from astrollama.evaluation.store import Rows, Store, key_of
from astrollama.models.pooling import Pooling

# Texts that are embedded before they are written: what a crash loses at most. An encoder that asks several at the same time
# says with an attribute `texts_at_once` how many it takes.
TEXTS_AT_ONCE = 64


class VectorCache:
    """The vectors of one system, in one SQLite file.

    Args:
        identity: what decides the vectors, such as the digest of the weights: others under the same path are not taken.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._store = Store(path, "vectors", {"vector": "BLOB"})
        self._identity = identity

    def embed(self, encoder: Encoder, texts: Sequence[str], pooling: Pooling) -> np.ndarray:
        """As `Encoder.embed`, which is asked only for the texts that are not here yet.

        Raises:
            RunError: the file is damaged, or cannot be read or written.
            ModelError: a vector has values that are not finite.
        """
        keys = [key_of(self._identity, pooling, text) for text in texts]
        with self._store.opened() as rows:
            missing = {key: text for key, text in zip(keys, texts, strict=True) if rows.get(key) is None}
            _add(rows, encoder, missing, pooling)
            return self._stacked([row[0] for key in keys if (row := rows.get(key)) is not None])

    def _stacked(self, blobs: Sequence[Any]) -> np.ndarray:
        if not blobs:
            return np.empty((0, 0), np.float32)
        try:
            return np.stack([np.frombuffer(blob, dtype=np.float32) for blob in blobs])
        except (TypeError, ValueError) as error:
            raise self._store.damaged("a vector of another length") from error


def _add(rows: Rows, encoder: Encoder, missing: dict[bytes, str], pooling: Pooling) -> None:
    items = list(missing.items())
    size = getattr(encoder, "texts_at_once", TEXTS_AT_ONCE)
    with progress(f"embedding with {encoder.name}", len(items)) as bar:
        for start in range(0, len(items), size):
            part = items[start : start + size]
            vectors_ND = encoder.embed([text for _, text in part], pooling=pooling).astype(np.float32)
            if not np.isfinite(vectors_ND).all():
                raise ModelError(
                    f"{encoder.name} gives vectors with values that are not finite",
                    "its weights are damaged, or its numbers too narrow: try another device or model",
                )
            rows.add((key, vector_D.tobytes()) for (key, _), vector_D in zip(part, vectors_ND, strict=True))
            bar.update(start + len(part))
