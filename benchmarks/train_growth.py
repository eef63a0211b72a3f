"""How training grows: `python benchmarks/train_growth.py [--plot growth.png]`.

Tokens a second of SmolLM2-135M against the length of a sequence, for both kinds of attention, and against micro batch and
global batch; peak memory of a process that trains a random LLaMA against the model's size, beside the estimate that
`astrollama plan` gives. Each figure comes from a run of its own, whose first two steps do not count. The sample's
abstracts are short: with document attention a longer sequence holds more of them, and no longer contexts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _training import pack_sample, passive_threads, table, write_llama
from astrollama.models.registry import find_model
from astrollama.provenance import hardware
from astrollama.recipe import load_recipe
from astrollama.training.metrics import read_metrics

MODEL, RECIPE = "smollm2-135m", "smollm2-135m-cpu"
LENGTHS = [256, 512, 1024, 2048]
BATCHES = [(1, 1024), (2, 1024), (1, 4096), (8, 4096)]  # rows of 512 a forward pass, tokens a step
SIZES = {
    name: {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
    }
    for name, width, inner, layers, heads, keys in (
        ("15M", 192, 512, 12, 3, 3),
        ("40M", 384, 1024, 12, 6, 6),
        ("135M", 576, 1536, 30, 9, 3),
        ("360M", 960, 2560, 32, 15, 5),
    )
}
UNCOUNTED_STEPS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="of each run, three at least")
    parser.add_argument("--model", default=MODEL, help="whose speed is measured")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES), help="of random models")
    parser.add_argument("--plot", type=Path, help="where to draw the speeds and the memory, as PNG")
    options = parser.parse_args()
    if options.steps <= UNCOUNTED_STEPS:
        parser.error(f"--steps must be more than {UNCOUNTED_STEPS}, which do not count")
    passive_threads()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokens = pack_sample(folder, options.model)
        lengths = [
            length_row(options, tokens, folder, length, attention)
            for attention in ("document", "packed")
            for length in options.lengths
        ]
        batches = [batch_row(options, tokens, folder, micro, tokens_a_step) for micro, tokens_a_step in BATCHES]
        sizes = [size_row(options, tokens, folder, name) for name in options.sizes]
    print(json.dumps({"lengths": lengths, "batches": batches, "sizes": sizes, "hardware": hardware()}, indent=2))
    for rows in filter(None, (lengths, batches, sizes)):
        print(table(rows), end="\n\n")
    if options.plot:
        plot(options.plot, lengths, sizes)


def length_row(options: argparse.Namespace, tokens: Path, folder: Path, length: int, attention: str) -> dict[str, Any]:
    settings = {
        "pack.sequence_length": length,
        "pack.attention": attention,
        "train.global_batch_tokens": max(LENGTHS),
    }
    measured = measure(options, options.model, tokens, folder, settings)
    return {"attention": attention, "sequence_length": length, **measured}


def batch_row(
    options: argparse.Namespace, tokens: Path, folder: Path, micro: int, tokens_a_step: int
) -> dict[str, Any]:
    settings = {
        "pack.sequence_length": 512,
        "train.micro_batch_size": micro,
        "train.global_batch_tokens": tokens_a_step,
    }
    return {
        "micro_batch_size": micro,
        "global_batch_tokens": tokens_a_step,
        **measure(options, options.model, tokens, folder, settings),
    }


def size_row(options: argparse.Namespace, tokens: Path, folder: Path, name: str) -> dict[str, Any]:
    from astrollama.models.architectures import count_parameters, find_config
    from astrollama.training.estimate import memory_by_part

    model = write_llama(folder / name, find_model(options.model).path, **SIZES[name])
    settings = {"pack.sequence_length": 512, "train.global_batch_tokens": 1024}
    measured = measure(options, str(model), tokens, folder, settings)
    recipe = load_recipe(RECIPE, [f"{key}={value}" for key, value in settings.items()])
    config = find_config(str(model))
    estimated = sum(memory_by_part(config, recipe, "cpu", 1).values()) / 2**30
    (model / "model.safetensors").unlink()
    return {
        "model": name,
        "million parameters": round(count_parameters(config) / 1e6, 1),
        **measured,
        "estimated GiB": round(estimated, 2),
        "estimated over measured": round(estimated / measured["peak GiB"], 2),
    }


def measure(
    options: argparse.Namespace, model: str, tokens: Path, folder: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    """Train in a process of its own; tokens a second after the first steps, and its peak memory."""
    out = folder / "run"
    tokens_a_step = settings["train.global_batch_tokens"]
    settings = {
        "model.base": f'"{model}"',
        "train.budget": f'"{(options.steps - 1) * tokens_a_step + 1} tokens"',
        **settings,
    }
    command = [sys.executable, "-m", "astrollama.cli", "train", RECIPE, "--tokens", str(tokens), "--out", str(out)]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed: {done.stderr}")
    steps = read_metrics(out)[UNCOUNTED_STEPS - 1 :]
    shutil.rmtree(out)
    num_tokens = steps[-1]["num_tokens"] - steps[0]["num_tokens"]
    seconds = steps[-1]["seconds"] - steps[0]["seconds"]
    return {
        "tokens/s": round(num_tokens / seconds, 1),
        "share of ceiling": f"{sum(step['mfu'] for step in steps[1:]) / len(steps[1:]):.0%}",
        "peak GiB": round(steps[-1]["memory_gib"], 2),
    }


def plot(path: Path, lengths: list[dict[str, Any]], sizes: list[dict[str, Any]]) -> None:
    """Speed against sequence length, and memory against size, measured and estimated."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    speed, memory = figure.subplots(1, 2)
    for attention in ("document", "packed"):
        rows = [row for row in lengths if row["attention"] == attention]
        speed.plot([row["sequence_length"] for row in rows], [row["tokens/s"] for row in rows], "o-", label=attention)
    speed.set(xlabel="sequence length (tokens)", ylabel="tokens/s", ylim=(0, None))
    for key in ("peak GiB", "estimated GiB"):
        memory.plot([row["million parameters"] for row in sizes], [row[key] for row in sizes], "o-", label=key)
    memory.set(xlabel="million parameters", ylabel="GiB", ylim=(0, None))
    for axes in (speed, memory):
        axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
