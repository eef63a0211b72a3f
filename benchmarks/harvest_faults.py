"""A harvest through every fault and ten kills: `python benchmarks/harvest_faults.py FILE --papers 20000`.

FILE holds papers, a JSON record a line, with id, title, abstract, categories and date. A real OAI-PMH server serves them
in arXiv's format, a proxy in front of it breaks a share of the answers, and the command `astrollama corpus harvest` is
killed (SIGKILL) at random moments and given again. In the end every record is compared with what the server holds.
Needs the test dependencies. Exit code 1 where a record is missing, repeated or different, or faults or kills were few.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the server and the proxy are the tests'

from tests.sources.oai_server import SET, Repository, compare, read_papers  # noqa: E402

from astrollama.provenance import hardware  # noqa: E402

MIN_FAULTS = 50
TIMEOUT = 2  # seconds, of the harvester; the proxy keeps silent for longer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--papers", type=int, default=20_000)
    parser.add_argument("--page", type=int, default=100, help="papers on a page")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=["arXiv", "arXivRaw"], default="arXiv")
    given = parser.parse_args()

    count = ["--papers", str(given.papers), "--page", str(given.page)]
    fault_options = ["--seed", str(given.seed), "--hold", str(TIMEOUT + 1)]
    with (
        tempfile.TemporaryDirectory() as temporary,
        program("tests.sources.oai_server", str(given.file), *count) as server_url,
        program("tests.sources.faults", server_url, *fault_options) as proxy_url,
    ):
        out = Path(temporary) / "harvest"
        command = [sys.executable, "-m", "astrollama.cli", "corpus", "harvest", "--set", SET, "--out", str(out)]
        command += ["--url", proxy_url, "--format", given.format, "--delay", "0", "--timeout", str(TIMEOUT), "--json"]
        started = time.monotonic()
        kills, counts = run_through_kills(command, out, given.kills, random.Random(given.seed))
        seconds = time.monotonic() - started
        with urlopen(proxy_url.removesuffix("/oai") + "/faults") as response:
            told = json.load(response)
        held = Repository(read_papers(given.file, given.papers)).papers.values()
        found = compare(held, out, given.format)
    result = {
        "papers_served": len(held),
        "records_harvested": counts["papers"] + counts["deleted"],
        "missing": len(found.missing),
        "repeated": len(found.repeated),
        "different": len(found.different),
        "faults": sum(told["faults"].values()),
        "faults_by_kind": dict(sorted(told["faults"].items())),
        "kills": kills,
        "requests": told["requests"],
        "seconds": round(seconds, 1),
        "seed": given.seed,
        "hardware": hardware(),
    }
    print(json.dumps(result, indent=2))
    same = not (found.missing or found.repeated or found.different)
    sys.exit(0 if same and result["faults"] >= MIN_FAULTS and kills >= given.kills else 1)


def run_through_kills(
    command: list[str], out: Path, num_kills: int, moments: random.Random
) -> tuple[int, dict[str, int]]:
    """Give the command until it ends by itself; returns how often it was killed, and the counts that it printed."""
    kills = 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            if kills < num_kills:
                wait_for_page(process, out / "pages" / "cursor.json")
                output, _ = process.communicate(timeout=moments.uniform(0.0, 3.0))
            else:
                output, _ = process.communicate()
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        if process.returncode:
            sys.exit(f"error: the harvest failed with status {process.returncode}")
        return kills, json.loads(output)["counts"]


def wait_for_page(process: subprocess.Popen[str], cursor: Path) -> None:
    """Until the program has saved a page."""
    before = cursor.stat().st_mtime_ns if cursor.exists() else 0
    while process.poll() is None and not (cursor.exists() and cursor.stat().st_mtime_ns > before):
        time.sleep(0.01)


@contextmanager
def program(module: str, *arguments: str) -> Iterator[str]:
    """Run a server in a process of its own; gives the URL that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            sys.exit(f"error: {module} did not start")
        yield url
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
