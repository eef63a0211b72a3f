"""Estimates of `astrollama plan` beside what short runs on this machine's CPU do: peak memory and speed.

    python benchmarks/estimates.py                          three sizes of random models, 8,000 tokens each
    python benchmarks/estimates.py --sizes tiny --tokens 2000

Each run is a process of its own. The ratio is measured over estimated; the first step, which starts everything, is left out of
the speed. The matrix-product rate that the estimate rests on is measured before each run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from _training import pack_sample, passive_threads, write_llama

GIB = 2**30
# widths, with as many layers and MLPs as wide as LLaMAs of that size have; "135m" has the shape of SmolLM2-135M
SIZES = {
    "tiny": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 8, "num_attention_heads": 3},
    "small": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 16, "num_attention_heads": 6},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9},
}
SETTINGS = {
    "full": ["train.method=full"],
    "full, average": ["train.method=full", "train.ema_decay=0.99"],
    "full, checkpointing": ["train.method=full", "train.activation_checkpointing=true"],
    "full, one row": ["train.method=full", "train.micro_batch_size=1"],
    "LoRA": ["train.method=lora"],
    "LoRA, checkpointing": ["train.method=lora", "train.activation_checkpointing=true"],
}


@dataclass(frozen=True)
class Row:
    """What one run was expected to need, and what it needed."""

    memory: tuple[float, float]
    tokens_per_second: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--tokens", type=int, default=8000, help="tokens a run")
    given = parser.parse_args()
    passive_threads()

    print("| model | settings | memory, GiB: estimated | measured | ratio | tokens/s: estimated | measured | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokens = pack_sample(folder, "smollm2-135m")
        for size in given.sizes:
            model = write_model(folder / size, SIZES[size])
            for name in given.settings:
                row = measure(folder / f"{size} {name}", model, tokens, SETTINGS[name], given.tokens)
                cells = [f"{a:,.2f} | {b:,.2f} | {b / a:.2f}" for a, b in (row.memory, row.tokens_per_second)]
                print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)


def write_model(folder: Path, dimensions: dict[str, int]) -> Path:
    """A random model whose three query heads share one key-value head, with the default model's tokenizer."""
    from astrollama.models.registry import find_model

    return write_llama(
        folder,
        find_model("smollm2-135m").path,
        **dimensions,
        num_key_value_heads=dimensions["num_attention_heads"] // 3,
    )


def measure(out: Path, model: Path, tokens: Path, settings: list[str], num_tokens: int) -> Row:
    """Plan a run of `num_tokens` tokens, then do it."""
    settings = [*settings, f"model.base={model}", f"train.budget={num_tokens} tokens", "train.device=cpu"]
    arguments = ["smollm2-135m-cpu", "--tokens", str(tokens), "--out", str(out)]
    arguments += [word for setting in settings for word in ("--set", setting)]
    plan = json.loads(astrollama("train", *arguments, "--dry-run", "--json"))
    astrollama("train", *arguments)
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    seconds = steps[-1]["seconds"] - steps[0]["seconds"]
    return Row(
        memory=(plan["memory_bytes_total"] / GIB, steps[-1]["memory_gib"]),
        tokens_per_second=(
            plan["tokens_per_second"],
            (steps[-1]["num_tokens"] - steps[0]["num_tokens"]) / seconds,
        ),
    )


def astrollama(*arguments: str) -> str:
    """What a command of ours prints, run in a process of its own."""
    command = [sys.executable, "-m", "astrollama.cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
