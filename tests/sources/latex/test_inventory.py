"""Which papers a place holds: by file names, folders, and arXiv's tars of tars."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from astrollama.errors import SourceError
from astrollama.sources.latex.inventory import digest, find_items, is_arxiv_id, paper_id
from astrollama.sources.latex.workers import convert_item
from tests.sources.latex.archives import PAPER, special, tar


@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        ("2309.06126v1", "", "2309.06126v1"),
        ("2309.06126.tar.gz", "", "2309.06126"),
        ("2309.06126.gz", "", "2309.06126"),
        ("arXiv-2309.06126v2.tar.gz", "", "2309.06126v2"),
        ("astro-ph9204001.gz", "", "astro-ph/9204001"),
        ("9204001.gz", "astro-ph", "astro-ph/9204001"),
        ("9204001v2", "hep-th", "hep-th/9204001v2"),
        ("0704.0001.pdf", "", "0704.0001"),
        ("my paper.tex", "", "my paper"),
        ("v1.2-draft.tgz", "", "v1.2-draft"),
    ],
)
def test_the_identifier_that_a_name_tells(name: str, folder: str, expected: str) -> None:
    assert paper_id(name, folder) == expected


def test_arxiv_identifiers() -> None:
    assert all(map(is_arxiv_id, ["2309.06126", "0704.0001v3", "astro-ph/9204001", "math.GT/0309136"]))
    assert not any(map(is_arxiv_id, ["paper", "2309", "figure1", "9204001"]))


def test_a_folder_of_packages_and_papers(tmp_path: Path) -> None:
    (tmp_path / "2309.00001.gz").write_bytes(gzip.compress(PAPER.encode()))
    (tmp_path / "2309.00002v1").write_bytes(tar(("ms.tex", PAPER)))
    (tmp_path / "2309.00003.pdf").write_bytes(b"%PDF")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    (tmp_path / "bare.tex").write_text(PAPER)
    (tmp_path / "README.txt").write_text("Not a paper.")
    (tmp_path / ".hidden.gz").write_bytes(b"")
    (tmp_path / "astro-ph").mkdir()
    (tmp_path / "astro-ph" / "9204001.gz").write_bytes(gzip.compress(PAPER.encode()))
    (tmp_path / "unpacked" / "sub").mkdir(parents=True)
    (tmp_path / "unpacked" / "ms.tex").write_text(PAPER)
    (tmp_path / "unpacked" / "figure.ps.gz").write_bytes(b"")
    (tmp_path / "unpacked" / "sub" / "table.tex").write_text("Part.")
    (tmp_path / "elsewhere.gz").symlink_to("/etc/passwd")
    items = list(find_items([tmp_path]))
    assert [item.paper_id for item in items] == [
        "2309.00001",
        "2309.00002v1",
        "2309.00003",
        "astro-ph/9204001",
        "bare",
        "unpacked",
    ]
    assert [convert_item(item).status for item in items] == ["ok", "ok", "no_tex", "ok", "ok", "ok"]


def test_a_folder_that_is_one_paper_has_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "2309.00009"
    folder.mkdir()
    (folder / "ms.tex").write_text(PAPER)
    assert [item.paper_id for item in find_items([folder])] == ["2309.00009"]
    assert [item.paper_id for item in find_items([folder / "ms.tex"])] == ["ms"]


def test_a_folder_named_by_an_identifier_is_one_paper_though_its_files_lie_deeper(tmp_path: Path) -> None:
    for inside in ("manuscript/main.tex", "response/reply.tex"):
        path = tmp_path / "2309.00009" / inside
        path.parent.mkdir(parents=True)
        path.write_text(PAPER)
    assert [item.paper_id for item in find_items([tmp_path])] == ["2309.00009"]


def test_a_bulk_tar_is_read_member_by_member(tmp_path: Path) -> None:
    bulk = tmp_path / "arXiv_src_2309_001.tar"
    bulk.write_bytes(
        tar(
            (special("2309", b"5"), ""),
            ("2309/2309.00001.gz", tar(("ms.tex", PAPER))),
            ("2309/2309.00002.pdf", b"%PDF-1.5"),
            ("2309/2309.00003.gz", gzip.compress(PAPER.replace("A paper", "The third").encode())),
            (special("2309/2309.00004.gz", b"2", "/etc/passwd"), ""),
            compressed=False,
        )
    )
    items = list(find_items([bulk]))
    assert [item.paper_id for item in items] == ["2309.00001", "2309.00002", "2309.00003", "2309.00004"]
    papers = [convert_item(item) for item in items]
    assert [paper.status for paper in papers] == ["ok", "no_tex", "ok", "failed"]
    assert papers[2].title == "The third"
    assert papers[3].detail == "a link or a device instead of a package"


def test_a_bulk_tar_of_another_name_is_known_by_what_it_holds(tmp_path: Path) -> None:
    old = tmp_path / "old.tar"
    old.write_bytes(tar(("9204/astro-ph9204001.gz", gzip.compress(PAPER.encode())), compressed=False))
    one = tmp_path / "one.tar"
    one.write_bytes(tar(("ms.tex", PAPER), compressed=False))
    assert [item.paper_id for item in find_items([old, one])] == ["astro-ph/9204001", "one"]


def test_a_damaged_bulk_tar_keeps_what_came_before(tmp_path: Path) -> None:
    whole = tar(
        ("2309/2309.00001.gz", gzip.compress(PAPER.encode())), ("2309/2309.00002.gz", PAPER * 99), compressed=False
    )
    bulk = tmp_path / "arXiv_src_2309_001.tar"
    for cut, statuses in ((3000, ["ok", "failed", "failed"]), (100, ["failed"])):
        bulk.write_bytes(whole[:cut])
        papers = [convert_item(item) for item in find_items([bulk])]
        assert [paper.status for paper in papers] == statuses
        assert papers[-1].detail.startswith("the bulk tar is damaged after")


def test_places_without_papers_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        list(find_items([tmp_path / "gone.gz"]))
    with pytest.raises(SourceError, match="holds no paper"):
        list(find_items([tmp_path]))


def test_the_digest_tells_names_and_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "1.gz"
    file.write_bytes(b"1")
    first = digest([tmp_path / "a"])
    assert digest([tmp_path / "a"]) == first
    file.write_bytes(b"2")
    assert digest([tmp_path / "a"]) != first
    file.write_bytes(b"1")
    file.rename(tmp_path / "a" / "2.gz")
    assert digest([tmp_path / "a"]) != first
