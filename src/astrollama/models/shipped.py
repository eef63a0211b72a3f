"""Models that come with the package itself: adapters, small enough for it, on a base of `packaged` or on one another.

A folder of `shipped/` holds what `astrollama export --format adapter` wrote, without its manifest; that of the encoder also `head/`,
a head of `astrollama evaluate --tasks categorisation`, and `sample.parquet`, the vectors of the built-in sample by `astrollama
embed`. docs/experiments.md tells how they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LANGUAGE_MODEL = "astrosmol-135m"
ENCODER = "astrosmol-135m-encoder"
SAMPLE_VECTORS = "sample.parquet"
_FOLDER = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class ShippedModel:
    """An adapter within the package; its base is fetched when it is needed."""

    name: str
    description: str
    licence: str

    @property
    def folder(self) -> Path:
        """The adapter in PEFT's layout, with the list of the documents that it was trained on."""
        return _FOLDER / self.name


_MODELS = (
    ShippedModel(LANGUAGE_MODEL, "SmolLM2-135M trained further on abstracts of astro-ph", "Apache-2.0"),
    ShippedModel(ENCODER, "an encoder of astronomy papers, made from astrosmol-135m", "Apache-2.0"),
)
SHIPPED_MODELS = {model.name: model for model in _MODELS}
SHIPPED_HEAD = SHIPPED_MODELS[ENCODER].folder / "head"
