from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrollama.errors import SourceError
from astrollama.records import Paper
from astrollama.sources.files import FileSource, PassedOver, Unreadable

RECORD = {"id": "0704.0001", "title": "On haloes", "abstract": "Haloes are dark.", "categories": ["astro-ph.CO"]}
SNAPSHOT = {
    "id": "astro-ph/0101001",
    "submitter": "A. Author",
    "authors": "A. Author and B. Author",
    "title": "  A title\n  over two lines ",
    "comments": None,
    "doi": None,
    "license": "http://creativecommons.org/licenses/by/4.0/",
    "abstract": "  An abstract\nover two lines.\n",
    "categories": "astro-ph.CO gr-qc hep-th",
    "versions": [
        {"version": "v1", "created": "Tue, 2 Jan 2001 23:18:42 GMT"},
        {"version": "v2", "created": "Mon, 30 Jul 2007 10:00:00 GMT"},
    ],
    "update_date": "2009-11-24",
    "authors_parsed": [["Author", "A.", ""]],
}

WriteJsonl = Callable[..., Path]


Item = Paper | Unreadable | PassedOver


def read(*paths: Path) -> list[Item]:
    return list(FileSource(paths).papers())


def ids(*paths: Path) -> list[str]:
    return [paper.arxiv_id for paper in read(*paths) if isinstance(paper, Paper)]


def skip(path: Path) -> list[Item]:
    return list(FileSource([path], on_error="skip").papers())


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_plain_record_becomes_a_paper(write_jsonl: WriteJsonl) -> None:
    record = {**RECORD, "primary": "gr-qc", "date": "2007-03-31", "licence": "CC0-1.0"}
    assert read(write_jsonl(record)) == [
        Paper(
            arxiv_id="0704.0001",
            title="On haloes",
            abstract="Haloes are dark.",
            categories=("astro-ph.CO",),
            primary_category="gr-qc",
            date="2007-03-31",
            licence="CC0-1.0",
            origin="papers.jsonl:1",
        )
    ]


def test_a_snapshot_record_has_the_date_of_its_first_version_and_every_category(write_jsonl: WriteJsonl) -> None:
    [paper] = read(write_jsonl(SNAPSHOT, name="arxiv-metadata-oai-snapshot.json"))
    assert isinstance(paper, Paper)
    assert paper.categories == ("astro-ph.CO", "gr-qc", "hep-th")
    assert paper.primary_category == "astro-ph.CO"
    assert paper.date == "2001-01-02"
    assert paper.licence == "http://creativecommons.org/licenses/by/4.0/"
    assert paper.abstract == "An abstract\nover two lines."


def test_gzipped_files_are_read_whatever_their_names(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(RECORD).encode())
    for name in ("a.jsonl.gz", "b.jsonl", "c.json", "d.ndjson.gz"):
        (tmp_path / name).write_bytes(packed)
        assert ids(tmp_path / name) == ["0704.0001"]


def test_a_plain_file_that_claims_to_be_gzipped_is_read(write_jsonl: WriteJsonl) -> None:
    assert ids(write_jsonl(RECORD, name="papers.jsonl.gz")) == ["0704.0001"]


def test_parquet_gives_the_same_papers_as_jsonl(tmp_path: Path, write_jsonl: WriteJsonl) -> None:
    records: list[dict[str, Any]] = [
        {**RECORD, "categories": ["astro-ph.CO", "gr-qc"], "date": "2007-04-01"},
        {**RECORD, "id": "0704.0002", "abstract": None},
    ]
    columns = {key: [record.get(key) for record in records] for key in records[0]}
    as_parquet = write_parquet(tmp_path / "papers.jsonl.parquet", **columns)
    renamed = as_parquet.rename(tmp_path / "other.parquet")
    same = [Paper(**{**_fields(p), "origin": p.origin.replace("other.parquet", "papers.jsonl")}) for p in read(renamed)]
    assert same == read(write_jsonl(*records))


def _fields(paper: Item) -> dict[str, Any]:
    return {name: getattr(paper, name) for name in Paper.__dataclass_fields__}


def test_dates_and_versions_in_parquet_columns_are_understood(tmp_path: Path) -> None:
    stamps = write_parquet(
        tmp_path / "stamps.parquet", abstract=["x"], date=pa.array([1_000_000_000], pa.timestamp("s"))
    )
    versions = write_parquet(tmp_path / "versions.parquet", abstract=["x"], versions=[SNAPSHOT["versions"]])
    assert [paper.date for paper in read(stamps, versions) if isinstance(paper, Paper)] == ["2001-09-09", "2001-01-02"]


def test_a_folder_is_read_in_the_order_of_its_names_and_other_files_are_left_alone(
    tmp_path: Path, write_jsonl: WriteJsonl
) -> None:
    folder = tmp_path / "papers"
    (folder / "2020").mkdir(parents=True)
    write_jsonl({**RECORD, "id": "last"}, name="papers/b.jsonl")
    write_jsonl({**RECORD, "id": "middle"}, name="papers/a.jsonl.gz")
    write_parquet(folder / "2020" / "x.parquet", id=["first"], abstract=["x"])
    (folder / "README.txt").write_text("not papers")
    assert ids(folder) == ["first", "middle", "last"]


def test_several_paths_are_read_in_the_order_given(write_jsonl: WriteJsonl) -> None:
    b = write_jsonl({**RECORD, "id": "b"}, name="b.jsonl")
    a = write_jsonl({**RECORD, "id": "a"}, name="a.jsonl")
    assert ids(b, a) == ["b", "a"]


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_no_part_of_the_records(tmp_path: Path) -> None:
    line = json.dumps(RECORD).encode()
    path = tmp_path / "papers.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line.replace(b"0001", b"0002"))
    papers = read(path)
    assert [paper.origin for paper in papers] == ["papers.jsonl:1", "papers.jsonl:4"]
    assert ids(path) == ["0704.0001", "0704.0002"]


def test_a_record_without_an_abstract_is_a_paper_without_one(write_jsonl: WriteJsonl) -> None:
    [missing, null] = read(write_jsonl({"id": "0704.0001"}, {"id": "0704.0002", "abstract": None}))
    assert isinstance(missing, Paper)
    assert isinstance(null, Paper)
    assert missing.abstract is null.abstract is None


BROKEN = [
    (b'{"id": "a", "abstract": "cut of', "broken_json", r"broken json \(.*column \d+\)"),
    (b'{"id": "a"} {"id": "b"}', "broken_json", r"broken json \(Extra data at column 13"),
    (b'{"abstract": "caf\xe9"}', "not_utf8", r"not utf8 \(byte 0xe9 at column 18\)"),
    (b'["0704.0001", "title"]', "not_a_record", r"not a record \(list instead of an object\)"),
    (b"7", "not_a_record", r"not a record \(int instead of an object\)"),
    (b"null", "not_a_record", r"not a record \(NoneType instead of an object\)"),
    (b'{"abstract": 7}', "malformed_record", r"malformed record \(abstract is int, not text\)"),
    (b'{"title": ["a"], "abstract": "b"}', "malformed_record", r"malformed record \(title is list, not text\)"),
    (b'{"categories": 3, "abstract": "b"}', "malformed_record", r"malformed record \(categories is neither text"),
    (b'{"categories": ["a", 3], "abstract": "b"}', "malformed_record", r"malformed record \(categories is neither"),
    (b"[" * 100_000, "broken_json", r"broken json"),
]
BROKEN_IDS = [f"{reason}-{number}" for number, (_, reason, _) in enumerate(BROKEN)]


@pytest.mark.parametrize(("line", "reason", "message"), BROKEN, ids=BROKEN_IDS)
def test_a_record_that_cannot_be_read_stops_the_reading_and_its_number_is_told(
    write_jsonl: WriteJsonl, line: bytes, reason: str, message: str
) -> None:
    path = write_jsonl(RECORD, RECORD, line, RECORD)
    with pytest.raises(SourceError, match=rf"papers\.jsonl, record 3: {message}.*--on-error skip"):
        read(path)


@pytest.mark.parametrize(("line", "reason", "message"), BROKEN, ids=BROKEN_IDS)
def test_a_record_that_cannot_be_read_is_kept_whole_when_skipped(
    write_jsonl: WriteJsonl, line: bytes, reason: str, message: str
) -> None:
    before, unreadable, after = skip(write_jsonl(RECORD, line, RECORD))
    assert isinstance(before, Paper)
    assert isinstance(after, Paper)
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.origin, unreadable.reason) == ("papers.jsonl:2", reason)
    assert unreadable.content == line.decode("utf-8", "backslashreplace")
    assert unreadable.detail


def test_a_parquet_record_that_cannot_be_read_is_kept_whole_when_skipped(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "p.parquet", id=["a", "b"], abstract=pa.array([b"x", None], pa.binary()))
    unreadable, paper = skip(path)
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.origin, unreadable.reason) == ("p.parquet:1", "malformed_record")
    assert json.loads(unreadable.content)["id"] == "a"
    assert isinstance(paper, Paper)
    with pytest.raises(SourceError, match=r"p\.parquet, record 1: malformed record \(abstract is bytes, not text\)"):
        read(path)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize(
    "content",
    [json.dumps([RECORD, RECORD]), json.dumps([RECORD], indent=1), json.dumps(RECORD, indent=1)],
    ids=["array on one line", "array over lines", "record over lines"],
)
def test_json_that_is_not_one_record_a_line_is_named_with_the_command_that_makes_it_so(
    tmp_path: Path, content: str, on_error: Any
) -> None:
    path = tmp_path / "papers.json"
    path.write_text(content)
    with pytest.raises(SourceError, match=r"papers\.json is one JSON (array|value).*jq -c '\.\[\]'"):
        list(FileSource([path], on_error).papers())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", r"a\.jsonl is empty: give a file with at least one paper"),
        ("a.jsonl", b"\n  \n", r"a\.jsonl holds no records"),
        ("a.jsonl", b"\xef\xbb\xbf", r"a\.jsonl holds no records"),
        ("a.jsonl.gz", gzip.compress(b""), r"a\.jsonl\.gz holds no records"),
        ("a.csv", b"id,abstract\n", r"a\.csv is of an unknown format: give JSONL, JSONL\.gz, .* or Parquet"),
        ("a.gz", gzip.compress(b"{}"), r"a\.gz is of an unknown format"),
        ("a.parquet", b"PAR1 and then nothing", r"a\.parquet is a damaged Parquet file .*: fetch or write it again"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00 not gzip", r"a\.jsonl\.gz is a damaged gzip file after line 0"),
    ],
)
def test_a_file_that_holds_no_papers_is_refused_with_its_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for source in (FileSource([path]), FileSource([path], "skip")):
        with pytest.raises(SourceError, match=message):
            list(source.papers())


def test_a_truncated_gzip_file_gives_what_it_holds_and_then_tells_where_it_ends(tmp_path: Path) -> None:
    lines = b"".join(
        json.dumps({**RECORD, "id": str(n), "abstract": f"{n * n}" * 50}).encode() + b"\n" for n in range(99)
    )
    path = tmp_path / "papers.jsonl.gz"
    path.write_bytes(gzip.compress(lines)[:-20])
    papers = FileSource([path], "skip").papers()
    assert next(papers).origin == "papers.jsonl.gz:1"
    with pytest.raises(
        SourceError, match=r"papers\.jsonl\.gz is a damaged gzip file after line \d+ .*fetch or compress"
    ):
        list(papers)


def test_a_truncated_parquet_file_is_told_to_be_damaged(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "papers.parquet", id=["a"], abstract=["b"])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SourceError, match=r"papers\.parquet is a damaged Parquet file"):
        read(path)


def test_parquet_without_abstracts_names_the_columns_it_has(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "papers.parquet", id=["a"], summary=["b"])
    with pytest.raises(SourceError, match=r"no column 'abstract' but id, summary: rename the column"):
        read(path)


def test_parquet_with_no_rows_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "papers.parquet", abstract=pa.array([], pa.string()))
    with pytest.raises(SourceError, match=r"papers\.parquet holds no records"):
        read(path)


def test_missing_paths_and_folders_without_papers_are_named_before_anything_is_read(
    tmp_path: Path, write_jsonl: WriteJsonl
) -> None:
    good, missing = write_jsonl(RECORD), tmp_path / "missing.jsonl"
    with pytest.raises(SourceError, match=re.escape(f"there is no file {missing}: check the path")):
        next(FileSource([good, missing]).papers())
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no papers")
    with pytest.raises(SourceError, match=re.escape(f"{empty} holds no file of papers: give JSONL")):
        FileSource([empty]).files()


@pytest.mark.parametrize(("value", "unit"), [(1, "ns"), (10**18, "us")])
def test_a_parquet_date_that_python_cannot_hold_is_no_crash(tmp_path: Path, value: int, unit: str) -> None:
    good = {"id": "0704.0001", "abstract": "x"}
    columns = {key: [text] for key, text in good.items()}
    path = write_parquet(tmp_path / "papers.parquet", **columns, date=pa.array([value], pa.timestamp(unit)))
    assert len(skip(path)) == 1


def test_a_first_record_that_is_a_list_is_skipped_as_any_other_is(write_jsonl: WriteJsonl) -> None:
    unreadable, paper = skip(write_jsonl(b"[1, 2]", RECORD))
    assert isinstance(unreadable, Unreadable)
    assert isinstance(paper, Paper)


def test_a_record_that_is_cut_off_is_told_to_be_so(write_jsonl: WriteJsonl) -> None:
    with pytest.raises(SourceError, match=r"broken json \(Unterminated string starting at column 25\)"):
        read(write_jsonl(b'{"id": "a", "abstract": "cut of'))


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "papers.jsonl")
    with pytest.raises(SourceError, match="is a pipe or a device: write the papers to a file first"):
        read(tmp_path / "papers.jsonl")


def mixed_folder(folder: Path) -> Path:
    """Files of every format, with records that cannot be read and records of other categories among them."""
    other = {**RECORD, "categories": "cs.CL"}
    lines = [json.dumps(RECORD).encode(), b"broken", b"", json.dumps(other).encode(), b"  ", b"\xff", b"[1]"]
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"\n".join(lines))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    (folder / "c.bib").write_text(
        "@misc{a, abstract={x}, primaryclass={astro-ph}}\n@misc{b\n@misc{c, abstract=m, primaryclass={cs.CL}}\n@string{m=}"
    )
    table = pa.table(
        {"id": list("abcdefg"), "abstract": ["x"] * 7, "categories": ["astro-ph.GA", "cs.CL"] * 3 + [None]}
    )
    pq.write_table(table, folder / "d.parquet", row_group_size=2)
    with pa.ipc.new_stream(folder / "e.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return folder


def test_reading_goes_on_after_any_number_of_records_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    source = FileSource([mixed_folder(tmp_path / "papers")], "skip", categories=("astro-ph",))
    whole = list(source.papers())
    assert {type(item) for item in whole} == {Paper, Unreadable, PassedOver}
    for taken in range(len(whole) + 2):
        assert list(source.papers(taken)) == whole[taken:], taken


def test_records_that_were_taken_before_are_not_checked_again(write_jsonl: WriteJsonl) -> None:
    path = write_jsonl(RECORD, b"broken", {**RECORD, "id": "after"})
    [paper] = FileSource([path]).papers(2)
    assert isinstance(paper, Paper)
    assert (paper.arxiv_id, paper.origin) == ("after", "papers.jsonl:3")


def test_another_field_may_hold_the_text(tmp_path: Path, write_jsonl: WriteJsonl) -> None:
    record = {"id": "a", "abstract": "short", "body": " The whole text. "}
    as_jsonl = write_jsonl(record, {"id": "b", "abstract": "short"}, {"id": "c", "body": 3})
    whole, none, unreadable = FileSource([as_jsonl], "skip", text_field="body").papers()
    assert isinstance(whole, Paper)
    assert isinstance(none, Paper)
    assert isinstance(unreadable, Unreadable)
    assert (whole.abstract, none.abstract) == ("The whole text.", None)
    assert unreadable.detail == "body is int, not text"
    as_parquet = write_parquet(tmp_path / "papers.parquet", **{key: [value] for key, value in record.items()})
    [paper] = FileSource([as_parquet], text_field="body").papers()
    assert isinstance(paper, Paper)
    assert paper.abstract == "The whole text."
    with pytest.raises(SourceError, match=r"no column 'text' but id, abstract, body: .* name it in corpus\.text_field"):
        list(FileSource([as_parquet], text_field="text").papers())
