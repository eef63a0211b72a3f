"""Files as they come: compressed, in folders, by category, too long."""

from __future__ import annotations

import bz2
import json
import lzma
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from astrollama.errors import SourceError
from astrollama.records import Paper
from astrollama.sources import json_lines
from astrollama.sources.files import FileSource, Unreadable
from tests.sources.test_files import RECORD, WriteJsonl, ids, read, skip, write_parquet


def compressed(folder: Path, content: bytes) -> dict[str, Path]:
    paths = {kind: folder / f"papers.jsonl.{kind}" for kind in ("bz2", "xz", "zst", "zip")}
    paths["bz2"].write_bytes(bz2.compress(content))
    paths["xz"].write_bytes(lzma.compress(content))
    with pa.CompressedOutputStream(str(paths["zst"]), "zstd") as stream:
        stream.write(content)
    with zipfile.ZipFile(paths["zip"], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arxiv-metadata-oai-snapshot.json", content)
        archive.writestr("__MACOSX/._arxiv-metadata-oai-snapshot.json", b"icon")
    return paths


@pytest.mark.parametrize(("kind", "name"), [("bz2", "bzip2"), ("xz", "xz"), ("zst", "zstd"), ("zip", "zip")])
def test_other_compressions_are_read_and_their_damage_is_told(tmp_path: Path, kind: str, name: str) -> None:
    content = b"".join(
        json.dumps({**RECORD, "id": str(n), "abstract": f"{n * n}" * 50}).encode() + b"\n" for n in range(99)
    )
    path = compressed(tmp_path, content)[kind]
    assert ids(path) == [str(number) for number in range(99)]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        SourceError, match=rf"papers\.jsonl\.{kind} is a damaged {name} file .*fetch or compress it again"
    ):
        list(FileSource([path], "skip").papers())


def test_a_folder_holds_compressed_files_too(tmp_path: Path) -> None:
    compressed(tmp_path, json.dumps(RECORD).encode())
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("picture.png", b"no papers")
    assert ids(tmp_path) == ["0704.0001"] * 4


def test_a_zip_file_is_known_by_what_it_holds(tmp_path: Path) -> None:
    for name, members in {"one": ["papers.bib"], "two": ["a.jsonl", "b.jsonl"], "none": [], "csv": ["a.csv"]}.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.mkdir("folder")
            for member in members:
                archive.writestr(f"folder/{member}", "@misc{a, abstract = {x}}")
    assert ids(tmp_path / "one.zip") == ["a"]
    with pytest.raises(SourceError, match=r"two\.zip holds 2 files: unpack it"):
        read(tmp_path / "two.zip")
    with pytest.raises(SourceError, match=r"csv\.zip is of an unknown format"):
        read(tmp_path / "csv.zip")
    with pytest.raises(SourceError, match=r"none\.zip"):
        read(tmp_path / "none.zip")


def test_an_encrypted_zip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "papers.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("papers.jsonl", json.dumps(RECORD))
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"papers\.zip is encrypted: unpack it first"):
        read(path)


@pytest.mark.parametrize("name", ["papers.jsonl.lz4", "papers.tar.gz", "papers.jsonl.7z"])
def test_other_compressions_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever it holds")
    with pytest.raises(SourceError, match=rf"{re.escape(name)} is of an unknown format: give JSONL"):
        read(tmp_path / name)


def test_what_describes_papers_and_what_is_hidden_is_not_read_as_papers(
    tmp_path: Path, write_jsonl: WriteJsonl
) -> None:
    folder = tmp_path / "papers"
    for name in (".cache", ".cache/deep", "data", "data/.hidden"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_jsonl(RECORD, name="papers/data/train.jsonl")
    unwanted = ["manifest.json", "dataset_info.json", "data/dataset_infos.json", "state.json", "data/dataset_dict.json"]
    unwanted += [".cache/a.jsonl", ".cache/deep/a.jsonl", "data/.hidden/a.jsonl", "data/.a.jsonl", ".partial-b.jsonl"]
    unwanted += ["deleted.csv", "data/cache-0123.arrow"]
    for name in unwanted:
        write_jsonl(RECORD, name=f"papers/{name}")
    assert [path.name for path in FileSource([folder]).files()] == ["train.jsonl"]


def stage_folder(folder: Path, stage: str, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        write_parquet(folder / name, id=[name], abstract=["x"])
    (folder / "manifest.json").write_text(json.dumps({"stage": stage}))
    return folder


def test_folders_of_our_own_stages_give_the_papers_that_they_hold_and_no_rejected_ones(tmp_path: Path) -> None:
    corpus = stage_folder(tmp_path / "all" / "corpus", "corpus", "train.parquet", "test.parquet", "rejected.parquet")
    harvest = stage_folder(tmp_path / "all" / "harvest", "harvest", "papers.parquet", "part-1.parquet")
    (harvest / "deleted.csv").write_text("id")
    stage_folder(tmp_path / "all" / "latex", "latex", "papers.parquet")
    assert ids(corpus) == ["train.parquet", "test.parquet"]
    assert ids(harvest) == ["papers.parquet"]
    assert ids(tmp_path / "all") == ["train.parquet", "test.parquet", "papers.parquet", "papers.parquet"]


def test_folders_of_other_stages_and_unfinished_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"was written by the stage 'pack': give a folder that holds papers"):
        read(stage_folder(tmp_path / "tokens", "pack", "shard.parquet"))
    unfinished = stage_folder(tmp_path / "outer" / "harvest", "harvest", "papers.parquet")
    (unfinished / "manifest.json").rename(unfinished / "stage.json")
    for path in (unfinished, tmp_path / "outer"):
        with pytest.raises(SourceError, match=r"harvest holds an unfinished run: let it end first"):
            read(path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"stage": 3}', b'{"name": "another program"}', b"\xff"])
def test_a_manifest_of_another_program_says_nothing(tmp_path: Path, content: bytes) -> None:
    folder = stage_folder(tmp_path / "papers", "any", "papers.parquet")
    (folder / "manifest.json").write_bytes(content)
    assert ids(folder) == ["papers.parquet"]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path, write_jsonl: WriteJsonl) -> None:
    write_jsonl(RECORD)
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "also.jsonl").symlink_to(tmp_path / "papers.jsonl")
    assert ids(tmp_path) == ["0704.0001"] * 2


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ((), ["ga", "old", "cross", "cs", "prefix", "none"]),
        (("astro-ph",), ["ga", "old", "cross"]),
        (("astro-ph.GA",), ["ga"]),
        (("astro-ph.GA", "cs.CL"), ["ga", "cross", "cs"]),
        (("physics.space-ph",), ["prefix"]),
        (("hep-th",), []),
    ],
)
def test_papers_of_other_categories_are_passed_over_and_still_counted(
    write_jsonl: WriteJsonl, wanted: tuple[str, ...], taken: list[str]
) -> None:
    categories = {
        "ga": "astro-ph.GA gr-qc",
        "old": "astro-ph",
        "cross": "cs.CL astro-ph.IM",
        "cs": "cs.CL",
        "prefix": "physics.space-ph astro-phx.GA",
        "none": "",
    }
    path = write_jsonl(*({"id": name, "abstract": "x", "categories": value} for name, value in categories.items()))
    items = list(FileSource([path], categories=wanted).papers())
    assert [item.arxiv_id for item in items if isinstance(item, Paper)] == taken
    assert [item.origin for item in items] == [f"papers.jsonl:{number}" for number in range(1, 7)]


def test_a_line_that_is_too_long_is_cut_off_and_told(write_jsonl: WriteJsonl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 2000)
    fits = {**RECORD, "abstract": "x" * 1800}
    path = write_jsonl(fits, {**RECORD, "abstract": "x" * 9000}, RECORD)
    first, unreadable, last = skip(path)
    assert isinstance(first, Paper)
    assert isinstance(last, Paper)
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.origin, unreadable.reason) == ("papers.jsonl:2", "too_long")
    assert len(unreadable.content) == 1000
    assert last.origin == "papers.jsonl:3"
    with pytest.raises(SourceError, match=r"papers\.jsonl, record 2: too long \(more than 2,000 bytes\)"):
        read(path)
    array = write_jsonl(b"[" + json.dumps(fits).encode() + b", " + json.dumps(fits).encode() + b"]", name="array.json")
    with pytest.raises(SourceError, match=r"array\.json is one JSON array"):
        skip(array)
