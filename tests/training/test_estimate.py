"""Estimates beside what torch counts and keeps on small real models, and beside figures worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from astrollama.models.architectures import count_parameters, find_config
from astrollama.models.attention import Documents, attend_within_documents
from astrollama.models.forward import hidden_states
from astrollama.models.loss import summed_nll
from astrollama.models.quiet import quiet_libraries
from astrollama.recipe import Recipe, load_recipe
from astrollama.training import estimate
from astrollama.training.hardware import Figure, Hardware

LENGTH, NUM_DOCUMENTS = 64, 4
TOKENS = LENGTH * NUM_DOCUMENTS
VOCABULARY = 512


def small_config(num_layers: int = 2, *, tied: bool = False) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=num_layers,
        num_attention_heads=6,
        num_key_value_heads=3,
        tie_word_embeddings=tied,
    )


def recipe(*settings: str) -> Recipe:
    sizes = [
        "train.micro_batch_size=1",
        f"pack.sequence_length={TOKENS}",
        f"train.global_batch_tokens={4 * TOKENS}",
        "lora.rank=4",
    ]
    return load_recipe("smollm2-135m-cpu", [*sizes, *settings])


def build(config: Any, settings: Recipe) -> Any:
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    if settings.train.method == "lora":
        with quiet_libraries():
            from peft import LoraConfig, get_peft_model

            lora = LoraConfig(task_type="CAUSAL_LM", r=settings.lora.rank, target_modules=list(settings.lora.targets))
            model = get_peft_model(model, lora).get_base_model()
    attend_within_documents(model)
    return model


def forward(model: Any) -> torch.Tensor:
    offsets = torch.arange(0, TOKENS + 1, LENGTH, dtype=torch.int32)
    documents = Documents((LENGTH,) * NUM_DOCUMENTS, offsets, LENGTH)
    return hidden_states(
        model, torch.randint(0, VOCABULARY, (TOKENS,)), torch.arange(LENGTH).repeat(NUM_DOCUMENTS), documents
    )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_operations_are_those_that_torch_counts(method: str, tied: bool) -> None:
    config, settings = small_config(tied=tied), recipe(f"train.method={method}")
    model = build(config, settings)
    targets = torch.randint(0, VOCABULARY, (TOKENS,))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        summed_nll(forward(model), model.lm_head.weight, targets).backward()  # type: ignore[no-untyped-call]
    # torch's plain attention multiplies the upper triangle, too: each token sees the whole document
    expected = estimate.flops_a_token(config, settings, LENGTH)
    assert expected.recomputed == 0
    counted = counter.get_total_flops() / TOKENS
    if method == "full":
        # torch does not count the product that is added in place to the head's gradient
        assert counted + 2 * VOCABULARY * config.hidden_size == expected.model
    else:
        # the first block's queries, keys and values need no gradient of their input
        unneeded = 96 * (96 + 48 + 48) + settings.lora.rank * 3 * 96
        assert counted + 2 * unneeded == expected.model


def test_operations_of_llama_2_7b_are_six_and_four_a_parameter() -> None:
    config = find_config("meta-llama/Llama-2-7b-hf")
    looked_up = config.vocab_size * config.hidden_size
    matrices = count_parameters(config) - looked_up
    full = estimate.flops_a_token(config, recipe(), 0)
    assert full.model == pytest.approx(6 * matrices, rel=1e-4)  # norms are no matrices
    lora = estimate.flops_a_token(config, recipe("train.method=lora", "lora.rank=16"), 0)
    assert lora.model == pytest.approx(4 * matrices + 6 * 39_976_960, rel=1e-4)
    encoder = estimate.flops_a_token(
        config, recipe("train.method=lora", "lora.rank=16", "train.objective=contrastive"), 0
    )
    assert lora.model - encoder.model == 4 * looked_up, "an encoder has no head"
    again = estimate.flops_a_token(config, recipe("train.activation_checkpointing=true"), 0)
    assert again.recomputed == pytest.approx(2 * (matrices - looked_up), rel=1e-4)
    # 32 layers of 32 heads of 128: 12 x 131,072 for each token that is seen
    seen = estimate.flops_a_token(config, recipe(), 100)
    assert seen.model - full.model == 12 * 131_072 * 100


def test_the_mean_context_is_that_of_every_token() -> None:
    def by_hand(lengths: list[int], most: int) -> float:
        seen = [position % most + 1 for length in lengths for position in range(length)]
        return sum(seen) / len(seen)

    lengths = [1, 7, 64, 65, 200]
    assert estimate.mean_context(lengths, 64, "document") == pytest.approx(by_hand(lengths, 64))
    assert estimate.mean_context(lengths, 512, "document") == pytest.approx(by_hand(lengths, 512))
    assert estimate.mean_context(lengths, 64, "packed") == 32.5


@pytest.mark.parametrize(
    "settings",
    [
        ["train.method=full"],
        ["train.method=lora"],
        ["train.method=lora", 'lora.targets=["q_proj", "v_proj"]'],
        ["train.method=full", "train.precision=bfloat16"],
        ["train.method=lora", "train.precision=bfloat16"],
        ["train.method=full", "train.activation_checkpointing=true"],
    ],
    ids=" ".join,
)
def test_a_block_keeps_the_activations_that_are_estimated(settings: list[str]) -> None:
    chosen = recipe(*settings)
    kept = [saved_bytes(build(small_config(layers), chosen), chosen) for layers in (1, 3)]
    parts = [estimate.memory_by_part(small_config(layers), chosen, "cpu", 1) for layers in (1, 3)]
    estimated = [part["activations"] + part.get("copies", 0) for part in parts]
    assert estimated[1] - estimated[0] == pytest.approx(kept[1] - kept[0], rel=0.03)


def saved_bytes(model: Any, settings: Recipe) -> int:
    """Bytes that autograd keeps for the backward pass besides the parameters."""
    if settings.train.activation_checkpointing:
        with quiet_libraries():
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    owned = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in owned:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    bfloat16 = settings.train.precision == "bfloat16"
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=bfloat16),
    ):
        forward(model)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_memory_of_llama_2_7b_by_hand() -> None:
    config, gigabyte = find_config("meta-llama/Llama-2-7b-hf"), 1e9
    parts = estimate.memory_by_part(config, recipe("train.ema_decay=0.99"), "cuda", 1)
    for name, size in {"weights": 26.95, "gradients": 26.95, "moments": 53.91, "average": 26.95}.items():
        assert parts[name] / gigabyte == pytest.approx(size, abs=0.01)
    assert "libraries" not in parts
    shared = estimate.memory_by_part(config, recipe("train.ema_decay=0.99"), "cuda", 4)
    for name in ("weights", "gradients", "moments", "average"):
        assert shared[name] == parts[name] / 4
    assert shared["activations"] == parts["activations"]
    # two blocks and the rest gathered, and gradients of a block and the rest
    block, rest = 202_383_360, 262_148_096
    assert shared["copies"] == 4 * (2 * block + rest) + 4 * (block + rest)

    lora = estimate.memory_by_part(config, recipe("train.method=lora", "lora.rank=16"), "cuda", 1)
    assert lora["weights"] - parts["weights"] == 4 * 39_976_960
    assert lora["moments"] == 8 * 39_976_960
    qlora = estimate.memory_by_part(config, recipe("train.method=qlora", "lora.rank=16"), "cuda", 1)
    assert qlora["weights"] == 32 * 202_375_168 * 4.5 / 8 + 4 * (2 * 131_072_000 + 65 * 4096) + 4 * 39_976_960


def test_disk_holds_two_checkpoints_and_the_model() -> None:
    config = small_config()
    trained = count_parameters(config)
    assert estimate.disk_bytes(config, recipe()) == 4 * trained * (2 * 3 + 1)
    assert estimate.disk_bytes(config, recipe("train.ema_decay=0.9")) == 4 * trained * (2 * 4 + 1)
    assert estimate.disk_bytes(config, recipe("train.method=lora")) < estimate.disk_bytes(config, recipe()) / 10


def test_time_is_work_over_rate_or_traffic_over_bandwidth() -> None:
    config, settings = small_config(), recipe()
    fast_memory = machine(rate=1e12, bandwidth=1e15)
    assert estimate.seconds_a_step(config, settings, fast_memory, 1, 4e11, 0.5) == pytest.approx(0.8)
    assert estimate.seconds_a_step(config, settings, fast_memory, 4, 4e11, 0.5) == pytest.approx(0.2)
    # four micro-batches on three devices: the second round has one
    assert estimate.seconds_a_step(config, settings, fast_memory, 3, 4e11, 0.5) == pytest.approx(0.4)
    slow_memory = machine(rate=1e12, bandwidth=1e6)
    read, updated = 4 * 2 * 4 * count_parameters(config), 28 * count_parameters(config)
    assert estimate.seconds_a_step(config, settings, slow_memory, 1, 4e3, 0.5) == pytest.approx((read + updated) / 1e6)


def machine(rate: float, bandwidth: float) -> Hardware:
    return Hardware(
        "a machine",
        "cuda",
        Figure(1e9, "datasheet"),
        {"float32": Figure(rate, "datasheet")},
        Figure(bandwidth, "datasheet"),
    )
