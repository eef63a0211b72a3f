"""`papers.parquet`: a row for every paper, whatever became of it, and a run that goes on where it was killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from astrollama.cli.latex import latex as command
from astrollama.corpus import latex
from astrollama.corpus.latex import convert_sources
from astrollama.errors import RunError, UserInputError
from astrollama.sources.files import FileSource
from astrollama.sources.latex import workers
from astrollama.sources.latex.inventory import Item, find_items
from astrollama.sources.latex.workers import Workers
from tests.sources.latex.archives import PAPER, tar

NO_ABSTRACT = PAPER.replace(r"\begin{abstract}The abstract of a paper.\end{abstract}", "")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    packages = {
        "2309.00001v2.gz": gzip.compress(PAPER.encode()),
        "2309.00002.tar.gz": tar(("ms.tex", NO_ABSTRACT)),
        "2309.00003.pdf": b"%PDF-1.5",
        "2309.00004.gz": gzip.compress(PAPER.encode())[:-9],
        "2309.00005.gz": gzip.compress(PAPER.replace("The introduction.", "{" * 300).encode()),
    }
    for name, data in packages.items():
        (folder / name).write_bytes(data)
    return folder


def run(sources: Sequence[Path], out: Path, **settings: Any) -> dict[str, Any]:
    defaults = {"parts": "introduction-conclusion", "metadata": None, "num_workers": 2, "seconds": 60.0}
    return convert_sources(sources, out, **{**defaults, **settings})


def test_every_paper_has_a_row_and_the_manifest_counts_them(sources: Path, tmp_path: Path) -> None:
    records = [
        {
            "id": "2309.00001",
            "title": "Known",
            "categories": ["astro-ph.GA", "hep-ph"],
            "date": "2023-09-01",
            "licence": "CC0",
        },
        {"id": "2309.00002v1", "abstract": "From the metadata.", "categories": "astro-ph.CO"},
        {"id": "2309.99999", "abstract": "Another paper."},
    ]
    metadata = tmp_path / "metadata.jsonl"
    metadata.write_text("".join(json.dumps(record) + "\n" for record in records))
    out = tmp_path / "out"
    manifest = run([sources], out, metadata=FileSource([metadata]))
    assert manifest["counts"] == {
        "papers": 5,
        "ok": 1,
        "partial": 1,
        "no_tex": 1,
        "failed": 2,
        "reasons": {
            "partial: no abstract": 1,
            "no_tex: a PDF without source": 1,
            "failed: a damaged archive": 1,
            "failed: groups are nested deeper than 255": 1,
        },
    }
    rows = pq.read_table(out / "papers.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["2309.00001v2", *(f"2309.0000{index}" for index in range(2, 6))]
    assert [row["status"] for row in rows] == ["ok", "partial", "no_tex", "failed", "failed"]
    text = "The abstract of a paper.\n\nIntroduction\n\nThe introduction.\n\nConclusions\n\nThe conclusion."
    first = rows[0]
    assert first["text"] == text
    assert (first["title"], first["abstract"]) == ("Known", "The abstract of a paper.")
    assert (first["categories"], first["primary"]) == (["astro-ph.GA", "hep-ph"], "astro-ph.GA")
    assert (first["date"], first["licence"], first["detail"]) == ("2023-09-01", "CC0", "")
    assert first["sections"][1] == {
        "title": "Introduction",
        "level": 1,
        "kind": "introduction",
        "text": "The introduction.",
    }
    assert (rows[1]["title"], rows[1]["abstract"]) == ("A paper", "From the metadata.")
    assert rows[1]["text"] == text.replace("The abstract of a paper.", "From the metadata.")
    assert (rows[1]["date"], rows[1]["licence"]) == ("2023-09", None)
    for row in rows[2:]:
        assert (row["text"], row["abstract"], row["sections"]) == (None, None, [])
        assert row["detail"]
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "papers.parquet"]


def test_the_importer_reads_the_rows(sources: Path, tmp_path: Path) -> None:
    run([sources], tmp_path / "out")
    papers = list(FileSource([tmp_path / "out" / "papers.parquet"], "skip").papers())
    assert len(papers) == 5
    assert [getattr(paper, "arxiv_id", None) for paper in papers][:2] == ["2309.00001v2", "2309.00002"]
    assert getattr(papers[0], "date", None) == "2023-09"


@pytest.mark.parametrize(("parts", "words"), [("abstract", 5), ("introduction-conclusion", 11), ("full", 11)])
def test_the_parts_of_the_text(sources: Path, tmp_path: Path, parts: str, words: int) -> None:
    run([sources / "2309.00001v2.gz"], tmp_path / "out", parts=parts)
    (row,) = pq.read_table(tmp_path / "out" / "papers.parquet").to_pylist()
    assert len(row["text"].split()) == words


def test_the_command_prints_the_counts(sources: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    arguments = [str(sources), "--out", str(tmp_path / "out"), "--workers", "1"]
    printed = CliRunner().invoke(app, arguments).stdout
    assert printed.startswith("5 papers: 1 ok, 1 partial, 1 no_tex, 2 failed\n        1  partial: no abstract\n")
    counts = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["counts"]
    assert (counts["papers"], counts["failed"]) == (5, 2)


def test_given_again_it_does_nothing_and_other_settings_are_refused(sources: Path, tmp_path: Path) -> None:
    first = run([sources], tmp_path / "out")
    assert run([sources], tmp_path / "out", num_workers=1) == first
    with pytest.raises(RunError, match="parts is"):
        run([sources], tmp_path / "out", parts="full")


def test_the_output_must_not_lie_in_the_sources(sources: Path) -> None:
    with pytest.raises(UserInputError, match="lies inside"):
        run([sources], sources / "out")


def test_what_was_converted_before_a_failure_is_not_converted_again(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latex, "_ITEMS_A_PART", 2)
    converted: list[str] = []
    convert = Workers.convert

    def interrupted(self: Workers, items: Sequence[Item]) -> Any:
        if len(converted) == 2 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        converted.extend(item.paper_id for item in items)
        return convert(self, items)

    stopped: list[bool] = []
    monkeypatch.setattr(Workers, "convert", interrupted)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run([sources], out)
    assert not (out / "manifest.json").exists()
    manifest = run([sources], out)
    assert converted == [item.paper_id for item in find_items([sources])]
    assert manifest["counts"]["papers"] == 5
    whole = run([sources], tmp_path / "other")
    assert whole["counts"] == manifest["counts"]
    assert pq.read_table(out / "papers.parquet").equals(pq.read_table(tmp_path / "other" / "papers.parquet"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    for index in range(12):
        (folder / f"2309.{index:05d}.gz").write_bytes(gzip.compress(PAPER.replace("A paper", f"No. {index}").encode()))
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from astrollama.corpus import latex\n"
        "latex._ITEMS_A_PART = 3\n"
        "if __name__ == '__main__':\n"
        "    latex.convert_sources([Path(sys.argv[1])], Path(sys.argv[2]), parts='full', metadata=None, num_workers=1, seconds=60.0)\n"
    )
    arguments = [sys.executable, str(script), str(folder), str(tmp_path / "out")]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not any((tmp_path / "out").glob("parts/part-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert any((tmp_path / "out").iterdir())
    assert subprocess.run(arguments, stderr=subprocess.DEVNULL, timeout=60, check=False).returncode == 0
    titles = pq.read_table(tmp_path / "out" / "papers.parquet")["title"].to_pylist()
    assert titles == [f"No. {index}" for index in range(12)]


def _misbehaves(item: Item) -> Any:
    if item.paper_id == "hangs":
        time.sleep(60)
    if item.paper_id == "falls":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item.paper_id == "grows":
        with suppress(MemoryError):
            bytearray(8 * 2**30)
            return workers.PaperText("ok", (), "")
        return workers.PaperText("failed", (), "out of memory")
    return workers.PaperText("ok", (), "", title=item.paper_id)


def test_a_conversion_that_hangs_falls_or_grows_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_START_SECONDS", 0.0)
    monkeypatch.setattr(workers, "_serve", _serve_badly)
    names = ["a", "hangs", "b", "falls", "c", "grows", "d"]
    items = [Item(name, tmp_path, 0, 0, "", "") for name in names]
    with Workers(2, 3.0) as pool:
        results = pool.convert(items)
    assert [result.title for result in results if result.status == "ok"] == ["a", "b", "c", "d"]
    assert [result.detail for result in results if result.status == "failed"] == [
        "time limit of 3 s",
        "the conversion fell over (SIGSEGV)",
        "out of memory",
    ]


def _serve_badly(connection: Any) -> None:
    workers.convert_item = _misbehaves
    workers._serve(connection)
