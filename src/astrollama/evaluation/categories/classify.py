"""Texts put into categories by a trained head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrollama.console import progress
from astrollama.corpus.clean import repair_texts
from astrollama.errors import ModelError, UserInputError
from astrollama.evaluation.categories.heads import FOLDER, RECORD, Head, read_record
from astrollama.evaluation.categories.labels import plain_name
from astrollama.evaluation.categories.logistic import fused, softmax
from astrollama.evaluation.categories.probe import Probe
from astrollama.files import TEMPORARY_PREFIX
from astrollama.models.shipped import SHIPPED_HEAD

if TYPE_CHECKING:
    from astrollama.backends.base import Encoder

TEXTS_AT_ONCE = 256
_MAKE = "make one: astrollama evaluate MODEL --corpus CORPUS --out runs/evaluation --tasks categorisation"


@dataclass(frozen=True)
class Suggestion:
    """A category for a text; `name` is what arXiv calls it."""

    category: str
    name: str
    probability: float


def find_head(path: Path | None) -> Path:
    """The folder of a head.

    Args:
        path: a head's folder, or any folder above heads, such as that of an evaluation. Of these the one is taken whose
            macro-F1 is highest by the lower end of its interval: few test documents make no head good. One without an
            interval comes after all others. None takes the one that comes along.

    Raises:
        UserInputError: there is none, or no such folder.
        ModelError: one of them is damaged.
    """
    if path is None:
        return SHIPPED_HEAD
    if not path.is_dir():
        raise UserInputError(f"there is no folder {path}", f"give a head's or an evaluation's, or {_MAKE}")
    if (path / RECORD).is_file():
        return path
    found = sorted(
        record.parent
        for record in path.glob(f"**/{FOLDER}/*/{RECORD}")
        if not any(part.startswith(TEMPORARY_PREFIX) for part in record.relative_to(path).parts)
    )
    if not found:
        raise UserInputError(f"{path} holds no trained head", f"give another folder, or {_MAKE}")
    return max(found, key=_worth)


def _worth(folder: Path) -> tuple[float, float]:
    """The lower end of a head's macro-F1, and macro-F1 itself."""
    record = read_record(folder)
    interval = record["macro_f1_ci95"]
    return interval[0] if interval else -math.inf, record["macro_f1"]


def classify(
    head: Head,
    texts: Sequence[str],
    top: int,
    *,
    model: str | None = None,
    base: str | None = None,
    encoder: Encoder | None = None,
) -> list[list[Suggestion]]:
    """The `top` likeliest categories of each text, repaired as those of a corpus are, the likeliest first.

    Args:
        model: where the head's model is now, if not where it was in training.
        base: where the base of that is now, if it has moved.
        encoder: the head's model itself, where it is loaded already.

    Raises:
        ModelError, NetworkError: as `load_head_encoder`.
        UserInputError: a text is empty.
    """
    probabilities_NC = softmax(_logits(head, repair_texts(texts), encoder or load_head_encoder(head, model, base)))
    order_NC = np.argsort(-probabilities_NC, axis=-1, kind="stable")[:, :top]
    return [
        [Suggestion(head.labels[i], plain_name(head.labels[i]), float(probabilities_C[i])) for i in order_C]
        for probabilities_C, order_C in zip(probabilities_NC, order_NC, strict=True)
    ]


def load_head_encoder(head: Head, model: str | None = None, base: str | None = None) -> Encoder:
    """The model that a head was trained on.

    Args:
        model: where it is now, if not where it was in training.
        base: where the base of that is now, if it has moved.

    Raises:
        ModelError: the model cannot be had, or is not the one that the head was trained on.
        NetworkError: the model has to be fetched and cannot.
    """
    from astrollama.backends import minilm
    from astrollama.backends.encoders import load_encoder

    if model in (minilm.KEY, minilm.NAME) and head.base.digest != minilm.DIGEST:  # known before it is fetched
        raise _other_model(head, minilm.NAME, minilm.DIGEST)
    try:
        encoder = load_encoder(model or head.base.name, base)
    except ModelError as error:
        if model is not None or base is not None:
            raise
        what = f"the model that the head was trained on cannot be loaded ({error.what})"
        raise ModelError(what, "say with --model where it is now, or with --base where its base is") from error
    if encoder.digest != head.base.digest:
        raise _other_model(head, encoder.name, encoder.digest or "")
    return encoder


def _logits(head: Head, texts: Sequence[str], encoder: Any) -> np.ndarray:
    logits = []
    with progress("classifying", len(texts), shown=len(texts) > TEXTS_AT_ONCE) as bar:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            if isinstance(head.classifier, Probe):
                own_NC = head.classifier.logits(encoder.embed(part))
            else:
                own_NC = head.classifier.logits(encoder.loaded, part)
            logits.append(own_NC if head.words is None else fused(own_NC, head.words.logits(part), head.share))
            bar.update(start + len(part))
    return np.concatenate(logits)


def _other_model(head: Head, name: str, digest: str) -> ModelError:
    return ModelError(
        f"the head was trained on {head.base.name} ({head.base.digest[:12]}…), not on {name} ({digest[:12]}…)",
        "give the model that it was trained on with --model",
    )
