"""Whatever a file holds, reading it gives papers and unreadable records, or ends in one line that says why."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.errors import SourceError
from astrollama.records import Paper
from astrollama.sources.bibtex_text import plain_text
from astrollama.sources.files import FileSource, PassedOver, Unreadable

RECORDS: list[dict[str, Any]] = [
    {
        "id": f"0704.000{number}",
        "title": f"On haloes {number}",
        "abstract": f"Haloes are dark, the {number}th of them too.",
        "categories": "astro-ph.CO gr-qc",
        "date": "2007-04-02",
        "versions": [{"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"}],
    }
    for number in range(9)
]
JSON_LINES = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
BIBTEX = rb"""Exported from somewhere
@string{apj = "Astrophys. J."}
@Comment{jabref-meta: databaseType:bibtex;}
@ARTICLE{2016PhRvL.116f1102A,
  author = {{M{\"u}ller}, B.~P.}, title = "{The "Great Attractor," at {\'E}t{\'e}}",
  journal = apj # { and more}, year = 2016, month = "10~" # feb, keywords = {Astrophysics - Astrophysics of Galaxies},
  archivePrefix = {arXiv}, eprint = {1602.03837}, primaryClass = {gr-qc},
  abstract = "{M$_{\rm BH}$ {\ensuremath{\sim}}5 na{\"\i}ve 10\% \emph{in situ} {\it b} \AA}"
}
@misc(b, doi = {10.48550/arXiv.2001.01234}, abstract = {A "quoted" text with \{ a brace}, date = {2020-01-05})
"""
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["insert", "delete", "replace", "cut"]), st.binary(max_size=6)),
    max_size=6,
)
BIBTEX_PIECES = st.lists(
    st.sampled_from(
        [
            *'@{}()",=#\\$ \n',
            "article{k",
            "string",
            "abstract",
            "title",
            "arxiv:",
            "\\'e",
            "\\text",
            "{\\v",
            "\\ensuremath{",
        ]
    )
    | st.text(max_size=3),
    max_size=60,
).map("".join)

Read = Callable[[str, bytes], list[Paper | Unreadable | PassedOver] | SourceError]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Read a file with this content, whole and in two halves: the items, or the error."""
    folder = tmp_path_factory.mktemp("fuzz")

    def read(name: str, content: bytes) -> list[Paper | Unreadable | PassedOver] | SourceError:
        path = folder / name
        path.write_bytes(content)
        source = FileSource([path], "skip", categories=("astro-ph",))
        try:
            items = list(source.papers())
        except SourceError as error:
            return error
        assert all(isinstance(item, Paper | Unreadable | PassedOver) for item in items)
        half = len(items) // 2
        assert list(source.papers(half)) == items[half:]
        return items

    return read


def mutated(content: bytes, mutations: list[tuple[float, str, bytes]]) -> bytes:
    for place, kind, piece in mutations:
        at = int(place * len(content))
        if kind == "cut":
            content = content[:at] + piece
        else:
            rest = at if kind == "insert" else at + len(piece)
            content = content[:at] + (b"" if kind == "delete" else piece) + content[rest:]
    return content


def parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), sink, row_group_size=4)
    return sink.getvalue()


def arrow_bytes(kind: str) -> bytes:
    sink = io.BytesIO()
    table = pa.Table.from_pylist(RECORDS)
    with (pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return sink.getvalue()


def zip_bytes() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("papers.jsonl", JSON_LINES)
    return sink.getvalue()


def zstd_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(JSON_LINES)
    return bytes(sink.getvalue())


REAL = {
    "papers.jsonl": JSON_LINES,
    "papers.bib": BIBTEX,
    "papers.parquet": parquet_bytes(),
    "stream.arrow": arrow_bytes("stream"),
    "file.arrow": arrow_bytes("file"),
    "papers.jsonl.gz": gzip.compress(JSON_LINES),
    "papers.jsonl.bz2": bz2.compress(JSON_LINES),
    "papers.jsonl.xz": lzma.compress(JSON_LINES),
    "papers.jsonl.zst": zstd_bytes(),
    "papers.zip": zip_bytes(),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_that_are_to_be_damaged_can_be_read(read: Read, name: str) -> None:
    items = read(name, REAL[name])
    assert isinstance(items, list)
    assert len(items) == (2 if name.endswith(".bib") else len(RECORDS))
    assert not any(isinstance(item, Unreadable) for item in items)


@pytest.mark.parametrize("name", REAL)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(mutations=MUTATIONS)
def test_a_damaged_file_ends_in_one_line_or_in_records(
    read: Read, name: str, mutations: list[tuple[float, str, bytes]]
) -> None:
    assert read(name, mutated(REAL[name], mutations)) is not None


@pytest.mark.parametrize("name", [*REAL, "papers.json", "papers.ndjson.gz", "papers.bib.gz"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(content=st.binary(max_size=300))
def test_random_bytes_end_in_one_line_or_in_records(read: Read, name: str, content: bytes) -> None:
    assert read(name, content) is not None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELD_NAMES = st.sampled_from(["id", "title", "abstract", "categories", "primary", "date", "versions", "licence", "x"])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(records=st.lists(st.dictionaries(FIELD_NAMES, JSON_VALUES, max_size=5), min_size=1, max_size=4))
def test_every_json_object_is_a_paper_or_is_told_why_it_is_none(read: Read, records: list[dict[str, Any]]) -> None:
    content = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    items = read("papers.jsonl", content)
    assert isinstance(items, list)
    assert len(items) == len(records)


@pytest.mark.parametrize(
    "line",
    [
        b'{"abstract": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"date": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"versions": [{"created": ' + b"[" * 900 + b"]" * 900 + b"}]}",
        b'{"x": ' + b'{"x": ' * 100_000 + b"1" + b"}" * 100_001,
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": ' + b"9" * 4000 + b"}",
        b'{"id": 1e999}',
        b'{"id": NaN, "date": NaN}',
        b'{"date": 1e999, "update_date": -Infinity}',
        b'{"id": "\\ud800", "abstract": "\\udfff", "title": "\\ud83d"}',
        b'{"id": "a", "id": "b", "abstract": "first", "abstract": "second"}',
        b'{"abstract": "\x00"}',
        b'{"abstract": "\\u0000", "versions": [{"created": "Mon, 99 Foo 0 99:99:99 +9999999"}]}',
        b'{"abstract": "x", "versions": [null]}',
    ],
    ids=range(14),
)
def test_a_hostile_line_is_one_record_and_those_after_it_are_read(read: Read, line: bytes) -> None:
    items = read("papers.jsonl", JSON_LINES + line + b"\n" + JSON_LINES)
    assert isinstance(items, list)
    assert len(items) == 2 * len(RECORDS) + 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=BIBTEX_PIECES)
def test_whatever_is_written_in_bibtex_entries_before_and_after_are_read(read: Read, text: str) -> None:
    entry = b"@misc{%s, abstract = {A text}}"
    items = read("papers.bib", entry % b"first" + b"\n" + text.encode() + b"\n" + entry % b"last")
    assert isinstance(items, list)
    assert len(items) >= 2


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=BIBTEX_PIECES)
def test_any_latex_becomes_text(text: str) -> None:
    assert isinstance(plain_text(text), str)


PATHOLOGICAL = {
    "braces": "@a{" + "{" * 2_000_000,
    "starts": "@a{" * 700_000,
    "starts in lines": "@a\n" * 500_000,
    "quotes": '@a{k, abstract = "' + '"{' * 1_000_000,
    "open maths": "@a{k, abstract = {" + "\\(" * 1_000_000 + "}}",
    "dollars": "@a{k, abstract = {" + "$" * 2_000_001 + "}}",
    "commands": "@a{k, abstract = {" + "\\textab{" * 200_000 + "}" * 200_000 + "}}",
    "spaces": "@a{k, abstract" + " " * 2_000_000 + "}",
    "macros": "".join(f"@string{{a{number}={{}}}}\n" for number in range(120_000)),
    "macros of macros": "@string{a0={x}}\n" + "".join(f"@string{{a{n + 1}=a{n} # a{n}}}\n" for n in range(60)),
    "sums": "@a{k, abstract = " + "a#" * 1_000_000 + "a}",
    "url": "@a{k, url={arxiv:" + "a-" * 1_000_000 + "}}",
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_two_megabytes_of_anything_take_seconds(read: Read, name: str) -> None:
    started = time.process_time()
    assert read("papers.bib", PATHOLOGICAL[name].encode()) is not None
    assert time.process_time() - started < 20  # quadratic, each of them would take an hour
