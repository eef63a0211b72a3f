"""Plain text: blocks between blank lines."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.corpus.build import import_corpus
from astrollama.corpus.store import read_documents
from astrollama.errors import SourceError
from astrollama.records import UNKNOWN, Paper
from astrollama.sections import CorpusSection
from astrollama.sources import plain_text
from astrollama.sources.files import FileSource, Unreadable
from astrollama.sources.plain_text import base_name
from tests.sources.test_files import ids, read, skip

SHARED = Path(__file__).parents[3] / "shared"
TEXT = b"""
 = The lobster =

 A lobster lives in the sea .
 It has ten legs .
   \t
\xc2\xa0\xe3\x80\x80
 Caf\xc3\xa9s serve it ."""


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def texts(path: Path) -> list[str | None]:
    return [item.abstract for item in read(path) if isinstance(item, Paper)]


def test_a_block_between_blank_lines_is_a_text_with_nothing_else(tmp_path: Path) -> None:
    papers = read(write(tmp_path / "animals.v2.txt", TEXT))
    assert [(paper.arxiv_id, paper.abstract, paper.origin) for paper in papers if isinstance(paper, Paper)] == [
        ("animals.v2:1", "= The lobster =", "animals.v2.txt:2"),
        ("animals.v2:2", "A lobster lives in the sea .\n It has ten legs .", "animals.v2.txt:4"),
        ("animals.v2:3", "Cafés serve it .", "animals.v2.txt:8"),
    ]
    assert {(p.title, p.categories, p.date, p.licence) for p in papers if isinstance(p, Paper)} == {
        ("", (UNKNOWN,), "", "")
    }


@pytest.mark.parametrize("text_field", ["abstract", "text"])
def test_the_text_is_the_text_whatever_field_other_files_have_it_in(tmp_path: Path, text_field: str) -> None:
    source = FileSource([write(tmp_path / "a.txt", b"one\n\ntwo")], text_field=text_field)
    assert [paper.abstract for paper in source.papers() if isinstance(paper, Paper)] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"one\r\n\r\ntwo\r\n", ["one", "two"]),
        (b"\xef\xbb\xbf\n\none", ["one"]),
        (b"\xef\xbb\xbfone\ntwo\n\n\n", ["one\ntwo"]),
        (b"one", ["one"]),
    ],
    ids=["windows", "mark alone", "mark before text", "no line end"],
)
def test_line_ends_and_byte_order_marks_are_no_part_of_a_text(
    tmp_path: Path, content: bytes, expected: list[str]
) -> None:
    assert texts(write(tmp_path / "a.txt", content)) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(alphabet="ab\n\n\n \t\r\v\xa0\u3000é\ufeff", max_size=60))
def test_no_word_of_any_text_is_lost_and_no_text_holds_a_blank_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.txt", f"first {text} last".encode())
    found = [text or "" for text in texts(path)]
    assert [word for text in found for word in text.split()] == f"first {text} last".split()
    assert all(line.strip() for text in found for line in text.split("\n"))


def test_every_compression_gives_the_same_texts(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.txt", TEXT)
    write(tmp_path / "a.txt.gz", gzip.compress(TEXT))
    write(tmp_path / "a.TXT.bz2", bz2.compress(TEXT))
    write(tmp_path / "a.txt.xz", lzma.compress(TEXT))
    with pa.CompressedOutputStream(str(tmp_path / "a.txt.zst"), "zstd") as stream:
        stream.write(TEXT)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/other.txt", TEXT)
    packed = [path for path in tmp_path.iterdir() if path != plain]
    assert len(packed) == 5
    for path in packed:
        assert (ids(path), texts(path)) == (ids(plain), texts(plain)), path


@pytest.mark.parametrize(
    ("name", "base"),
    [("a.txt", "a"), ("a.b.TXT.Gz", "a.b"), ("a.zip", "a"), ("a.txt.zip", "a"), ("a.gz.txt", "a.gz"), (".txt", ".txt")],
)
def test_the_base_name_is_without_the_suffixes_that_are_known(name: str, base: str) -> None:
    assert base_name(Path("folder.txt") / name) == base


BROKEN = [
    (b"caf\xe9", "not_utf8", "byte 0xe9 in line 4"),
    (b"one line\nand \0", "not_text", "byte 0x00 in line 5"),
    ("one".encode("utf-16"), "not_utf8", "byte 0xff in line 4"),
    ("one".encode("utf-16-le"), "not_text", "byte 0x00 in line 4"),
    (b"\x89PNG\r\n\x1a\n\0\0", "not_utf8", "byte 0x89 in line 4"),
]


@pytest.mark.parametrize(("block", "reason", "detail"), BROKEN)
def test_a_block_that_is_no_text_stops_the_reading_or_is_kept_whole(
    tmp_path: Path, block: bytes, reason: str, detail: str
) -> None:
    path = write(tmp_path / "a.txt", b"one\n\n\n" + block + b"\n\nlast")
    before, unreadable, after = skip(path)
    assert isinstance(before, Paper)
    assert isinstance(after, Paper)
    assert after.arxiv_id == "a:3"
    content = block.decode("utf-8", "backslashreplace")
    assert unreadable == Unreadable("a.txt:4", reason, detail, content)
    with pytest.raises(
        SourceError, match=rf"a\.txt, line 4: {reason.replace('_', ' ')} \({detail}\): .*--on-error skip"
    ):
        read(path)


@pytest.mark.parametrize("newline", [b" ", b"\n"], ids=["a long line", "many lines"])
def test_a_block_that_is_too_long_is_cut_off_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newline: bytes
) -> None:
    monkeypatch.setattr(plain_text, "MAX_BLOCK_BYTES", 2000)
    fits = b"abc " * 499
    path = write(tmp_path / "a.txt", b"\n\n".join([fits, (b"word" + newline) * 3000, b"last"]))
    first, unreadable, last = skip(path)
    assert isinstance(first, Paper)
    assert isinstance(last, Paper)
    assert last.abstract == "last"
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.origin, unreadable.reason, unreadable.detail) == ("a.txt:3", "too_long", "more than 2,000 bytes")
    assert len(unreadable.content) == 1000 - (newline == b"\n")
    with pytest.raises(SourceError, match=r"a\.txt, line 3: too long \(more than 2,000 bytes\)"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf", gzip.compress(b"\n")])
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_file_without_text_is_refused(tmp_path: Path, content: bytes, on_error: str) -> None:
    path = write(tmp_path / "a.txt", content)
    with pytest.raises(SourceError, match=r"a\.txt (is empty|holds no records): give a file with at least one paper"):
        list(FileSource([path], "skip" if on_error == "skip" else "stop").papers())


def test_texts_of_files_of_one_name_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first = write(tmp_path / "a" / "news.txt", b"one")
    second = write(tmp_path / "b" / "news.txt.gz", gzip.compress(b"two"))
    wanted = f"the texts of {first} and {second} would have the same identifiers: rename one of them"
    with pytest.raises(SourceError, match=re.escape(wanted)):
        next(FileSource([first, second]).papers())
    assert ids(first, Path(first)) == ["news:1", "news:1"]
    assert ids(first, second.rename(tmp_path / "b" / "olds.txt.gz")) == ["news:1", "olds:1"]


def test_text_beside_papers_is_read_only_where_it_is_named(tmp_path: Path) -> None:
    notes = write(tmp_path / "notes.txt", b"about these papers")
    with pytest.raises(SourceError, match=r"holds no file of papers: give JSONL, .* text files by their names"):
        read(tmp_path)
    write(tmp_path / "papers.jsonl", b'{"id": "a", "abstract": "x"}')
    assert ids(tmp_path) == ["a"]
    assert ids(tmp_path, notes) == ["a", "notes:1"]


def test_reading_goes_on_after_any_number_of_texts_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.txt", TEXT + b"\n\n\xff\n\nend"),
        write(tmp_path / "b.txt.gz", gzip.compress(TEXT)),
    ]
    source = FileSource(paths, "skip")
    whole = list(source.papers())
    assert {type(item) for item in whole} == {Paper, Unreadable}
    for taken in range(len(whole) + 2):
        assert list(source.papers(taken)) == whole[taken:], taken


def test_a_large_file_passes_through_little_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt.gz", gzip.compress((b"A line of a text.\n" * 10 + b"\n") * 20_000, 1))
    tracemalloc.start()
    try:
        count = sum(1 for _ in FileSource([path]).papers())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 1 << 20


def test_headings_are_rejected_as_too_short_and_kept(tmp_path: Path) -> None:
    blocks = [
        f" = Heading {number} = \n\n {' '.join(f'word{number}x{n}' for n in range(30))} .\n" for number in range(40)
    ]
    path = write(tmp_path / "general.txt", "\n".join(blocks).encode())
    manifest = import_corpus(FileSource([path]), CorpusSection(split="random", min_prose_ratio=0.1), tmp_path / "out")
    counts = manifest["counts"]
    assert counts["records"] == 80
    assert counts["rejected"] == {"too_short": 40}
    assert counts["train"] + counts["validation"] + counts["test"] == 40
    rejected = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert (rejected[0]["id"], rejected[0]["text"], rejected[0]["detail"]) == ("general:1", "= Heading 0 =", "4 words")
    assert all(
        int(document.id.removeprefix("general:")) % 2 == 0
        for document in read_documents(tmp_path / "out" / "train.parquet")
    )


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder 'shared' with real data beside the checkout")
def test_an_encyclopaedia_becomes_texts_and_headings(tmp_path: Path) -> None:
    path = SHARED / "general" / "wikitext2_valid.txt.gz"
    found = texts(path)
    whole = gzip.decompress(path.read_bytes()).decode()
    assert [word for text in found for word in (text or "").split()] == whole.split()
    headings = [text for text in found if text and re.fullmatch(r"(= )+.*( =)+", text)]
    assert 0.4 * len(found) < len(headings) < 0.6 * len(found)
