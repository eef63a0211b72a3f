import pytest
import torch
from torch.nn.functional import cross_entropy

from astrollama.models import loss
from astrollama.models.loss import summed_nll, token_nll


@pytest.mark.parametrize("num_tokens", [1, 7, 16, 50])
def test_loss_and_gradients_equal_the_plain_computation(num_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_TOKENS", 16)
    generator = torch.Generator().manual_seed(num_tokens)
    hidden = torch.randn(num_tokens, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(40, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(40, (num_tokens,), generator=generator)

    expected = cross_entropy(hidden @ head.T, targets, reduction="sum")
    expected_gradients = torch.autograd.grad(expected / 3, (hidden, head))
    value = summed_nll(hidden, head, targets)
    gradients = torch.autograd.grad(value / 3, (hidden, head))

    # the logits are taken to float32 before the softmax, whatever the weights are
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=0)
    for own, plain in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(token_nll(hidden, head, targets).sum().double(), expected, rtol=1e-6, atol=0)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden = torch.randn(5, 8, requires_grad=True)
    head = torch.randn(20, 8)
    summed_nll(hidden, head, torch.randint(20, (5,))).backward()
    assert hidden.grad is not None
    assert head.grad is None


def test_bfloat16_hidden_states_train_a_float32_head() -> None:
    hidden = torch.randn(9, 8).bfloat16().requires_grad_()
    head = torch.randn(20, 8, requires_grad=True)
    targets = torch.randint(20, (9,))
    value = summed_nll(hidden, head, targets)
    value.backward()
    expected = cross_entropy(hidden.float() @ head.T, targets, reduction="sum")
    assert head.grad is not None
    assert head.grad.dtype == torch.float32
    assert abs(value.item() - expected.item()) < 0.02 * expected.item()


def test_no_positions_give_no_loss() -> None:
    assert token_nll(torch.zeros(0, 4), torch.zeros(9, 4), torch.zeros(0, dtype=torch.int64)).shape == (0,)
