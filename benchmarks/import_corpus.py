"""How long a corpus takes and how much memory: `python benchmarks/import_corpus.py [FILE …] [--sizes 50000 100000 326238]`.

For each size: import (repair, filters, duplicates, split, decontamination) and pack, as the commands do it. Where the files
hold fewer papers than a size, varied copies fill up: other identifiers, and a mark on every third word, so that a copy is no
duplicate. With `--kill`, each command is killed (SIGKILL) once in the middle and given again, and what comes out is compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from astrollama.provenance import hardware
from astrollama.records import Paper
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=[SAMPLE])
    parser.add_argument("--sizes", nargs="+", type=int, default=[5_000])
    parser.add_argument("--benchmark", action="append", default=[], help="a file of questions; may be repeated")
    parser.add_argument("--model", default="smollm2-135m", help="whose tokenizer packs")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = [measure(options, size, Path(temporary)) for size in options.sizes]
    print(json.dumps({"runs": runs, "hardware": hardware()}, indent=2))


def measure(options: argparse.Namespace, size: int, folder: Path) -> dict[str, Any]:
    papers = folder / f"papers-{size}.jsonl"
    write_papers(options.files, size, papers)
    corpus, tokens = folder / f"corpus-{size}", folder / f"tokens-{size}"
    benchmarks = json.dumps([str(Path(name).resolve()) for name in options.benchmark])
    commands = {
        "import": ["corpus", "import", str(papers), "--set", f"corpus.benchmarks={benchmarks}"],
        "pack": ["pack", str(corpus), "--model", options.model],
    }
    if options.workers > 1:
        commands["import"] += ["--workers", str(options.workers)]
    result: dict[str, Any] = {"documents": size, "megabytes": round(papers.stat().st_size / 1e6, 1)}
    for name, out in (("import", corpus), ("pack", tokens)):
        command = [sys.executable, "-m", "astrollama.cli", *commands[name], "--out", str(out)]
        result[name] = timed(command)
        if options.kill:
            result[name]["killed"] = kill_and_go_on(command, out, result[name]["seconds"] / 2)
    result["seconds"] = round(result["import"]["seconds"] + result["pack"]["seconds"], 1)
    result["papers_per_second"] = round(size / result["seconds"])
    result["counts"] = json.loads((corpus / "manifest.json").read_text())["counts"]
    result["tokens"] = json.loads((tokens / "manifest.json").read_text())["counts"]["tokens"]
    return result


def write_papers(files: list[Path], size: int, out: Path) -> None:
    with out.open("w", encoding="utf-8") as file:
        for number, record in enumerate(varied(files)):
            if number == size:
                return
            file.write(json.dumps(record) + "\n")


def varied(files: list[Path]) -> Iterator[dict[str, Any]]:
    """The papers, and copies of them without end."""
    for copy in count():
        for paper in FileSource(files, "skip").papers():
            if isinstance(paper, Paper):
                words = (paper.abstract or "").split()
                marked = [f"{word}{copy}" if copy and index % 3 == 0 else word for index, word in enumerate(words)]
                yield {
                    "id": f"{paper.arxiv_id}-{copy}" if copy else paper.arxiv_id,
                    "title": paper.title,
                    "abstract": " ".join(marked),
                    "categories": paper.categories,
                    "date": paper.date,
                }


def timed(command: list[str]) -> dict[str, Any]:
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"error: {' '.join(command)} failed with status {status}: {said}")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_gib": round(usage.ru_maxrss / 2**20, 2),
    }


def kill_and_go_on(command: list[str], out: Path, after: float) -> dict[str, Any]:
    """Kill the same work after `after` seconds, give it again, and compare its files with the first time's."""
    again = out.with_name(f"{out.name}-killed")
    command = [*command[:-1], str(again)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    process.wait()
    assert not (again / "manifest.json").exists(), "it was done before it was killed"
    rest = timed(command)
    same = hashes(out) == hashes(again)
    if not same:
        sys.exit(f"error: {' '.join(command)} made other files after it was killed")
    return {"after_seconds": round(after, 1), "seconds_to_the_end": rest["seconds"], "same_files": same}


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "manifest.json"
    }


if __name__ == "__main__":
    main()
