"""The heavy half of an import on a Slurm cluster: `python examples/corpus_on_slurm.py PAPERS… --out DIR --tasks 64`.

Repair, filters and fingerprints run as an array of tasks through datatrove's Slurm executor; this process waits for them and
goes on with duplicates, split and decontamination, which one machine does in minutes. All paths must lie on a file system
that every node sees, and astrollama[cluster] must be installed where the tasks run. Stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from datatrove.executor import SlurmPipelineExecutor

from astrollama.corpus.build import import_corpus
from astrollama.corpus.cluster import PartsBlock
from astrollama.corpus.parts import COUNT, part_paths
from astrollama.recipe import load_recipe
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="corpus/astro-ph")
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--partition", default="cpu")
    parser.add_argument("--time", default="01:00:00")
    options = parser.parse_args()

    def on_slurm(source: FileSource, settings: CorpusSection, folder: Path) -> None:
        executor = SlurmPipelineExecutor(
            pipeline=[PartsBlock(source, settings, folder.resolve())],
            tasks=options.tasks,
            time=options.time,
            partition=options.partition,
            logging_dir=str(options.out.resolve().with_name(f"{options.out.name}-slurm")),
            job_name="astrollama-corpus",
            skip_completed=False,  # which tasks are complete is told by the parts
        )
        executor.run()
        while not all_parts_are_there(folder):
            time.sleep(10)
            if not is_queued(executor.job_id) and not all_parts_are_there(folder):
                sys.exit(f"error: the tasks have ended without all parts: see {executor.logging_dir.path}")

    settings = load_recipe(options.recipe).corpus
    source = FileSource(
        [path.resolve() for path in options.papers], text_field=settings.text_field, categories=settings.categories
    )
    import_corpus(source, settings, options.out, make_parts=on_slurm)


def all_parts_are_there(folder: Path) -> bool:
    return (folder / COUNT).is_file() and all(path.is_file() for path in part_paths(folder))


def is_queued(job_id: str) -> bool:
    command = ["squeue", "--noheader", "--jobs", str(job_id)]
    return bool(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())


if __name__ == "__main__":
    main()
