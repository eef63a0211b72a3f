from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrollama.corpus.split import SPLITS
from astrollama.corpus.stats import corpus_stats, draw_stats
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError, UserInputError
from astrollama.records import ASTRO_PH_CATEGORIES, Document, document_schema

BLUE = (0x3B, 0x6E, 0xA5)


@pytest.fixture(scope="module")
def stats(sample_corpus: Path) -> dict[str, Any]:
    return corpus_stats(sample_corpus)


@pytest.fixture(scope="module")
def splits(sample_corpus: Path) -> dict[str, list[Document]]:
    return {split: list(read_documents(sample_corpus / f"{split}.parquet")) for split in SPLITS}


def write_splits(folder: Path, **splits: list[Document]) -> None:
    for split, documents in splits.items():
        table = pa.Table.from_pylist([asdict(own) for own in documents], schema=document_schema())
        pq.write_table(table, folder / f"{split}.parquet")


def words(documents: list[Document]) -> list[int]:
    return [len(own.text.split()) for own in documents]


def test_the_totals_are_those_of_the_documents(stats: dict[str, Any], splits: dict[str, list[Document]]) -> None:
    counts = [count for documents in splits.values() for count in words(documents)]
    assert stats["total"]["papers"] == len(counts) == 240
    assert stats["total"]["words"] == sum(counts)
    assert stats["total"]["words_median"] == statistics.median(counts)
    assert stats["total"]["words_p10"] < stats["total"]["words_median"] < stats["total"]["words_p90"]


def test_every_paper_is_counted_once_in_each_table(stats: dict[str, Any], splits: dict[str, list[Document]]) -> None:
    for table in ("by_split", "by_year", "by_category"):
        for key in ("papers", "words"):
            assert sum(group[key] for group in stats[table].values()) == stats["total"][key]
    assert list(stats["by_split"]) == ["train", "validation", "test"]
    for split, documents in splits.items():
        assert stats["by_split"][split]["papers"] == len(documents)
        assert stats["by_split"][split]["words"] == sum(words(documents))
    assert {name: group["papers"] for name, group in stats["by_category"].items()} == dict.fromkeys(
        ASTRO_PH_CATEGORIES, 40
    )
    year = max(own.year for own in splits["test"])
    of_year = [own for documents in splits.values() for own in documents if own.year == year]
    assert list(stats["by_year"]) == sorted(stats["by_year"])
    assert stats["by_year"][str(year)]["words"] == sum(words(of_year))


def test_a_png_shows_papers_words_and_lengths_by_year_and_by_category(stats: dict[str, Any], tmp_path: Path) -> None:
    draw_stats(stats, tmp_path / "stats.png")
    pixels = np.round(matplotlib.image.imread(tmp_path / "stats.png")[..., :3] * 255)
    is_blue = np.abs(pixels - BLUE).max(axis=-1) <= 2
    for row in np.array_split(is_blue, 3, axis=0):
        for panel in np.array_split(row, 2, axis=1):
            assert panel.mean() > 0.001
            assert panel.any(axis=0).mean() > 0.03  # spread over the panel, not a single mark
    assert [path.name for path in tmp_path.iterdir()] == ["stats.png"]


def test_an_svg_names_every_category_and_has_a_bar_for_each_number(stats: dict[str, Any], tmp_path: Path) -> None:
    draw_stats(stats, tmp_path / "stats.svg")
    text = (tmp_path / "stats.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    for words_shown in ("by year", "by category", *ASTRO_PH_CATEGORIES):
        assert words_shown in text
    assert text.count("fill: #3b6ea5") >= 2 * (len(stats["by_year"]) + len(ASTRO_PH_CATEGORIES))


def test_a_picture_of_many_categories_tells_how_many_are_not_shown(stats: dict[str, Any], tmp_path: Path) -> None:
    [group, *_] = stats["by_category"].values()
    many = {f"field-{number}": group for number in range(30)}
    draw_stats({**stats, "by_category": many}, tmp_path / "stats.svg")
    text = (tmp_path / "stats.svg").read_text(encoding="utf-8")
    assert "field-0" in text
    assert "field-29" not in text
    hidden = sum(f"<!-- {name} -->" not in text for name in many)
    assert f"{hidden} smaller categories are not shown" in text


def test_a_corpus_without_validation_has_stats_of_what_is_there(sample_corpus: Path, tmp_path: Path) -> None:
    for path in sample_corpus.glob("*.*"):
        if path.name != "validation.parquet":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    stats = corpus_stats(tmp_path)
    assert list(stats["by_split"]) == ["train", "test"]
    assert stats["total"]["papers"] == sum(group["papers"] for group in stats["by_split"].values())


def test_papers_without_a_date_are_counted_last_and_an_empty_split_has_no_lengths(tmp_path: Path) -> None:
    document = Document("a", "one two three", "", (), "unknown", "", "", "", "")
    dated = Document("b", "one two", "", (), "hep-th", "2020-01", "", "", "")
    write_splits(tmp_path, train=[document, dated], validation=[], test=[document])
    (tmp_path / "manifest.json").write_text('{"stage": "corpus", "counts": {"rejected": {}}, "split": {}}')
    stats = corpus_stats(tmp_path)
    assert {year: group["words"] for year, group in stats["by_year"].items()} == {"2020": 2, "unknown": 6}
    assert list(stats["by_year"]) == ["2020", "unknown"]
    assert stats["by_split"]["validation"] == {
        "papers": 0, "words": 0, "words_p10": None, "words_median": None, "words_p90": None
    }  # fmt: skip
    draw_stats(stats, tmp_path / "stats.png")
    assert (tmp_path / "stats.png").stat().st_size > 0


@pytest.mark.parametrize("name", ["stats", "stats.txt", "stats.jpeg2"])
def test_a_name_without_a_picture_suffix_is_refused(stats: dict[str, Any], tmp_path: Path, name: str) -> None:
    with pytest.raises(UserInputError, match=rf"{name} has no suffix of a picture: end it in \.png, \.svg or \.pdf"):
        draw_stats(stats, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_corpus_has_no_stats(sample_corpus: Path, tmp_path: Path) -> None:
    for name in ("train.parquet", "test.parquet"):
        (tmp_path / name).write_bytes((sample_corpus / name).read_bytes())
    with pytest.raises(RunError, match=r"has no manifest\.json: run the corpus stage to its end first"):
        corpus_stats(tmp_path)
    with pytest.raises(RunError, match="is not a directory: give the directory that the corpus stage wrote"):
        corpus_stats(tmp_path / "nowhere")


def test_a_damaged_corpus_names_the_damaged_file(sample_corpus: Path, tmp_path: Path) -> None:
    for path in sample_corpus.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "test.parquet").write_bytes((sample_corpus / "test.parquet").read_bytes()[:-100])
    with pytest.raises(
        RunError, match=r"test\.parquet cannot be read .*: it is damaged: delete that corpus and import it again"
    ):
        corpus_stats(tmp_path)
    with pytest.raises(RunError, match=r"test\.parquet cannot be read"):
        list(read_documents(tmp_path / "test.parquet"))
