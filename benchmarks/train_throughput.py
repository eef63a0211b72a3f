"""Training speed and memory of the default model beside this machine's matrix-product ceiling.

Full fine-tuning and LoRA, each in its own process on the packed sample, a minute each; the ceiling is measured before and after.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from astrollama.provenance import hardware
from astrollama.sources.sample import SAMPLE

# Forward and backward of every weight are 6 operations a parameter and token; LoRA saves the gradients of frozen weights.
PARAMETERS = 134_515_008
OPERATIONS = {"full": 6, "lora": 4}
SIZE = 2048


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        astrollama("corpus", "import", str(SAMPLE), "--out", str(folder / "corpus"))
        astrollama("pack", str(folder / "corpus"), "--out", str(folder / "tokens"))
        ceilings = [matrix_product_rate()]
        rows = {method: measure(folder, method) for method in ("full", "lora")}
        ceilings.append(matrix_product_rate())
    ceiling = sum(ceilings) / len(ceilings)
    for method, row in rows.items():
        row["gflops"] = round(row["tokens_per_second"] * OPERATIONS[method] * PARAMETERS / 1e9, 1)
        row["share_of_ceiling"] = round(row["gflops"] / ceiling, 2)
    print(
        json.dumps({"ceiling_gflops": [round(rate, 1) for rate in ceilings], **rows, "hardware": hardware()}, indent=2)
    )


def measure(folder: Path, method: str) -> dict[str, float]:
    """Tokens a second after the first steps, and the peak memory of the process."""
    code = """
import resource, sys
from astrollama.cli.main import run
code = run(sys.argv[1:])
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
    out = folder / method
    arguments = [
        "train",
        f"smollm2-135m-{'cpu' if method == 'full' else 'lora'}",
        "--tokens",
        str(folder / "tokens"),
        "--out",
        str(out),
    ]
    arguments += ["--set", 'train.budget="1 minutes"']
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    peak = int(done.stderr.rsplit("PEAK", 1)[1].split()[0])
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()][1:]
    tokens = steps[-1]["num_tokens"] - steps[0]["num_tokens"]
    seconds = steps[-1]["seconds"] - steps[0]["seconds"]
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_memory_gib": round(peak / 2**20, 2),
        "steps": len(steps),
    }


def matrix_product_rate() -> float:
    """Float32 matrix products of 2,048 x 2,048, in 10^9 operations a second; the best of five rounds."""
    import torch

    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(5):
            torch.mm(a, b)
        rates.append(5 * 2 * SIZE**3 / (time.perf_counter() - started) / 1e9)
    return max(rates)


def astrollama(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "astrollama.cli", *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    main()
