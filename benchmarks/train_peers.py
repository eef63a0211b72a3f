"""Our training beside HF Trainer's and litgpt's on one machine: `python benchmarks/train_peers.py [--rounds 3] [--steps 5]`.

SmolLM2-135M, float32, the same tokens, optimiser and tokens a step, each system in a process of its own, round after round
so that noise hits all alike:

    ours           the loop of `astrollama train`, no token sees another document
    ours-packed    the same on a stream that is cut every 512 tokens, as in the next two
    hf-blocks      HF Trainer on those blocks, as run_clm.py groups texts
    hf-padded      HF Trainer on one abstract a row, padded to the longest of its batch
    hf-max-length  the same, padded to the sequence length
    litgpt         `litgpt pretrain` on those blocks, installed from the package registry beside this environment's torch

Useful tokens are those predicted, padding left out. Steps after the first two count. The share of the ceiling is
(6 x weights in matrix products + 12 x layers x attention width x mean context) x tokens a second over float32 matrix
products of 2,048 x 2,048, measured before and after each round; the head counts as a matrix product, the look-up of
embeddings does not, and the context is the one that is used. With `--profile`, only where our time goes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Any

from _training import pack_sample, passive_threads, table
from astrollama.models.registry import find_model
from astrollama.provenance import hardware
from astrollama.recipe import load_recipe
from astrollama.training.estimate import flops_a_token, mean_context
from astrollama.training.hardware import matrix_product_rate

MODEL, RECIPE = "smollm2-135m", "smollm2-135m-cpu"
LITGPT, LITGPT_MODEL = "litgpt==0.5.13", "SmolLM2-135M"
SYSTEMS = ["ours", "ours-packed", "hf-blocks", "hf-padded", "hf-max-length"]
ONE_DOCUMENT = ("ours", "hf-padded", "hf-max-length")  # where a token sees its own document only
UNCOUNTED_STEPS = 2
PEERS = Path(__file__).with_name("_peers.py")

# Operators of torch by what they are for; the first name that fits counts.
GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "attention": ("scaled_dot_product", "flash_attention"),
    "softmax and loss": (
        "softmax",
        "logsumexp",
        "nll_loss",
        "cross_entropy",
        "aten::exp",
        "aten::sub",
        "Nll",
        "gather",
    ),
    "optimiser": ("adamw", "AdamW", "foreach", "linalg_vector_norm", "clip_grad"),
    "norms, activations, rotary": ("mul", "add", "silu", "pow", "mean", "rsqrt", "neg", "cat", "rms_norm", "sum"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="optimiser steps of each system a round, three at least")
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--micro-batch-size", type=int, default=2, help="rows a forward pass, but for hf-padded")
    parser.add_argument("--rows-padded", type=int, default=8, help="abstracts a batch of hf-padded; 8: Trainer's own")
    parser.add_argument("--tokens", type=Path, help="a directory of the pack stage; default: the sample, packed")
    parser.add_argument("--tokens-a-step", type=int, default=1024)
    parser.add_argument("--systems", nargs="+", choices=[*SYSTEMS, "litgpt"], default=[*SYSTEMS, "litgpt"])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.steps <= UNCOUNTED_STEPS:
        parser.error(f"--steps must be more than {UNCOUNTED_STEPS}, which do not count")
    passive_threads()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings, contexts = lay_out(options, folder)
        if options.profile:
            print(json.dumps({**profile(folder, settings), "hardware": hardware()}, indent=2))
            return
        pythons = dict.fromkeys(options.systems, sys.executable)
        if "litgpt" in pythons:
            python = install_litgpt(folder)
            if python is None:
                del pythons["litgpt"]
            else:
                pythons["litgpt"] = python
        rounds = [measure_round(number, pythons, folder) for number in range(options.rounds)]
    result = summarise(rounds, settings, contexts)
    print(json.dumps({**result, "settings": settings, "hardware": hardware()}, indent=2))
    print(table(result["systems"]))


def lay_out(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Write what all systems read: settings, blocks and documents; with the mean context of each kind of attention."""
    import numpy as np

    from astrollama.tokens.packing import Packer
    from astrollama.tokens.shards import TokenShards

    train = load_recipe(RECIPE, []).train
    tokens = options.tokens or pack_sample(folder, MODEL)
    shards = TokenShards.open(tokens)
    length = options.sequence_length
    rows = Packer(shards, length, "packed", train.seed).sequences(0)[: options.steps * options.tokens_a_step]
    streams = [np.concatenate([shards.tokens(*piece) for piece in row]) for row in rows]
    np.save(folder / "blocks.npy", np.stack([stream for stream in streams if len(stream) == length + 1]))
    order = np.random.default_rng(train.seed).permutation(len(shards))
    order = order[: options.steps * options.tokens_a_step]  # more than enough
    (folder / "documents.json").write_text(json.dumps([shards.tokens(index)[:length].tolist() for index in order]))
    settings = {
        "model": str(find_model(MODEL).path),
        "litgpt_name": LITGPT_MODEL,
        "recipe": RECIPE,
        "tokens": str(tokens),
        "steps": options.steps,
        "sequence_length": length,
        "micro_batch_size": options.micro_batch_size,
        "tokens_a_step": options.tokens_a_step,
        "rows_padded": options.rows_padded,
        "warmup_steps": max(1, round(train.warmup_fraction * options.steps)),
        "min_lr": train.min_lr_ratio * train.peak_lr,
        **{
            name: getattr(train, name)
            for name in ("peak_lr", "beta1", "beta2", "epsilon", "weight_decay", "max_grad_norm")
        },
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    predicted = [int(tokens) - 1 for tokens in shards.lengths_N]
    contexts = {
        "document": mean_context(predicted, length, "document"),
        "stream": mean_context(predicted, length, "packed"),
    }
    return settings, contexts


def install_litgpt(folder: Path) -> str | None:
    """An environment with litgpt above this one's packages, torch among them; None, and a line, where it cannot be had."""
    environment = folder / "environment"
    python = str(environment / "bin" / "python")
    venv.create(environment, with_pip=True)
    below = sysconfig.get_path("purelib")
    own = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    (own / "beside.pth").write_text(below + "\n")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for command in (
        [*pip, "install", LITGPT],
        [*pip, "uninstall", "--yes", "huggingface_hub"],  # it wants an older one than transformers, and trains without
        [python, "-W", "ignore", "-c", "import litgpt.pretrain, torch; assert 'site-packages/torch' in torch.__file__"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            print(f"litgpt is left out: {LITGPT} cannot be had here ({reason})", file=sys.stderr)
            return None
    return python


def measure_round(number: int, pythons: dict[str, str], folder: Path) -> dict[str, Any]:
    """Every system once; a system that fails is told and left out."""
    measured: dict[str, Any] = {"ceiling": [ceiling()]}
    for system, python in pythons.items():
        result = folder / f"{system}-{number}.json"
        command = [python, "-W", "ignore", str(PEERS), system, str(folder), str(result)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            print(f"{system} failed in round {number + 1}: {reason}", file=sys.stderr)
            continue
        measured[system] = json.loads(result.read_text())
        counted = measured[system]["steps"][UNCOUNTED_STEPS - 1 :]
        seconds = counted[-1]["seconds"] - counted[0]["seconds"]
        measured[system]["tokens_per_second"] = sum(step["tokens"] for step in counted[1:]) / seconds
        remove(folder / f"{system}-{number}")
        print(f"round {number + 1}: {system} {measured[system]['tokens_per_second']:.1f} tokens/s", file=sys.stderr)
    measured["ceiling"].append(ceiling())
    return measured


def summarise(rounds: list[dict[str, Any]], settings: dict[str, Any], contexts: dict[str, float]) -> dict[str, Any]:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(settings["model"])
    recipe = load_recipe(RECIPE, [])
    rows = []
    for system in [*SYSTEMS, "litgpt"]:
        own = [measured for measured in rounds if system in measured]
        if not own:
            continue
        speeds = [measured[system]["tokens_per_second"] for measured in own]
        flops = flops_a_token(config, recipe, contexts["document" if system in ONE_DOCUMENT else "stream"]).model
        shares = [
            speed * flops / statistics.mean(measured["ceiling"]) for speed, measured in zip(speeds, own, strict=True)
        ]
        ratios = [
            measured["ours"]["tokens_per_second"] / measured[system]["tokens_per_second"]
            for measured in own
            if "ours" in measured
        ]
        steps = own[0][system]["steps"]
        rows.append(
            {
                "system": system,
                "tokens/s by round": " ".join(f"{speed:.0f}" for speed in speeds),
                "median": round(statistics.median(speeds), 1),
                "ours over it": " ".join(f"{ratio:.2f}" for ratio in ratios),
                "median ratio": round(statistics.median(ratios), 2) if ratios else None,
                "share of ceiling": f"{statistics.median(shares):.0%}",
                "peak GiB": round(max(measured[system]["peak_memory_gib"] for measured in own), 2),
                "first loss": round(steps[0]["loss"], 3),
                f"loss of step {settings['steps']}": round(steps[settings["steps"] - 1]["loss"], 3),
            }
        )
    ceilings = [[round(rate / 1e9, 1) for rate in measured["ceiling"]] for measured in rounds]
    return {"systems": rows, "ceiling_gflops": ceilings, "mean_context": contexts}


def profile(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of our process by what they are spent on, and its longest operators; Python between them is not seen."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    from _peers import ours

    rate = ceiling()
    with torch_profile(activities=[ProfilerActivity.CPU]) as profiled:
        steps = ours(folder, settings, folder / "ours.json")
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    seconds = dict.fromkeys([*GROUPS, "rest"], 0.0)
    for event in events:
        group = next((name for name, parts in GROUPS.items() if any(part in event.key for part in parts)), "rest")
        seconds[group] += event.self_cpu_time_total / 1e6
    return {
        "training_seconds": steps[-1]["seconds"],
        "tokens": sum(step["tokens"] for step in steps),
        "ceiling_gflops": round(rate / 1e9, 1),
        "groups": {name: {"seconds": round(s, 2), "share": round(s / total * 1e6, 3)} for name, s in seconds.items()},
        "operators": [
            {"name": event.key, "calls": event.count, "seconds": round(event.self_cpu_time_total / 1e6, 2)}
            for event in events[:20]
        ],
    }


def ceiling() -> float:
    """Matrix products of this machine, in operations a second; the best of many, as others may be at work."""
    return max(matrix_product_rate("cpu", "float32") for _ in range(3))


def remove(folder: Path) -> None:
    """What a system saved; the disk need not hold every round's."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
