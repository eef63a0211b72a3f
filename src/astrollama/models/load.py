"""A model in memory with its tokenizer and the digest of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.errors import ModelError
from astrollama.models.folder import weights_digest
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import ModelFolder, find_model
from astrollama.runs import read_json, write_json
from astrollama.tokens.tokenizer import DocumentTokenizer

BASE_RECORD = "base.json"


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: a `LlamaForCausalLM`, with the layers of an adapter in it where there is one.
        digest: SHA-256 of the weights; for an adapter, of the adapter's.
        base_digest: SHA-256 of the base's weights where this is an adapter, else None.
    """

    name: str
    model: Any
    tokenizer: DocumentTokenizer
    digest: str
    base_name: str | None = None
    base_digest: str | None = None


def load_model(spec: str, device: str = "cpu", base: str | None = None) -> LoadedModel:
    """Load a model, or an adapter on its base, in float32 and evaluation mode.

    Args:
        base: for an adapter, the base to put it on instead of the one that it names.

    Raises:
        ModelError: as `find_model`; or the base is not the one that the adapter was trained on.
    """
    found = find_model(spec)
    if found.kind == "adapter":
        return _load_adapter(found, device, base)
    digest = weights_digest(found.path)  # reads every file, so that a damaged one is told before anything is loaded
    return LoadedModel(found.name, _load_causal_lm(found.path, device), load_tokenizer(found.path), digest)


def load_tokenizer(folder: Path) -> DocumentTokenizer:
    """The tokenizer of a model folder.

    Raises:
        ModelError: it is missing, damaged, or has no EOS.
    """
    with quiet_libraries():
        from transformers import AutoTokenizer

        try:
            return DocumentTokenizer.of(AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"the tokenizer of {folder} cannot be loaded ({error})", "save it again with save_pretrained"
            ) from error


def save_adapter(model: Any, folder: Path, base_name: str, base_digest: str) -> None:
    """Write a PEFT model's adapter, with the name and the digest of the base that it belongs to."""
    with quiet_libraries():
        model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    write_json(folder / BASE_RECORD, {"name": base_name, "digest": base_digest})


def _load_adapter(found: ModelFolder, device: str, base: str | None) -> LoadedModel:
    record = read_json(found.path / BASE_RECORD) if (found.path / BASE_RECORD).is_file() else None
    if record is None:
        raise ModelError(
            f"{found.path} does not say which base its adapter belongs to",
            f"only adapters with a {BASE_RECORD} are loaded",
        )
    on = load_model(base or record["name"], device)
    if on.digest != record["digest"]:
        raise ModelError(
            f"the adapter {found.name} was trained on {record['name']} ({record['digest'][:12]}…), not on {on.name} ({on.digest[:12]}…)",
            "give the base that it was trained on",
        )
    digest = weights_digest(found.path)
    with quiet_libraries():
        from peft import PeftModel

        model = PeftModel.from_pretrained(on.model, found.path, is_trainable=False).get_base_model()
    model.eval()
    return LoadedModel(found.name, model, on.tokenizer, digest, on.name, on.digest)


def _load_causal_lm(folder: Path, device: str) -> Any:
    with quiet_libraries():
        import torch
        from transformers import AutoModelForCausalLM

        try:
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{folder} cannot be loaded ({error})", "fetch or save the model again") from error
    return model.to(device).eval()
