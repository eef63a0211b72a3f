"""How many papers a folder holds of each status, and how long one takes: `python benchmarks/latex.py FOLDER …`.

Without folders a paper made here is converted `COPIES` times.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from astrollama.corpus.latex import convert_sources
from astrollama.provenance import hardware

COPIES = 500
WORDS = 8_000


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = [Path(name) for name in sys.argv[1:]] or [make_sources(folder / "sources")]
        num_workers = os.cpu_count() or 1
        started = time.monotonic()
        manifest = convert_sources(
            sources, folder / "out", parts="full", metadata=None, num_workers=num_workers, seconds=60.0
        )
        seconds = time.monotonic() - started
    counts = manifest["counts"]
    result = {
        "counts": counts,
        "seconds": round(seconds, 1),
        "papers_per_second": round(counts["papers"] / seconds, 1),
        "workers": num_workers,
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "hardware": hardware(),
    }
    print(json.dumps(result, indent=2))


def make_sources(folder: Path) -> Path:
    """Packages of one long paper each: prose, macros, formulas and citations in equal turns."""
    folder.mkdir()
    sentence = (
        r"The flux of \object{M 31} is $F_\nu = 10\pm1\,\mJy$ at \kms{} \citep[e.g.][]{Key2001} in Figure~\ref{fig}. "
    )
    body = "".join(
        rf"\section{{{title}}}" + "\n" + sentence * (WORDS // 4 // 12)
        for title in ("Introduction", "Data", "Results", "Conclusions")
    )
    text = (
        r"\documentclass{aastex}\newcommand{\mJy}{\mathrm{mJy}}\newcommand{\kms}{km~s$^{-1}$}\begin{document}"
        rf"\title{{A paper}}\begin{{abstract}}{sentence * 10}\end{{abstract}}{body}\end{{document}}"
    )
    for index in range(COPIES):
        (folder / f"2309.{index:05d}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


if __name__ == "__main__":
    main()
