"""Speed, memory and numerics of training on a GPU: `python benchmarks/train_gpu.py [--device cpu --small]`.

SmolLM2-135M and LLaMA-2-7B in their true dimensions with random weights, made on the device; random documents of 102 to
512 tokens, packed, no document sees another. Each case is a process of its own that takes the engine's own steps:
`accumulate_gradients`, `clip_gradients`, `State.step`. The share of the ceiling (MFU) counts what the model needs, not what
activation checkpointing does twice, over bfloat16 matrix products of 8,192 x 8,192 measured in the same process. The cases
`numerics` compare the loss in bfloat16 and attention by the GPU's kernel with float32, documents one by one on the CPU.

No case begins after `--seconds`. With `--small` the dimensions are tiny, and any machine will do. Exit code 1 where a
case failed or the numbers disagree; a bar that was missed is in the table only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _training import passive_threads, table

if TYPE_CHECKING:
    import numpy as np

    from astrollama.tokens.mixture import Mixture, Row

SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MODELS = {"135m": "smollm2-135m", "7b": "meta-llama/Llama-2-7b-hf"}
WARM_STEPS, STEPS = 2, 4
# Of the loss in bfloat16, which has 8 bits of mantissa, and of attention's outputs, relative to the largest.
LOSS_TOLERANCE, ATTENTION_TOLERANCE = 2e-3, 2e-2


@dataclass(frozen=True)
class Case:
    """What is measured; `bar` is the MFU that is asked for, 0 for none."""

    model: str
    method: str
    sequence_length: int = 2048
    micro_batch_size: int = 1
    micro_batches: int = 8
    activation_checkpointing: bool = False
    compile: bool = False
    bar: float = 0.0


CASES = {
    "numerics-135m": Case("135m", "full"),
    "numerics-7b": Case("7b", "full"),
    "135m-full": Case("135m", "full", micro_batch_size=16, micro_batches=2),
    "135m-full-compiled": Case("135m", "full", micro_batch_size=16, micro_batches=2, compile=True, bar=0.4),
    "135m-lora-compiled": Case("135m", "lora", micro_batch_size=16, micro_batches=2, compile=True),
    "7b-full": Case("7b", "full", micro_batches=16),
    "7b-full-compiled": Case("7b", "full", micro_batches=16, compile=True, bar=0.5),
    "7b-full-checkpointing": Case("7b", "full", micro_batch_size=4, micro_batches=4, activation_checkpointing=True),
    "7b-lora": Case("7b", "lora", micro_batch_size=2),
    "7b-lora-compiled": Case("7b", "lora", micro_batch_size=2, compile=True, bar=0.5),
    "7b-qlora": Case("7b", "qlora", micro_batch_size=2),
}
CPU_CASES = ["numerics-135m", "135m-full", "7b-full-checkpointing", "7b-lora", "7b-qlora"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny dimensions, short sequences")
    parser.add_argument("--cases", nargs="+", choices=CASES, help="default: all, on a CPU the uncompiled ones")
    parser.add_argument("--seconds", type=float, default=480.0, help="after which no case begins")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)  # this process measures one
    options = parser.parse_args()
    passive_threads()
    if options.case:
        print(json.dumps(measure(options.case, options.device, small=options.small)))
        return
    started = time.monotonic()
    results: dict[str, dict[str, Any]] = {}
    for name in options.cases or (CPU_CASES if options.device == "cpu" else list(CASES)):
        if time.monotonic() - started > options.seconds:
            results[name] = {"left out": f"{options.seconds:.0f} s were over"}
            continue
        results[name] = in_own_process(name, options)
        print(f"{name}: {json.dumps(results[name])}", file=sys.stderr)
    print(json.dumps({"cases": results, "seconds": round(time.monotonic() - started), **surroundings()}, indent=2))
    for kind in ("MFU", "loss float32"):
        rows = [{"case": name, **result} for name, result in results.items() if kind in result]
        print(table(rows) if rows else f"no case with {kind}", end="\n\n")
    sys.exit(any("failed" in result or result.get("agrees") is False for result in results.values()))


def in_own_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), "--case", name, "--device", options.device]
    done = subprocess.run([*command, *(["--small"] if options.small else [])], capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1][:300]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(name: str, device: str, *, small: bool) -> dict[str, Any]:
    from astrollama.recipe import load_recipe

    case = CASES[name]
    length = 128 if small else case.sequence_length
    micro_batch_size = min(case.micro_batch_size, 2) if small else case.micro_batch_size
    precision = "bfloat16" if device == "cuda" else "float32"
    settings = [
        f"train.device={device}",
        f"train.method={case.method}",
        f"train.precision={precision}",
        f"train.micro_batch_size={micro_batch_size}",
        f"train.global_batch_tokens={length * micro_batch_size * case.micro_batches}",
        f"train.activation_checkpointing={json.dumps(case.activation_checkpointing)}",
        f"train.compile={json.dumps(case.compile)}",
        f"pack.sequence_length={length}",
    ]
    recipe = load_recipe("smollm2-135m-cpu", settings)
    config = make_config(case.model, small=small)
    if name.startswith("numerics"):
        return numerics(config, recipe, device)
    return speed(config, recipe, device, case.bar)


def make_config(model: str, *, small: bool) -> Any:
    from transformers import LlamaConfig

    from astrollama.models.architectures import find_config

    return LlamaConfig(**SMALL) if small else find_config(MODELS[model])


def make_model(config: Any, device: str) -> Any:
    """A LLaMA with random weights, drawn where it is used: 7B in float32 are 27 GB."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        return LlamaForCausalLM(config)


def speed(config: Any, recipe: Any, device: str, bar: float) -> dict[str, Any]:
    """Tokens a second, MFU and memory of the engine's steps."""
    import torch

    from astrollama.models.adapters import make_trainable
    from astrollama.models.load import LoadedModel
    from astrollama.models.parallel import Parallel
    from astrollama.training.estimate import flops_a_token, memory_by_part
    from astrollama.training.hardware import matrix_product_rate
    from astrollama.training.metrics import peak_memory_bytes
    from astrollama.training.state import State
    from astrollama.training.step import NllModule, accumulate_gradients, clip_gradients

    train = recipe.train
    rate = matrix_product_rate(device, train.precision)
    ranks = Parallel(0, 1, device)
    # nothing is saved here, so that it needs no tokenizer
    loaded = LoadedModel("random", make_model(config, device), tokenizer=None, digest="")  # type: ignore[arg-type]
    trainable = make_trainable(loaded, train.method, recipe.lora)
    module = NllModule(trainable.model, recipe, ranks)
    state = State.begin(trainable.parameters(), recipe)
    module.train()
    mixture, steps = make_steps(config, recipe, WARM_STEPS + STEPS)

    losses, num_tokens, lengths = [], 0, []
    for number, rows in enumerate(steps):
        if number == WARM_STEPS:
            synchronize(device)
            started = time.perf_counter()
        nll, count = accumulate_gradients(module, mixture, rows, number, recipe, ranks)
        clip_gradients(list(state.parameters.values()), train.max_grad_norm)
        state.step(train.peak_lr, train.ema_decay)
        losses.append(nll / count)
        if number >= WARM_STEPS:
            num_tokens += count
            lengths += mixture.lengths(rows)
    synchronize(device)
    seconds = time.perf_counter() - started

    context = sum(length * (length + 1) / 2 for length in lengths) / sum(lengths)
    flops = flops_a_token(config, recipe, context).model * num_tokens
    mfu = flops / seconds / rate
    estimated = sum(memory_by_part(config, recipe, "cuda" if device == "cuda" else "cpu", 1).values())
    return {
        "parameters": sum(p.numel() for p in make_meta(config).parameters()),
        "trained": sum(p.numel() for p in state.parameters.values()),
        "tokens/s": round(num_tokens / seconds, 1),
        "step seconds": round(seconds / STEPS, 3),
        "TFLOP/s": round(flops / seconds / 1e12, 3),
        "ceiling TFLOP/s": round(rate / 1e12, 3),
        "MFU": round(mfu, 3),
        "bar": bar or "",
        "peak GiB": round(peak_memory_bytes(device) / 2**30, 2),
        "estimated GiB": round(estimated / 2**30, 2),
        "first loss": round(losses[0], 4),
        "last loss": round(losses[-1], 4),
        "torch": torch.__version__,
    }


def numerics(config: Any, recipe: Any, device: str) -> dict[str, Any]:
    """The mean loss of a batch by three ways, and attention by two, each beside the float32 one."""
    import torch

    from astrollama.models.parallel import Parallel
    from astrollama.training.step import NllModule

    model = make_model(config, device)
    mixture, [rows] = make_steps(config, recipe, 1)
    batch = mixture.batch(rows[:1])
    losses = {}
    with torch.no_grad():
        for precision in ("float32", "bfloat16"):
            own = recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": precision})})
            module = NllModule(model, own, Parallel(0, 1, device))
            losses[precision] = float(module.nll(batch, device)) / len(batch.tokens_N)
        model.set_attn_implementation("sdpa")
        losses["reference"] = documents_alone(model, batch, device)
    # relative to float32, documents alone, through transformers
    errors = {name: abs(loss / losses["reference"] - 1) for name, loss in losses.items()}
    attention = attention_error(config, batch.lengths, device)
    return {
        "tokens": len(batch.tokens_N),
        "documents": len(batch.lengths),
        "loss reference": round(losses["reference"], 5),
        "loss float32": round(losses["float32"], 5),
        "loss bfloat16": round(losses["bfloat16"], 5),
        "error float32": f"{errors['float32']:.1e}",
        "error bfloat16": f"{errors['bfloat16']:.1e}",
        "error of attention": f"{attention:.1e}",
        "agrees": errors["float32"] < 1e-5 and errors["bfloat16"] < LOSS_TOLERANCE and attention < ATTENTION_TOLERANCE,
    }


def documents_alone(model: Any, batch: Any, device: str) -> float:
    """The mean loss of a batch's documents, each in a forward pass of its own."""
    import torch

    total = 0.0
    tokens_N, targets_N = (torch.from_numpy(array).to(device) for array in (batch.tokens_N, batch.targets_N))
    for tokens, targets in zip(tokens_N.split(batch.lengths), targets_N.split(batch.lengths), strict=True):
        logits_TV = model(tokens[None]).logits[0].float()
        total += float(torch.nn.functional.cross_entropy(logits_TV, targets, reduction="sum"))
    return total / len(tokens_N)


def attention_error(config: Any, lengths: tuple[int, ...], device: str) -> float:
    """The largest difference between attention as training does it on `device` and in float32 on the CPU, over the largest value."""
    from itertools import accumulate

    import torch

    from astrollama.models.attention import Documents, _document_attention

    draw = torch.Generator().manual_seed(0)
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    shapes = [(1, count, sum(lengths), config.head_dim) for count in (heads, groups, groups)]
    parts = [torch.randn(shape, generator=draw).bfloat16() for shape in shapes]
    offsets = torch.tensor(list(accumulate(lengths, initial=0)), dtype=torch.int32)
    outputs = []
    for place, dtype in ((device, torch.bfloat16), ("cpu", torch.float32)):
        documents = Documents(lengths, offsets.to(place), max(lengths))
        own = [part.to(place, dtype) for part in parts]
        output, _ = _document_attention(None, *own, None, documents=documents, scaling=config.head_dim**-0.5)
        outputs.append(output.cpu().float())
    return float((outputs[0] - outputs[1]).abs().max() / outputs[1].abs().max())


@dataclass(frozen=True)
class RandomDocuments:
    """Stands in for `TokenShards`: documents of random tokens, each with a seed of its own."""

    lengths_N: np.ndarray
    vocab_size: int

    @property
    def ids(self) -> list[str]:
        return [f"random:{index}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.lengths_N)

    def tokens(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        import numpy as np

        tokens_T = np.random.default_rng(index).integers(0, self.vocab_size, self.lengths_N[index], dtype=np.int64)
        return tokens_T[start:stop]


def make_steps(config: Any, recipe: Any, num_steps: int) -> tuple[Mixture, list[list[Row]]]:
    """Random documents, and the sequences of so many steps."""
    import numpy as np

    from astrollama.tokens.mixture import Mixture, Row
    from astrollama.tokens.packing import Packer

    length = recipe.pack.sequence_length
    sequences_a_step = recipe.train.global_batch_tokens // length
    shortest, longest = length // 20, length // 4
    count = 4 * num_steps * recipe.train.global_batch_tokens // (shortest + longest)  # twice as many as fit
    lengths_N = np.random.default_rng(0).integers(shortest, longest + 1, count)
    documents = RandomDocuments(lengths_N, config.vocab_size)
    packer = Packer(documents, length, "document", recipe.train.seed)  # type: ignore[arg-type]
    rows = [Row(False, pieces) for pieces in packer.sequences(0)]
    steps = [rows[start : start + sequences_a_step] for start in range(0, len(rows), sequences_a_step)]
    return Mixture(packer), steps[:num_steps]


def make_meta(config: Any) -> Any:
    import torch
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(config)


def synchronize(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def surroundings() -> dict[str, Any]:
    import torch  # noqa: F401 — so that hardware() sees the GPU

    from astrollama.provenance import hardware, versions

    return {"hardware": hardware(), "versions": versions()}


if __name__ == "__main__":
    main()
