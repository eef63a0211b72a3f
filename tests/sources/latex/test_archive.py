"""Packages are read in memory, whatever they are made of; what could do harm is left out or ends in a reason."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from astrollama.sources.latex import archive as archive_module
from astrollama.sources.latex import limits
from astrollama.sources.latex.archive import Package, read_folder, read_package, safe_name
from astrollama.sources.latex.convert import convert
from astrollama.sources.latex.problems import ConversionError, NoTexError
from tests.sources.latex.archives import PAPER, special, tar


def read(data: bytes) -> Package:
    return read_package(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(PAPER.encode()),
        PAPER.encode(),
        b"%!TEX encoding = UTF-8\n" + PAPER.encode(),
        tar(("ms.tex", PAPER)),
        tar(("ms.tex", PAPER), compressed=False),
        tar(("./ms.tex", PAPER), ("fig.eps", b"%!PS" + bytes(999))),
        gzip.compress(PAPER[:50].encode()) + gzip.compress(PAPER[50:].encode()),
    ],
    ids=["gzip", "plain", "editor's line", "tar.gz", "tar", "dot", "two gzip members"],
)
def test_a_package_of_each_form_is_read_by_its_content(data: bytes) -> None:
    paper = convert(read(data))
    assert (paper.status, paper.title, paper.abstract) == ("ok", "A paper", "The abstract of a paper.")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty package"),
        (gzip.compress(b""), "no file of text"),
        (b"%PDF-1.5 ...", "a PDF without source"),
        (gzip.compress(b"%PDF-1.5 ..."), "a PDF without source"),
        (gzip.compress(b"%!PS-Adobe-2.0"), "PostScript without source"),
        (gzip.compress(b"PK\x03\x04..."), "a zip file"),
        (gzip.compress(b"%auto-ignore\nThis paper has been withdrawn by the author.\n"), "withdrawn"),
        (gzip.compress(b"\\documentstyle{article} % Paper withdrawn"), "withdrawn"),
        (PAPER.replace("The introduction.", "This paper has been withdrawn.").encode(), "withdrawn"),
        (b"Nothing here.", "a short text without TeX"),
        (gzip.compress(b"<!DOCTYPE html><html>\\</html>"), "HTML without source"),
        (tar(("a.pdf", b"%PDF"), ("b.eps", b"x")), "no file of text"),
    ],
)
def test_a_package_without_tex_says_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(NoTexError, match=reason):
        read(data)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.tex", "a/../../up.tex", "a\\b.tex", "C:/x.tex", "a\x00b.tex", "x" * 600, "", "."]
)
def test_a_name_that_leads_out_of_the_package_is_no_name(name: str) -> None:
    assert safe_name(name) is None


def test_names_are_made_plain() -> None:
    assert safe_name("./a//b/./c.tex") == "a/b/c.tex"


def test_members_that_could_do_harm_are_left_out_and_told() -> None:
    data = tar(
        ("ms.tex", PAPER),
        ("../out.tex", "no"),
        ("/abs.tex", "no"),
        (special("link.tex", tarfile.SYMTYPE, "/etc/passwd"), ""),
        (special("hard.tex", tarfile.LNKTYPE, "ms.tex"), ""),
        (special("device", tarfile.CHRTYPE), ""),
        (special("pipe", tarfile.FIFOTYPE), ""),
        ("ms.tex", PAPER.replace("A paper", "Another")),
    )
    package = read(data)
    assert list(package.files) == ["ms.tex"]
    assert package.problems.kinds == [
        "left out a file whose name is not safe",
        "left out a link",
        "left out a device",
        "left out a second file of one name",
    ]
    paper = convert(package)
    assert (paper.status, paper.title) == ("partial", "A paper")
    assert "link.tex, hard.tex" in paper.detail


@pytest.mark.parametrize("cut", [5, 20, -9, -1])
@pytest.mark.parametrize("data", [tar(("ms.tex", PAPER)), gzip.compress(PAPER.encode())], ids=["tar.gz", "gzip"])
def test_a_cut_off_package_is_damaged(data: bytes, cut: int) -> None:
    with pytest.raises(ConversionError, match="a damaged archive"):
        read(data[:cut])


def test_a_cut_off_tar_is_damaged() -> None:
    with pytest.raises(ConversionError, match="a damaged archive"):
        read(tar(("ms.tex", PAPER * 10), compressed=False)[:1024])


def test_a_flipped_bit_is_found() -> None:
    data = bytearray(tar(("ms.tex", PAPER)))
    data[-6] ^= 1  # in the checksum
    with pytest.raises(ConversionError, match="a damaged archive"):
        read(bytes(data))


def test_gzip_within_gzip() -> None:
    with pytest.raises(ConversionError, match="gzip within gzip"):
        read(gzip.compress(gzip.compress(PAPER.encode())))


def test_a_bomb_of_zeros_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(64 * limits.MIB))
    with pytest.raises(ConversionError, match="unpacks to more than 200 times its size"):
        read(tar(("ms.tex", PAPER), ("zeros.dat", bytes(48 * limits.MIB))))
    with pytest.raises(ConversionError, match="MiB"):
        read(bomb)


@pytest.mark.parametrize(
    ("limit", "value", "members", "reason"),
    [
        ("MAX_MEMBERS", 3, [(f"{index}.tex", PAPER) for index in range(5)], "more than 3 files"),
        ("MAX_TEXT_FILE_BYTES", 1000, [("ms.tex", PAPER * 9)], "a file of more than"),
        ("MAX_TEXT_BYTES", 1000, [(f"{index}.tex", PAPER) for index in range(5)], "of text"),
        ("MAX_UNPACKED_BYTES", 5000, [("ms.tex", PAPER), ("a.eps", bytes(9999))], "it unpacks to more than"),
    ],
)
def test_a_package_beyond_a_limit(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, members: list[tuple[str, str]], reason: str
) -> None:
    monkeypatch.setattr(archive_module, limit, value)
    with pytest.raises(ConversionError, match=reason):
        read(tar(*members))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("00README.XXX", "nohypertex\nb.tex toplevelfile\n"),
        ("00README.json", json.dumps({"sources": [{"filename": "b.tex", "usage": "toplevel"}]})),
        ("00README.yaml", "spec_version: 1\nsources:\n- usage: toplevel\n- filename: b.tex\n  usage: toplevel\n"),
    ],
)
def test_the_toplevel_file_is_known_from_the_readme(name: str, text: str) -> None:
    package = read(tar(("a.tex", PAPER * 2), ("b.tex", PAPER.replace("A paper", "Another")), (name, text)))
    assert package.toplevel == "b.tex"
    assert convert(package).title == "Another"


def test_an_unpacked_folder_is_read_without_its_links(tmp_path: Path) -> None:
    outside = tmp_path / "secret.tex"
    outside.write_text("Secret.")
    folder = tmp_path / "paper"
    (folder / "parts").mkdir(parents=True)
    (folder / "ms.tex").write_text(
        PAPER.replace("The introduction.", r"\input{parts/intro}\input{link}\input{up/secret}\input{../secret}")
    )
    (folder / "parts" / "intro.tex").write_text("From a part.")
    (folder / "link.tex").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path)
    (folder / "ring").symlink_to(folder)
    os.mkfifo(folder / "pipe.tex")
    package = read_folder(folder)
    assert sorted(package.files) == ["ms.tex", "parts/intro.tex"]
    paper = convert(package)
    assert "From a part." in paper.text("full")
    assert "Secret" not in paper.text("full")
    assert paper.detail == "left out a link: link.tex, ring, up; missing file: link, up/secret, ../secret"
