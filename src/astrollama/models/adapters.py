"""What of a model is trained: all of it, or a low-rank adapter on it.

LoRA (Hu et al. 2021, arXiv:2106.09685) on the base as it is, QLoRA (Dettmers et al. 2023, arXiv:2305.14314) on the base
with the linear layers of its blocks in 4 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from astrollama.errors import ModelError
from astrollama.files import atomic_path
from astrollama.models.architectures import require_targets
from astrollama.models.folder import NF4, BaseRecord, EncoderRecord
from astrollama.models.load import LoadedModel, save_adapter, save_model
from astrollama.models.quiet import quiet_libraries
from astrollama.sections import LoraSection

if TYPE_CHECKING:
    from torch import Tensor


class Trainable(Protocol):
    """A model made ready for training.

    Attributes:
        model: the `LlamaForCausalLM` to run, with the adapter's layers in it where there is one.
    """

    model: Any

    def parameters(self) -> dict[str, Tensor]:
        """The parameters that are trained, by name, in a fixed order; looked up anew, as sharding replaces them."""
        ...

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write what `load_model` reads, atomically.

        Args:
            weights: whole float32 tensors on the CPU for all `parameters()`, by the same names: these are written,
                whatever the model holds.
        """
        ...


def make_trainable(
    loaded: LoadedModel, method: str, lora: LoraSection, encoder: EncoderRecord | None = None
) -> Trainable:
    """Prepare a base for training by `method` (`full`, `lora` or `qlora`).

    Args:
        encoder: how the model makes vectors, where it is trained for that; it is saved with the adapter.

    The adapter's first matrix is drawn from torch's generator: seed it before.

    Raises:
        ModelError: the base is itself an adapter.
        RecipeError: `lora.targets` names a layer that the model does not have.
        UserInputError: bitsandbytes, which `qlora` needs, is not installed.
    """
    if loaded.base_digest is not None:
        raise ModelError(f"{loaded.name} is an adapter", "train from a whole model, such as the adapter's base")
    if method == "full":
        return _Full(loaded)
    return _Lora(loaded, lora, NF4 if method == "qlora" else None, encoder)


class _Full:
    def __init__(self, loaded: LoadedModel) -> None:
        self.model = loaded.model
        self._tokenizer = loaded.tokenizer
        self.model.requires_grad_(True)

    def parameters(self) -> dict[str, Tensor]:
        return dict(self.model.named_parameters())

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        with atomic_path(folder) as partial:
            save_model(
                partial, self.model.config, self.model.generation_config, self._tokenizer, shapes, weights.__getitem__
            )


class _Lora:
    def __init__(
        self, loaded: LoadedModel, lora: LoraSection, quantization: str | None, encoder: EncoderRecord | None
    ) -> None:
        require_targets(loaded.model.config, lora.targets)
        if quantization is not None:
            from astrollama.models.quantize import quantize_model

            quantize_model(loaded.model)
        with quiet_libraries():
            from peft import get_peft_model

            self._peft = get_peft_model(loaded.model, peft_config(lora))
        calm_embeddings(self._peft)
        self._base = BaseRecord(loaded.name, loaded.digest, quantization)
        self._encoder = encoder
        self.model = self._peft.get_base_model()

    def parameters(self) -> dict[str, Tensor]:
        return {name: p for name, p in self._peft.named_parameters() if p.requires_grad}

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        with atomic_path(folder) as partial:
            save_adapter(self._peft, partial, weights, self._base, self._encoder)


def peft_config(lora: LoraSection) -> Any:
    """PEFT's description of low-rank layers."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        use_rslora=lora.rslora,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
    )


def calm_embeddings(model: Any, adapter: str = "default") -> None:
    """Let an embedding's update by a new adapter begin with directions of length 1 or so.

    PEFT draws them from N(0, 1): D of them are sqrt(D) long, and the learning rate of the other layers moves an embedding
    by more than its own length in a few steps.
    """
    for name, parameter in model.named_parameters():
        if f"lora_embedding_B.{adapter}" in name:
            parameter.data /= math.sqrt(len(parameter))  # (D, rank)
