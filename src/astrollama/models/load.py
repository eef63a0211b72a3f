"""A model in memory with its tokenizer and the digest of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.errors import AstroLlamaError, ModelError, UserInputError
from astrollama.files import write_json
from astrollama.models.folder import (
    ADAPTER_WEIGHTS,
    BASE_RECORD,
    ENCODER_RECORD,
    BaseRecord,
    EncoderRecord,
    adapter_digest,
    read_base_record,
    read_encoder_record,
    weights_digest,
    write_weights,
)
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import ModelFolder, find_model, model_digest
from astrollama.models.whitening import add_whitening
from astrollama.sections import Device
from astrollama.tokens.tokenizer import DocumentTokenizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: a `LlamaForCausalLM`, with the layers of an adapter in it where there is one.
        digest: SHA-256 of the weights; for an adapter, of its weights, settings, base and the base's quantisation.
        base_digest: SHA-256 of the base's weights where this is an adapter, else None.
        encoder: how it makes vectors, where it was trained for that, else None.
    """

    name: str
    model: Any
    tokenizer: DocumentTokenizer
    digest: str
    base_name: str | None = None
    base_digest: str | None = None
    encoder: EncoderRecord | None = None


def load_model(spec: str, device: str = "cpu", base: str | None = None) -> LoadedModel:
    """Load a model, or an adapter on its base, in float32 and evaluation mode.

    An adapter that was trained on a base in 4 bits is put on what 4 bits left of the base's weights.

    Args:
        base: for an adapter, where its base is now, if not where it was in training; or the base of that, if it is one.

    Raises:
        ModelError: as `find_model`; a tensor is missing; or the base is not the one that the adapter was trained on.
    """
    found = find_model(spec)
    if found.kind == "adapter":
        return _load_adapter(found, device, base)
    digest = weights_digest(found.path)  # reads every file, so that a damaged one is told before anything is loaded
    tokenizer = load_tokenizer(found.path)
    model = _load_causal_lm(found.path, device)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ModelError(
            f"the tokenizer of {found.path} has {tokenizer.vocab_size} tokens, the model {model.config.vocab_size}",
            "give the tokenizer that belongs to the model",
        )
    return LoadedModel(found.name, model, tokenizer, digest)


def resolve_device(device: Device) -> str:
    """`cpu` or `cuda`, where `auto` takes the GPU if there is one.

    Raises:
        UserInputError: the GPU that is asked for is not there.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserInputError("the device is cuda, but torch sees no GPU", "set the device to cpu or auto")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def load_tokenizer(folder: Path) -> DocumentTokenizer:
    """The tokenizer of a model folder.

    Raises:
        ModelError: it is missing, damaged, or has no EOS.
    """
    with quiet_libraries():
        from transformers import AutoTokenizer

        try:
            return DocumentTokenizer.of(AutoTokenizer.from_pretrained(folder, trust_remote_code=False), str(folder))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"the tokenizer of {folder} cannot be loaded ({error})", "save it again with save_pretrained"
            ) from error


def save_model(
    folder: Path,
    config: Any,
    generation_config: Any,
    tokenizer: DocumentTokenizer,
    shapes: Mapping[str, Sequence[int]],
    tensor: Callable[[str], Tensor],
) -> None:
    """Write a model folder with float32 weights, of which `shapes` and `tensor` tell as for `write_weights`."""
    folder.mkdir()
    config.architectures = ["LlamaForCausalLM"]
    config.dtype = "float32"
    with quiet_libraries():
        config.save_pretrained(folder)
        generation_config.save_pretrained(folder)
        tokenizer.tokenizer.save_pretrained(folder)
    write_weights(folder, shapes, tensor)


def first_layers(loaded: LoadedModel, share: float, final_norm: bool = True) -> LoadedModel:
    """A model with the first layers alone, one at least, to be trained on; an adapter is folded into its base.

    Args:
        share: of the layers.
        final_norm: whether it keeps the norm behind them.

    Raises:
        ModelError: it is an encoder.
    """
    if loaded.encoder is not None:
        raise ModelError(f"{loaded.name} is an encoder", "train from the language model that it was made from")
    _fold(loaded.model)
    _cut(loaded.model, max(1, round(share * loaded.model.config.num_hidden_layers)), final_norm)
    return replace(loaded, base_name=None, base_digest=None)


def save_adapter(
    model: Any, folder: Path, weights: Mapping[str, Tensor], base: BaseRecord, encoder: EncoderRecord | None = None
) -> None:
    """Write a PEFT model's adapter with `weights`, by its parameters' names, and what it belongs to."""
    with quiet_libraries():
        model.save_pretrained(folder, state_dict=dict(weights), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    write_json(folder / BASE_RECORD, base.to_json())
    if encoder is not None:
        write_json(folder / ENCODER_RECORD, asdict(encoder))


def _load_adapter(found: ModelFolder, device: str, base: str | None) -> LoadedModel:
    record = read_base_record(found.path)
    moved = None
    if base is not None and _is_adapter(record.name) and model_digest(find_model(base)) != record.digest:
        base, moved = None, base  # it is not this adapter's base that has moved, but the one of its base
    try:
        on = load_model(base or record.name, device, moved)
    except ModelError as error:
        if base is not None:
            raise
        raise ModelError(
            f"the base of {found.name} cannot be loaded ({error.what})", "say with --base where it is now"
        ) from error
    if on.digest != record.digest:
        raise ModelError(
            f"the adapter {found.name} was trained on {record.name} ({record.digest[:12]}…), not on {on.name} ({on.digest[:12]}…)",
            "give the base that it was trained on",
        )
    digest, encoder = adapter_digest(found.path, record), read_encoder_record(found.path)
    if on.base_digest is not None:
        _fold(on.model)
    if encoder is not None:
        _cut(on.model, encoder.num_layers, encoder.final_norm)
    if record.quantization:
        from astrollama.models.quantize import round_to_nf4

        round_to_nf4(on.model)
    with quiet_libraries():
        from peft import PeftModel, get_peft_model_state_dict
        from safetensors import safe_open

        try:
            adapted = PeftModel.from_pretrained(on.model, found.path, is_trainable=False)
        except Exception as error:
            raise _unloadable(found.path, error) from error
        with safe_open(found.path / ADAPTER_WEIGHTS, framework="pt") as file:
            own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
            odd = sorted(own.keys() ^ set(file.keys()))
    if odd:
        raise ModelError(
            f"the tensors of {found.path} are not those of its settings ({odd[0]})", "save the adapter again"
        )
    model = adapted.get_base_model().eval()
    if encoder is not None:  # its layers are wanted by nobody, and cost time
        _fold(model)
        if encoder.whitened:
            add_whitening(model, found.path)
    return LoadedModel(found.name, model, on.tokenizer, digest, on.name, on.digest, encoder)


def _is_adapter(name: str) -> bool:
    """Whether a base is an adapter itself; one that is not to be found is none."""
    try:
        return find_model(name).kind == "adapter"
    except AstroLlamaError:
        return False


def _fold(model: Any) -> None:
    """Add an adapter's updates to the weights that they belong to, so that another can be put on top."""
    import torch

    with torch.no_grad():
        for name, module in list(model.named_modules()):
            if hasattr(module, "get_delta_weight"):
                layer = module.get_base_layer()
                layer.weight += module.get_delta_weight("default")
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, layer)
    model.__dict__.pop("peft_config", None)


def _cut(model: Any, num_layers: int, final_norm: bool) -> None:
    """Leave the first layers of a model, with the final norm or without."""
    model.model.layers = model.model.layers[:num_layers]
    model.config.num_hidden_layers = num_layers
    if not final_norm:
        import torch

        model.model.norm = torch.nn.Identity()


def _load_causal_lm(folder: Path, device: str) -> Any:
    with quiet_libraries():
        import torch
        from transformers import AutoModelForCausalLM

        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="sdpa",
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:
            raise _unloadable(folder, error) from error
    # transformers would draw what is missing at random and leave out what it does not know
    odd = [*sorted(info["missing_keys"]), *sorted(info["unexpected_keys"])]
    if odd:
        raise ModelError(
            f"the tensors of {folder} are not those of its config.json ({odd[0]})", "fetch or save the model again"
        )
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise ModelError(f"{folder} holds weights that are not finite", "fetch or save the model again")
    return model.to(device).eval()


def _unloadable(folder: Path, error: Exception) -> ModelError:
    reason = (
        "shapes that are not those of its settings" if "size" in str(error) and "mismatch" in str(error) else str(error)
    )
    return ModelError(f"{folder} cannot be loaded ({reason[:200]})", "fetch or save the model again")
