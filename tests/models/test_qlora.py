import copy
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from astrollama.errors import ModelError, UserInputError
from astrollama.models.adapters import Trainable, make_trainable
from astrollama.models.load import load_model
from astrollama.models.quantize import LEVELS, Nf4Linear, dequantize, quantize, round_to_nf4
from astrollama.models.registry import show_model
from astrollama.sections import LoraSection

LORA = LoraSection(rank=4, alpha=8.0)
TOKENS = torch.arange(2, 30)[None]


@pytest.fixture(scope="module")
def bitsandbytes() -> ModuleType:
    module: ModuleType = pytest.importorskip("bitsandbytes", reason="needs the extra qlora")
    return module


@pytest.fixture(scope="module")
def trained(tiny_model: Path, bitsandbytes: ModuleType) -> Trainable:
    """A QLoRA adapter that was moved away from zero."""
    return _moved(make_trainable(load_model(str(tiny_model)), "qlora", LORA))


@pytest.fixture
def saved(trained: Trainable, tmp_path: Path) -> Path:
    trained.save(tmp_path / "adapter", trained.parameters())
    return tmp_path / "adapter"


@pytest.mark.parametrize("shape", [(64, 128), (3, 50), (7, 9), (1, 1)])
def test_each_value_becomes_the_nearest_level_of_its_block(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rounded = dequantize(*quantize(weight), shape).reshape(-1)
    for start in range(0, weight.numel(), 64):
        block = weight.reshape(-1)[start : start + 64]
        levels = torch.tensor(LEVELS) * block.abs().max()
        nearest = (block[:, None] - levels).abs().amin(-1)
        torch.testing.assert_close((block - rounded[start : start + 64]).abs(), nearest)


def test_a_block_of_zeros_stays_zero_and_rounding_twice_changes_nothing() -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    weight[1] = 0
    once = dequantize(*quantize(weight), (4, 64))
    assert torch.equal(once[1], torch.zeros(64))
    assert torch.equal(dequantize(*quantize(once), (4, 64)), once)


def test_the_four_bits_are_those_of_bitsandbytes(bitsandbytes: ModuleType) -> None:
    weight = torch.randn(96, 128, generator=torch.Generator().manual_seed(0)) * 0.02
    packed, state = bitsandbytes.functional.quantize_4bit(
        weight, blocksize=64, compress_statistics=False, quant_type="nf4"
    )
    own_packed, own_scale = quantize(weight)
    assert torch.equal(own_packed, packed)
    assert torch.equal(own_scale, state.absmax)
    assert torch.equal(
        dequantize(own_packed, own_scale, (96, 128)), bitsandbytes.functional.dequantize_4bit(packed, state)
    )


@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_in_four_bits_computes_with_the_rounded_weight(bitsandbytes: ModuleType, bias: bool) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 96, bias=bias)
    quantised = Nf4Linear(linear).eval()
    inputs = torch.randn(2, 5, 64, requires_grad=True)
    expected = torch.nn.functional.linear(inputs, quantised.weight, linear.bias)
    torch.testing.assert_close(quantised(inputs), expected)
    gradients = [torch.autograd.grad(output.square().sum(), inputs)[0] for output in (quantised(inputs), expected)]
    torch.testing.assert_close(*gradients)
    with torch.autocast("cpu", torch.bfloat16):
        assert quantised(inputs).dtype == torch.bfloat16


def test_qlora_is_lora_on_the_rounded_base(trained: Trainable, tiny_model: Path) -> None:
    base = load_model(str(tiny_model))
    round_to_nf4(base.model)
    plain = make_trainable(base, "lora", LORA)
    for name, parameter in plain.parameters().items():
        parameter.data.copy_(trained.parameters()[name])
    gradients = []
    for trainable in (trained, plain):
        logits = trainable.model(TOKENS).logits
        parameters = list(trainable.parameters().values())
        gradients.append((logits, *torch.autograd.grad(logits.square().mean(), parameters)))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_only_the_adapter_is_trained_and_the_layers_of_the_blocks_are_in_four_bits(
    tiny_model: Path, bitsandbytes: ModuleType
) -> None:
    trainable = make_trainable(load_model(str(tiny_model)), "qlora", LORA)
    plain = make_trainable(load_model(str(tiny_model)), "lora", LORA)
    assert {n: p.shape for n, p in trainable.parameters().items()} == {
        n: p.shape for n, p in plain.parameters().items()
    }
    assert {p.dtype for p in trainable.parameters().values()} == {torch.float32}
    layers = [module for module in trainable.model.modules() if isinstance(module, Nf4Linear)]
    assert len(layers) == 2 * 7
    assert not isinstance(trainable.model.lm_head, Nf4Linear)


def test_a_saved_adapter_is_loaded_on_the_very_weights_it_was_trained_on(trained: Trainable, saved: Path) -> None:
    loaded = load_model(str(saved))
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(TOKENS).logits, trained.model(TOKENS).logits)
    assert "bitsandbytes" not in {type(m).__module__.split(".")[0] for m in loaded.model.modules()}
    quantised = next(m for m in trained.model.modules() if isinstance(m, Nf4Linear))
    assert torch.equal(loaded.model.model.layers[0].self_attn.q_proj.base_layer.weight, quantised.weight)


def test_the_quantisation_is_recorded_and_part_of_the_digest(saved: Path, tiny_model: Path) -> None:
    record = json.loads((saved / "base.json").read_text())
    assert record["quantization"] == "nf4"
    assert record["digest"] == load_model(str(tiny_model)).digest
    digest = load_model(str(saved)).digest
    assert show_model(str(saved))["digest"] == digest
    del record["quantization"]
    (saved / "base.json").write_text(json.dumps(record))
    assert load_model(str(saved)).digest != digest


def test_an_unknown_quantisation_is_refused(saved: Path) -> None:
    record = json.loads((saved / "base.json").read_text())
    (saved / "base.json").write_text(json.dumps(record | {"quantization": "fp4"}))
    with pytest.raises(ModelError, match="a base with the quantisation 'fp4': only nf4 can be made again"):
        load_model(str(saved))


def test_without_bitsandbytes_the_extra_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    base = load_model(str(tiny_model))
    with pytest.raises(UserInputError, match=r"which is not installed: pip install 'astrollama\[qlora\]'"):
        make_trainable(base, "qlora", LORA)


def test_training_on_four_bits_lowers_the_loss(tiny_model: Path, bitsandbytes: ModuleType) -> None:
    torch.manual_seed(0)
    trainable = make_trainable(load_model(str(tiny_model)), "qlora", LORA)
    frozen = copy.deepcopy({name: b for name, b in trainable.model.named_buffers() if name.endswith("packed")})
    optimizer = torch.optim.AdamW(trainable.parameters().values(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = trainable.model(TOKENS, labels=TOKENS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(b, frozen[n]) for n, b in trainable.model.named_buffers() if n in frozen)


def _moved(trainable: Trainable) -> Trainable:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainable.parameters().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return trainable
