"""How fast a file like the arXiv metadata snapshot is read and with how much memory: `python benchmarks/read_snapshot.py [GB]`.

The file is made from the built-in sample in a temporary folder, 2 GB of it by default, with the snapshot's fields. It is
read whole, with the papers of one archive taken only, and after half of its records were taken before; last comes a
file that is one line of 200 MB. Each reading is a process of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from astrollama.provenance import hardware
from astrollama.sources.sample import SAMPLE

LINE_BYTES = 200_000_000
OTHER_ARCHIVES = ("cs.CL", "hep-th", "math.AG", "cond-mat.str-el")  # four papers of five
READ = """
import json, resource, sys, time
from collections import Counter
from pathlib import Path
from astrollama.sources.files import FileSource
path, skip, *categories = sys.argv[1:]
started = time.monotonic()
counts = Counter(type(item).__name__ for item in FileSource([Path(path)], "skip", categories=tuple(categories)).papers(int(skip)))
seconds = time.monotonic() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"counts": counts, "seconds": round(seconds, 2), "peak_memory_mib": round(peak / 2**10)}))
"""


def main() -> None:
    num_bytes = int(float(sys.argv[1] if len(sys.argv) > 1 else 2) * 1e9)
    with tempfile.TemporaryDirectory() as temporary:
        if shutil.disk_usage(temporary).free < 2 * num_bytes:
            sys.exit(f"error: {temporary} has less than {2 * num_bytes:,} bytes left")
        path = Path(temporary) / "arxiv-metadata-oai-snapshot.json"
        num_records = make_snapshot(path, num_bytes)
        result: dict[str, Any] = {"records": num_records, "megabytes": round(path.stat().st_size / 1e6)}
        for name, skip, categories in (
            ("whole", 0, []),
            ("one archive", 0, ["astro-ph"]),
            ("second half", num_records // 2, []),
            ("nothing left", num_records, []),
        ):
            result[name] = measure(path, skip, categories)
            result[name]["records_per_second"] = round(num_records / result[name]["seconds"])
            result[name]["megabytes_per_second"] = round(result["megabytes"] / result[name]["seconds"])
        with path.open("wb") as file:
            # in small pieces, for a process begins with the peak memory of the one that starts it
            for _ in range(LINE_BYTES // 1000):
                file.write(b"x" * 1000)
        result["one line of 200 MB"] = measure(path, 0, [])
    print(json.dumps({**result, "hardware": hardware()}, indent=2))


def make_snapshot(path: Path, num_bytes: int) -> int:
    """The sample again and again, each record with its own number in the identifier and the text; their count."""
    sample = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    number = written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < num_bytes:
            record = sample[number % len(sample)]
            archive = OTHER_ARCHIVES[number % 5] if number % 5 < 4 else "astro-ph.GA gr-qc"
            written += file.write(json.dumps(snapshot_record(record, number, archive)) + "\n")
            number += 1
    return number


def snapshot_record(record: dict[str, Any], number: int, categories: str) -> dict[str, Any]:
    return {
        "id": f"{7 + number // 100_000 % 18:02}{1 + number % 12:02}.{number % 100_000:05}",
        "submitter": "Jane Doe",
        "authors": "Jane Doe, John Roe and Ján Novák",
        "title": f"{record['title']} {number}",
        "comments": "12 pages, 3 figures",
        "journal-ref": None,
        "doi": f"10.0000/{number}",
        "report-no": None,
        "categories": categories,
        "license": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
        "abstract": f"  {record['abstract']}\n  This is copy {number}.\n",
        "versions": [{"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"}],
        "update_date": "2008-11-26",
        "authors_parsed": [["Doe", "Jane", ""], ["Roe", "John", ""], ["Novák", "Ján", ""]],
    }


def measure(path: Path, skip: int, categories: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-c", READ, str(path), str(skip), *categories]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
