from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from astrollama.errors import SourceError
from astrollama.evaluation.likelihoods.general_text import BYTES_A_TOKEN, PASSAGE_BYTES, general_passages
from astrollama.sections import EvaluateSection

EVERYTHING = EvaluateSection(num_general_tokens=10**9)


def paragraphs(count: int) -> str:
    return "\n \n".join(f" = Title {number} = \n\n" + f"Wörd {number} goes here . " * 40 for number in range(count))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "general.txt"
    path.write_text(paragraphs(30), encoding="utf-8")
    return path


def test_passages_hold_the_whole_text_once(text: Path) -> None:
    passages = general_passages(text, EVERYTHING)
    in_order = sorted(passages, key=lambda passage: int(passage.id.partition(":")[2]))
    assert [passage.id for passage in in_order] == [f"general:{number}" for number in range(1, len(passages) + 1)]
    assert " ".join(passage.text for passage in in_order).split() == paragraphs(30).split()
    for passage in in_order[:-1]:
        assert PASSAGE_BYTES - 2 <= passage.num_bytes < 2 * PASSAGE_BYTES
        assert passage.num_bytes == len(passage.text.encode())
    assert in_order[0].text.startswith("= Title 0 =\n\nWörd 0 goes")


def test_the_amount_is_in_bytes_and_the_seed_decides(text: Path) -> None:
    settings = EvaluateSection(num_general_tokens=1500)
    passages = general_passages(text, settings)
    assert passages == general_passages(text, settings)
    assert passages != general_passages(text, EvaluateSection(num_general_tokens=1500, seed=1))
    num_bytes = sum(passage.num_bytes for passage in passages)
    assert 1500 * BYTES_A_TOKEN <= num_bytes < 1500 * BYTES_A_TOKEN + 2 * PASSAGE_BYTES


def test_a_compressed_file_gives_the_same(text: Path) -> None:
    packed = text.with_name("general.txt.gz")
    packed.write_bytes(gzip.compress(text.read_bytes()))
    assert general_passages(packed, EVERYTHING) == general_passages(text, EVERYTHING)


@pytest.mark.parametrize("separator", [" ", ""])
def test_a_text_without_blank_lines_is_cut(separator: str, tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text(separator.join(["word"] * 20_000))
    passages = general_passages(path, EVERYTHING)
    assert sum(passage.text.count("word") for passage in passages) >= 20_000 - len(passages)
    assert max(passage.num_bytes for passage in passages) <= 4000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text: give a file of general text"),
        (b" \n\n", "holds no text"),
        (b"\xff\xfe", "line 1: not utf8 .*: give plain text in UTF-8"),
        (b"a\0b", "line 1: not text"),
        (b"\x1f\x8b\x08damaged", "damaged gzip file"),
    ],
)
def test_what_is_no_text_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "general.txt"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        general_passages(path, EVERYTHING)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none.txt cannot be read"):
        general_passages(tmp_path / "none.txt", EVERYTHING)
