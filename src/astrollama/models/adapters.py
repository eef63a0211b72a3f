"""What of a model is trained: all of it, or a low-rank adapter on it (LoRA; Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from astrollama.errors import ModelError, RecipeError
from astrollama.models.load import LoadedModel, save_adapter
from astrollama.models.quiet import quiet_libraries
from astrollama.runs import atomic_path
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
        """The parameters that are trained, by name, in a fixed order."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load_model` reads, atomically."""
        ...


def make_trainable(loaded: LoadedModel, method: str, lora: LoraSection) -> Trainable:
    """Prepare a base for training by `method` (`full` or `lora`).

    The adapter's first matrix is drawn from torch's generator: seed it before.

    Raises:
        ModelError: the base is itself an adapter.
        RecipeError: `lora.targets` names a layer that the model does not have.
    """
    if loaded.base_digest is not None:
        raise ModelError(f"{loaded.name} is an adapter", "train from a whole model, such as the adapter's base")
    return _Full(loaded) if method == "full" else _Lora(loaded, lora)


class _Full:
    def __init__(self, loaded: LoadedModel) -> None:
        self.model = loaded.model
        self._tokenizer = loaded.tokenizer
        self.model.requires_grad_(True)

    def parameters(self) -> dict[str, Tensor]:
        return dict(self.model.named_parameters())

    def save(self, folder: Path) -> None:
        with quiet_libraries(), atomic_path(folder) as partial:
            self.model.save_pretrained(partial)
            self._tokenizer.tokenizer.save_pretrained(partial)


class _Lora:
    def __init__(self, loaded: LoadedModel, lora: LoraSection) -> None:
        import torch

        linears = {
            name.rsplit(".", 1)[-1] for name, m in loaded.model.model.named_modules() if isinstance(m, torch.nn.Linear)
        }
        unknown = sorted(set(lora.targets) - linears)
        if unknown:
            raise RecipeError(
                f"lora.targets names {unknown[0]!r}, which the model does not have",
                f"choose from {', '.join(sorted(linears))}",
            )
        with quiet_libraries():
            from peft import LoraConfig, get_peft_model

            config = LoraConfig(
                task_type="CAUSAL_LM",
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=list(lora.targets),
            )
            self._peft = get_peft_model(loaded.model, config)
        self._base_name, self._base_digest = loaded.name, loaded.digest
        self.model = self._peft.get_base_model()

    def parameters(self) -> dict[str, Tensor]:
        return {name: p for name, p in self._peft.named_parameters() if p.requires_grad}

    def save(self, folder: Path) -> None:
        with atomic_path(folder) as partial:
            save_adapter(self._peft, partial, self._base_name, self._base_digest)
