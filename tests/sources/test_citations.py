from collections.abc import Callable
from pathlib import Path

import pytest

from astrollama.errors import SourceError
from astrollama.sources.citations import read_citations

Write = Callable[..., Path]


def test_references_are_read_once_each_and_without_versions_or_the_paper_itself(write_jsonl: Write) -> None:
    path = write_jsonl(
        {"id": "2301.00001v2", "refs": ["1807.06209", "2301.00001", "1807.06209v4", "astro-ph/9901001"]},
        b"",
        {"id": "2301.00001", "refs": ["2201.00002"], "source": "elsewhere"},
        {"id": "2301.00003", "refs": []},
    )
    assert read_citations(path) == {
        "2301.00001": ["1807.06209", "astro-ph/9901001", "2201.00002"],
        "2301.00003": [],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json", "line 2: Expecting property name"),
        (b"[1]", "line 2: list instead of an object"),
        (b'{"refs": ["2301.00002"]}', "line 2: no id of a citing paper"),
        (b'{"id": 7, "refs": []}', "line 2: no id of a citing paper"),
        (b'{"id": "2301.00001"}', "line 2: refs is no list of identifiers"),
        (b'{"id": "2301.00001", "refs": "2301.00002"}', "line 2: refs is no list of identifiers"),
        (b'{"id": "2301.00001", "refs": ["2301.00002", null]}', "line 2: refs is no list of identifiers"),
        (b'{"id": "\xff", "refs": []}', "line 2: byte 0xff"),
    ],
)
def test_a_bad_line_is_told_with_its_number(write_jsonl: Write, line: bytes, message: str) -> None:
    path = write_jsonl({"id": "2301.00001", "refs": []}, line)
    with pytest.raises(SourceError, match=message) as caught:
        read_citations(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_and_an_empty_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.jsonl cannot be read \(No such file"):
        read_citations(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(SourceError, match="holds no citations"):
        read_citations(tmp_path / "empty.jsonl")
