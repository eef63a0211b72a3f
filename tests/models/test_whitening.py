"""Whitening against its equation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from astrollama.errors import ModelError
from astrollama.models.load import load_model
from astrollama.models.whitening import add_whitening, save_whitening, whitening_of

WIDTH = 6


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    """Far from the origin, and along one oblique direction a hundred times as far from each other as along another."""
    torch.manual_seed(0)
    rotation_DD, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH))
    return torch.randn(4000, WIDTH) * torch.logspace(0, -2, WIDTH) @ rotation_DD + 3


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_variances_become_what_the_equation_says(vectors: torch.Tensor, power: float) -> None:
    linear = whitening_of(vectors, power)
    before_D = torch.linalg.eigvalsh(torch.cov(vectors.T))
    after_DD = torch.cov(linear(vectors).T)
    largest = before_D[-1]
    torch.testing.assert_close(
        torch.linalg.eigvalsh(after_DD), largest * (before_D / largest) ** (1 - power), rtol=2e-3, atol=1e-5
    )
    torch.testing.assert_close(linear(vectors).mean(dim=0), torch.zeros(WIDTH), rtol=0, atol=1e-3)


def test_directions_stay_where_they_are(vectors: torch.Tensor) -> None:
    """The map is symmetric: no rotation, so that signs of singular vectors decide nothing."""
    weight_DD = whitening_of(vectors, 0.5).weight
    torch.testing.assert_close(weight_DD, weight_DD.T)


def test_a_direction_without_variance_is_not_blown_up() -> None:
    flat_ND = torch.randn(100, 3) * torch.tensor([1.0, 0.5, 0.0])
    assert whitening_of(flat_ND, 1.0)(flat_ND).abs().max() < 100
    assert torch.isfinite(whitening_of(flat_ND, 1.0).weight).all()


def test_the_mean_of_states_is_whitened_with_them(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(str(tiny_model)).model
    tokens = torch.arange(2, 40)[None]
    with torch.no_grad():
        before_ND = model.model(tokens).last_hidden_state[0]
        linear = whitening_of(torch.randn(200, model.config.hidden_size), 0.7)
        save_whitening(tmp_path, linear)
        add_whitening(model, tmp_path)
        after_ND = model.model(tokens).last_hidden_state[0]
        torch.testing.assert_close(after_ND.mean(dim=0), linear(before_ND.mean(dim=0)), rtol=1e-4, atol=1e-5)


def test_a_file_of_another_width_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    save_file({"weight": torch.eye(3), "bias": torch.zeros(3)}, tmp_path / "whitening.safetensors")
    with pytest.raises(ModelError, match=r"whitening\.safetensors does not fit the model's 64 dimensions"):
        add_whitening(load_model(str(tiny_model)).model, tmp_path)
