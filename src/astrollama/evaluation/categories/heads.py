"""Trained heads on disk: `head.json`, `head.safetensors`, for a fine-tuned one a folder `adapter` in PEFT's layout, and for one that
reads words beside vectors `words.safetensors` and `words.txt`, one word a line in the order of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.errors import ModelError, RunError
from astrollama.evaluation.categories.logistic import Linear
from astrollama.evaluation.categories.probe import Probe
from astrollama.evaluation.categories.words import WordClassifier
from astrollama.files import atomic_path, read_json, sha256_file, write_json, write_text
from astrollama.models.folder import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_RECORD,
    BaseRecord,
    read_tensors,
    save_tensors,
)
from astrollama.provenance import versions
from astrollama.sections import LoraSection

if TYPE_CHECKING:
    from astrollama.evaluation.categories.lora_head import LoraHead

VERSION = 1
FOLDER = "heads"
RECORD = "head.json"
ADAPTER = "adapter"
PROBE, LORA = "probe", "lora"
WITH_WORDS = "words"
_WEIGHTS = "head.safetensors"
_WORD_WEIGHTS, _VOCABULARY = "words.safetensors", "words.txt"
_FIX = "make it again: astrollama evaluate MODEL --corpus CORPUS --out OUT --tasks categorisation"


@dataclass(frozen=True)
class Head:
    """A trained head and what is known of it.

    Attributes:
        base: the model whose vectors it takes, by name and digest.
        measured: `macro_f1`, its interval `macro_f1_ci95` and `num_test`, on held-out documents.
        training: how it was trained, and `num_train`.
        words: what is told by words as well, or None.
        share: the weight of the vectors beside words, 0 to 1.
    """

    labels: tuple[str, ...]
    base: BaseRecord
    classifier: Probe | LoraHead
    measured: dict[str, Any]
    training: dict[str, Any]
    words: WordClassifier | None = None
    share: float = 1.0


def save_head(folder: Path, head: Head) -> None:
    """Write a head, atomically, in the place of an earlier one; `head.json` has the hashes of the other files."""
    import torch

    folder.parent.mkdir(parents=True, exist_ok=True)
    lora = None if isinstance(head.classifier, Probe) else head.classifier
    probe = head.classifier if isinstance(head.classifier, Probe) else head.classifier.probe
    tensors = {
        "mean": probe.mean_D,
        "scale": probe.scale_D,
        "weights": probe.linear.weights_CD,
        "bias": probe.linear.bias_C,
    }
    with atomic_path(folder) as partial:
        partial.mkdir()
        save_tensors(partial / _WEIGHTS, {name: torch.from_numpy(values) for name, values in tensors.items()})
        if lora is not None:
            _save_adapter(partial / ADAPTER, lora, head.base)
        if head.words is not None:
            _save_words(partial, head.words)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        record = {
            "version": VERSION,
            "kind": PROBE if lora is None else LORA,
            "labels": list(head.labels),
            "base": head.base.to_json(),
            "max_tokens": None if lora is None else lora.max_tokens,
            "share": head.share,
            **head.measured,
            "training": head.training,
            "versions": versions(),
            "files": {str(path.relative_to(partial)): sha256_file(path) for path in files},
        }
        write_json(partial / RECORD, record)


def load_head(folder: Path) -> Head:
    """Read a head, whose files must be those that were written.

    Raises:
        ModelError: there is none, or it is damaged, or of another version.
    """
    record = read_record(folder)
    for name, digest in record["files"].items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise ModelError(f"{folder / name} is missing or damaged", _FIX)
    tensors = read_tensors(folder / _WEIGHTS)
    mean_D, scale_D, weights_CD, bias_C = (tensors[name].numpy() for name in ("mean", "scale", "weights", "bias"))
    probe = Probe(mean_D, scale_D, Linear(weights_CD, bias_C))
    return Head(
        labels=tuple(record["labels"]),
        base=BaseRecord(record["base"]["name"], record["base"]["digest"], None),
        classifier=probe if record["kind"] == PROBE else _load_adapter(folder / ADAPTER, probe, record["max_tokens"]),
        measured={name: record[name] for name in ("macro_f1", "macro_f1_ci95", "num_test")},
        training=record["training"],
        words=_load_words(folder) if _VOCABULARY in record["files"] else None,
        share=record.get("share", 1.0),
    )


def read_record(folder: Path) -> dict[str, Any]:
    """What `head.json` says.

    Raises:
        ModelError: there is none, or it is damaged, or of another version.
    """
    try:
        record = read_json(folder / RECORD)
    except RunError as error:
        raise ModelError(f"{folder} holds no head that can be read ({error.what})", _FIX) from error
    if record.get("version") != VERSION:
        raise ModelError(f"{folder} holds a head of version {record.get('version')}, not {VERSION}", _FIX)
    lacking = {"kind", "labels", "base", "max_tokens", "macro_f1", "macro_f1_ci95", "num_test", "training", "files"}
    lacking -= record.keys()
    if lacking:
        raise ModelError(f"{folder / RECORD} lacks {min(lacking)!r}", _FIX)
    return record


def _save_adapter(folder: Path, lora: LoraHead, base: BaseRecord) -> None:
    """Write the low-rank layers as an adapter that `load_model` reads too, where `base` is a whole language model."""
    from astrollama.models.adapters import peft_config

    folder.mkdir()
    config = peft_config(lora.lora)
    config.base_model_name_or_path = base.name
    config.save_pretrained(folder)
    save_tensors(folder / ADAPTER_WEIGHTS, lora.adapter)
    write_json(folder / BASE_RECORD, base.to_json())


def _load_adapter(folder: Path, probe: Probe, max_tokens: int) -> LoraHead:
    from astrollama.evaluation.categories.lora_head import LoraHead

    config = read_json(folder / ADAPTER_CONFIG)
    lora = LoraSection(rank=config["r"], alpha=config["lora_alpha"], targets=tuple(sorted(config["target_modules"])))
    return LoraHead(read_tensors(folder / ADAPTER_WEIGHTS), probe, max_tokens, lora)


def _save_words(folder: Path, words: WordClassifier) -> None:
    """In half precision: there are hundreds of thousands of them."""
    import torch

    tensors = {name: torch.from_numpy(values).half() for name, values in words.tensors.items()}
    save_tensors(folder / _WORD_WEIGHTS, tensors)
    write_text(folder / _VOCABULARY, "".join(f"{word}\n" for word in words.vocabulary))


def _load_words(folder: Path) -> WordClassifier:
    named = {name: tensor.double().numpy() for name, tensor in read_tensors(folder / _WORD_WEIGHTS).items()}
    return WordClassifier.restored((folder / _VOCABULARY).read_text(encoding="utf-8").split("\n")[:-1], named)
