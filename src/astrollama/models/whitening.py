"""Evening out the directions of an encoder's vectors, in whole or in part.

Of vectors x with mean m and covariance V diag(l) V^T

    y = (x - m) V diag(l^(-power / 2)) V^T

has a covariance of V diag(l^(1 - power)) V^T: at power 1 every direction varies alike (whitening; Su et al. 2021,
arXiv:2103.15316), at 0.5 the strong directions are still the stronger ones. As it is affine, it may be done to the states
before their mean is taken, and stands where a model has its final norm.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.errors import ModelError
from astrollama.models.folder import WHITENING, read_tensors, save_tensors

if TYPE_CHECKING:
    import torch

# Of the largest variance: what is less is noise, and is not made large.
_LEAST_VARIANCE = 1e-6


def whitening_of(vectors_ND: torch.Tensor, power: float) -> torch.nn.Linear:
    """What evens out the directions of these vectors, to one scale: the strongest keeps its length.

    Args:
        vectors_ND: vectors before they are brought to length 1, more than they have directions.
        power: from 0 to 1.
    """
    import torch

    double_ND = vectors_ND.double()
    variances_D, directions_DD = torch.linalg.eigh(torch.cov(double_ND.T))
    scales_D = (variances_D / variances_D[-1]).clamp(min=_LEAST_VARIANCE) ** (-power / 2)
    matrix_DD = directions_DD @ torch.diag(scales_D) @ directions_DD.T
    linear = torch.nn.Linear(*matrix_DD.shape)
    with torch.no_grad():
        linear.weight.copy_(matrix_DD)
        linear.bias.copy_(-double_ND.mean(dim=0) @ matrix_DD)
    return linear.requires_grad_(False)


def save_whitening(folder: Path, linear: torch.nn.Linear) -> None:
    """Write it beside an encoder's adapter."""
    save_tensors(folder / WHITENING, {"weight": linear.weight, "bias": linear.bias})


def add_whitening(model: Any, folder: Path) -> None:
    """Put what `folder` holds behind a model's last layer.

    Args:
        model: a `LlamaForCausalLM`.

    Raises:
        ModelError: the file is missing, damaged or of another width.
    """
    import torch

    tensors = read_tensors(folder / WHITENING)
    width = model.config.hidden_size
    linear = torch.nn.Linear(width, width)
    try:
        linear.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"{folder / WHITENING} does not fit the model's {width} dimensions", "fetch or save the encoder again"
        ) from error
    model.model.norm = torch.nn.Sequential(model.model.norm, linear.requires_grad_(False).to(model.device))
