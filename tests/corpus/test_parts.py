"""An import that is stopped goes on, and several workers make what one makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astrollama.corpus import parts
from astrollama.corpus.build import OUTPUTS, PARTS, import_corpus
from astrollama.corpus.cluster import parts_maker
from astrollama.errors import AstroLlamaError, RunError, SourceError
from astrollama.runs import read_manifest
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE

SETTINGS = CorpusSection(test_fraction=0.15)
PART = 16


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_RECORDS", PART)


@pytest.fixture
def papers(write_jsonl: Callable[..., Path]) -> Path:
    """The sample with everything that can be wrong in between."""
    records: list[Any] = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    records[30:30] = [b"{broken", {"id": "short", "abstract": "Short.", "date": "2020-01"}]
    records[60:60] = [{**records[2], "id": "twin", "date": "2030-01"}] * 2
    return write_jsonl(*records)


def build(paths: list[Path], out: Path, workers: int = 1, **more: Any) -> dict[str, Any]:
    return import_corpus(FileSource(paths, "skip"), SETTINGS, out, make_parts=parts_maker(workers), **more)


def contents(corpus: Path) -> dict[str, bytes]:
    return {name: (corpus / name).read_bytes() for name in OUTPUTS}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("stop_at", [1, PART * 3 + 5, 200])
def test_an_import_that_was_interrupted_goes_on_behind_its_parts(
    tmp_path: Path, papers: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    build([papers], tmp_path / "whole")
    out = tmp_path / "out"
    signature, calls = parts.signature, 0

    def interrupted(text: str, seed: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return signature(text, seed)

    monkeypatch.setattr(parts, "signature", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build([papers], out)
    assert not (out / "manifest.json").exists()
    done = {path: path.stat().st_mtime_ns for path in sorted((out / PARTS).rglob("part-*"))}
    assert len(done) >= stop_at // PART - 1

    calls = 1000
    build([papers], out)
    assert calls - 1000 <= 244 - len(done) * PART + 4  # what was fingerprinted is not fingerprinted again
    assert contents(out) == contents(tmp_path / "whole")
    assert not (out / PARTS).exists()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("function", ["find_duplicates", "write_places"])
def test_an_import_that_was_interrupted_in_its_second_half_reads_no_paper_again(
    tmp_path: Path, papers: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    build([papers], tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(f"astrollama.corpus.build.{function}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build([papers], tmp_path / "out")
    monkeypatch.setattr(parts, "signature", interrupted)
    build([papers], tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("small_parts")
def test_an_unfinished_import_of_other_papers_is_not_gone_on_with(
    tmp_path: Path, papers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("astrollama.corpus.build.find_duplicates", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build([papers], tmp_path / "out")
    with papers.open("ab") as file:
        file.write(b'{"id": "one more"}\n')
    with pytest.raises(RunError, match=r"holds another, unfinished run \(inputs is .*delete that directory"):
        build([papers], tmp_path / "out")


def write_copies(write_jsonl: Callable[..., Path], count: int) -> Path:
    """Papers enough for some parts."""
    records = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    return write_jsonl(
        *(
            {**record, "id": f"{record['id']}-{n}", "abstract": " ".join(f"{w}{n}" for w in record["abstract"].split())}
            for n in range(count)
            for record in records
        )
    )


def test_a_killed_import_goes_on(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    path = write_copies(write_jsonl, 24)
    command = [sys.executable, "-m", "astrollama.cli", "corpus", "import", str(path), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (found := list((tmp_path / "out").rglob("part-000000.parquet"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    [first] = found
    before = first.stat().st_mtime_ns
    assert not (tmp_path / "out" / "manifest.json").exists()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while first.exists() and process.poll() is None:
        assert first.stat().st_mtime_ns == before
        time.sleep(0.01)
    assert process.wait() == 0
    import_corpus(FileSource([path]), CorpusSection(), tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("world_size", [2, 3, 40])
def test_each_of_several_processes_makes_its_parts(tmp_path: Path, papers: Path, world_size: int) -> None:
    source = FileSource([papers], "skip")
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    parts.write_parts(source, SETTINGS, tmp_path / "one")
    for rank in reversed(range(world_size)):
        parts.write_parts(source, SETTINGS, tmp_path / "many", rank, world_size)
    for number in (3, 5):  # what one lost, one makes again
        (tmp_path / "many" / f"part-{number:06d}.parquet").unlink()
    for rank in range(world_size):
        parts.write_parts(source, SETTINGS, tmp_path / "many", rank, world_size)
    one, many = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "many"))
    assert one == many
    assert len(one) == 16 + 1


def test_two_workers_of_datatrove_make_what_one_process_makes(tmp_path: Path, papers: Path) -> None:
    build([papers], tmp_path / "one")
    build([papers], tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert {path.name for path in (tmp_path / "two").iterdir()} == {*OUTPUTS, "manifest.json"}


def test_workers_end_with_a_parent_that_is_killed_and_another_number_goes_on(
    tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    path, out = write_copies(write_jsonl, 50), tmp_path / "out"
    command = [sys.executable, "-m", "astrollama.cli", "corpus", "import", str(path), "--out", str(out)]
    process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.rglob("part-000000.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(out) not in running
    before = sorted(out.rglob("part-*"))
    time.sleep(1.5)
    assert sorted(out.rglob("part-*")) == before
    assert len(before) < 6
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    import_corpus(FileSource([path]), CorpusSection(), tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_damaged_part_is_told_and_made_anew(
    tmp_path: Path, papers: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("astrollama.corpus.build.find_duplicates", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build([papers], out)
    [part] = out.rglob("part-000003.parquet")
    part.write_bytes(b"PAR1 and no more")
    with pytest.raises(AstroLlamaError, match=r"part-000003\.parquet is damaged .*: give the same command again"):
        build([papers], out)
    build([papers], out)
    build([papers], tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_an_error_in_a_worker_is_the_users_error(tmp_path: Path, papers: Path) -> None:
    with pytest.raises(SourceError, match=r"papers\.jsonl, record 31: broken json .*--on-error skip"):
        import_corpus(FileSource([papers]), SETTINGS, tmp_path / "out", make_parts=parts_maker(2))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("small_parts")
def test_records_of_other_categories_are_counted_and_not_kept(tmp_path: Path, papers: Path) -> None:
    source = FileSource([papers], "skip", categories=("astro-ph.GA",))
    import_corpus(source, SETTINGS, tmp_path / "out")
    counts = read_manifest(tmp_path / "out", "corpus")["counts"]
    kept = counts["train"] + counts["validation"] + counts["test"]
    assert counts["records"] == 244 == kept + counts["other_category"] + sum(counts["rejected"].values())
    assert 40 <= kept < 120
