from pathlib import Path

import pytest
import torch

from astrollama.models.load import load_model
from astrollama.models.norm import rms_norm, use_lean_norms


@pytest.mark.parametrize("shape", [(1, 7, 16), (3, 16)], ids=str)
def test_value_and_gradients_are_those_of_the_definition(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(shape, generator=generator).requires_grad_()
    weight = torch.randn(16, generator=generator).requires_grad_()
    expected = weight * hidden / (hidden.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    value = rms_norm(hidden, weight, 1e-5)
    torch.testing.assert_close(value, expected)
    outer = torch.randn(shape, generator=generator)
    plain, own = (torch.autograd.grad(result, (hidden, weight), outer) for result in (expected, value))
    torch.testing.assert_close(own, plain)


def test_a_model_with_lean_norms_computes_the_same_in_either_precision(tiny_model: Path) -> None:
    tokens_BT = torch.arange(5, 45)[None]
    model = load_model(str(tiny_model)).model
    before = {dtype: model.to(dtype)(tokens_BT).logits for dtype in (torch.bfloat16, torch.float32)}
    names = list(model.state_dict())
    use_lean_norms(model)
    assert any("Lean" in type(module).__name__ for module in model.modules())
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model(tokens_BT).logits, before[torch.float32])
    torch.testing.assert_close(model.to(torch.bfloat16)(tokens_BT).logits, before[torch.bfloat16], rtol=0, atol=0)
