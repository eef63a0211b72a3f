"""A model whose weights stand in another order, for checks that a harness sees the difference."""

from __future__ import annotations

import shutil
from pathlib import Path


def shuffled_copy(source: Path, folder: Path, seed: int) -> Path:
    """Copy a model folder with the entries of each weight matrix permuted within it; vectors (norms) stay as they are.

    Every matrix keeps its size, mean and spread, so that only what the weights know is lost.
    """
    import torch

    from astrollama.models.folder import open_weights, tensor_shapes, weight_files, write_weights

    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json"))
    tensors = {name: open_weights(file) for file in weight_files(source) for name in open_weights(file).keys()}  # noqa: SIM118
    generator = torch.Generator().manual_seed(seed)

    def permuted(name: str) -> torch.Tensor:
        tensor = tensors[name].get_tensor(name).float()
        if tensor.ndim < 2:
            return tensor
        order = torch.randperm(tensor.numel(), generator=generator)
        return tensor.flatten()[order].reshape(tensor.shape)

    write_weights(folder, tensor_shapes(source), permuted)
    return folder
