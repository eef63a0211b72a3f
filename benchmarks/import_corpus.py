"""How long an import takes and how much memory: `python benchmarks/import_corpus.py [FILE …]`.

Without files the built-in sample is imported 20 times over, with other identifiers and changed words, so that nothing
is a duplicate.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from astrollama.provenance import hardware
from astrollama.sources.sample import SAMPLE

COPIES = 20


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = [Path(name) for name in sys.argv[1:]] or [make_input(folder / "papers.jsonl")]
        command = [
            sys.executable,
            "-m",
            "astrollama.cli",
            "corpus",
            "import",
            *map(str, files),
            "--out",
            str(folder / "corpus"),
            "--json",
        ]
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    if status:
        sys.exit(f"error: the import failed with status {status}")
    counts = json.loads(output)["counts"]
    result = {
        "records": counts["records"],
        "seconds": round(seconds, 1),
        "records_per_second": round(counts["records"] / seconds),
        "peak_memory_gib": round(usage.ru_maxrss / 2**20, 2),
        "counts": counts,
        "hardware": hardware(),
    }
    print(json.dumps(result, indent=2))


def make_input(path: Path) -> Path:
    """The sample again and again: every third word of a copy is marked with the copy's number."""
    records = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for copy in range(COPIES):
            for record in records:
                words = record["abstract"].split()
                text = " ".join(f"{word}{copy}" if index % 3 == 0 else word for index, word in enumerate(words))
                file.write(json.dumps(record | {"id": f"{record['id']}-{copy}", "abstract": text}) + "\n")
    return path


if __name__ == "__main__":
    main()
