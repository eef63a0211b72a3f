"""Low-rank layers that are put on a model for a while, on top of an adapter where it has one.

`models.adapters` makes a base ready for training for good. Here the model is one that others go on using: it comes back
as it was, weight by weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Parameter

from astrollama.models.adapters import calm_embeddings, peft_config
from astrollama.models.quiet import quiet_libraries
from astrollama.sections import LoraSection

_NAME = "categories"


@contextmanager
def low_rank_layers(model: Any, lora: LoraSection, seed: int) -> Iterator[dict[str, Parameter]]:
    """Low-rank layers (Hu et al. 2021, arXiv:2106.09685) in the block, which alone are trainable; none of them after it.

    Args:
        model: a `LlamaForCausalLM`.
        seed: of the first matrices; the second are zero, so that the layers change nothing yet.

    Yields:
        Their weights, by the names that PEFT gives them in an adapter's file.
    """
    with quiet_libraries():
        from peft import inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

    was_trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    active = {name: list(m.active_adapters) for name, m in model.named_modules() if isinstance(m, LoraLayer)}
    config_before = model.__dict__.pop("peft_config", None)
    try:
        with quiet_libraries(), torch.random.fork_rng():
            torch.manual_seed(seed)
            inject_adapter_in_model(peft_config(lora), model, adapter_name=_NAME)
            calm_embeddings(model, _NAME)
        for name, module in model.named_modules():
            if isinstance(module, LoraLayer):
                module.set_adapter([*active.get(name, []), _NAME])
        weights = {}
        for name, parameter in model.named_parameters():
            parts = name.split(".")
            own = _NAME in parts  # at the end of an embedding's, within another layer's
            parameter.requires_grad_(own)
            if own:
                weights[".".join(["base_model.model", *(part for part in parts if part != _NAME)])] = parameter
        yield weights
    finally:
        for name, module in list(model.named_modules()):
            if not isinstance(module, LoraLayer):
                continue
            if name in active:
                module.set_adapter(active[name])
                module.delete_adapter(_NAME)
            else:
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, module.get_base_layer())
        model.__dict__.pop("peft_config", None)
        if config_before is not None:
            model.peft_config = config_before
        for parameter, trainable in was_trainable:
            parameter.requires_grad_(trainable)
