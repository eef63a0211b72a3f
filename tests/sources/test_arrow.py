"""Folders that the real `datasets` library writes, and Arrow files of other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrollama.errors import SourceError
from astrollama.records import Paper
from astrollama.sources.files import FileSource

RECORDS: list[dict[str, Any]] = [
    {
        "id": f"0704.{number:04}",
        "title": f"On haloes {number}",
        "abstract": f"Haloes are dark, the {number}th of them too.",
        "categories": ["astro-ph.CO", "gr-qc"],
        "date": "2007-04-02",
        "embedding": [0.5] * 8,
    }
    for number in range(25)
]
TRAIN, TEST = RECORDS[:20], RECORDS[20:]


@pytest.fixture(scope="module", autouse=True)
def _datasets_offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
    patch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    yield
    patch.undo()


def papers(*paths: Path) -> list[Paper]:
    return [item for item in FileSource(paths).papers() if isinstance(item, Paper)]


def ids(*paths: Path) -> list[str]:
    return [paper.arxiv_id for paper in papers(*paths)]


def same_after_every_skip(path: Path) -> bool:
    source = FileSource([path])
    whole = list(source.papers())
    return all(list(source.papers(skip)) == whole[skip:] for skip in range(len(whole) + 2))


def test_a_dataset_saved_to_disk_is_read_with_all_its_shards(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list(RECORDS).save_to_disk(tmp_path / "saved", num_shards=3)
    assert len(list((tmp_path / "saved").glob("data-*-of-00003.arrow"))) == 3
    assert ids(tmp_path / "saved") == [record["id"] for record in RECORDS]
    paper = papers(tmp_path / "saved")[0]
    assert (paper.title, paper.abstract) == (RECORDS[0]["title"], RECORDS[0]["abstract"])
    assert (paper.categories, paper.date) == (("astro-ph.CO", "gr-qc"), "2007-04-02")
    assert paper.origin == "data-00000-of-00003.arrow:1"
    assert same_after_every_skip(tmp_path / "saved")


def test_a_dataset_dict_saved_to_disk_is_read_split_by_split(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    DatasetDict({"train": Dataset.from_list(TRAIN), "test": Dataset.from_list(TEST)}).save_to_disk(tmp_path / "saved")
    assert (tmp_path / "saved" / "dataset_dict.json").is_file()
    assert ids(tmp_path / "saved") == [record["id"] for record in TEST + TRAIN]
    assert ids(tmp_path / "saved" / "train") == [record["id"] for record in TRAIN]


def test_what_the_library_has_computed_from_a_dataset_is_no_part_of_it(tmp_path: Path) -> None:
    from datasets import Dataset, load_from_disk

    Dataset.from_list(RECORDS).save_to_disk(tmp_path / "saved")
    load_from_disk(str(tmp_path / "saved")).map(lambda record: {"title": record["title"].upper()})
    assert list((tmp_path / "saved").glob("cache-*.arrow"))
    assert ids(tmp_path / "saved") == [record["id"] for record in RECORDS]


def test_parquet_and_jsonl_shards_of_the_library_are_read(tmp_path: Path) -> None:
    from datasets import Dataset

    dataset = Dataset.from_list(RECORDS)
    (tmp_path / "parquet" / "data").mkdir(parents=True)
    (tmp_path / "jsonl").mkdir()
    for index in range(2):
        shard = dataset.shard(2, index, contiguous=True)
        shard.to_parquet(tmp_path / "parquet" / "data" / f"train-{index:05}-of-00002.parquet")
        shard.to_json(tmp_path / "jsonl" / f"train-{index:05}-of-00002.jsonl")
    assert ids(tmp_path / "parquet") == ids(tmp_path / "jsonl") == [record["id"] for record in RECORDS]
    assert same_after_every_skip(tmp_path / "parquet")


def test_arrow_files_are_read_as_streams_are(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(RECORDS)
    with pa.ipc.new_file(tmp_path / "file.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    assert ids(tmp_path / "file.arrow") == ids(tmp_path / "stream.arrow") == [record["id"] for record in RECORDS]
    assert same_after_every_skip(tmp_path / "file.arrow")


def test_batches_and_row_groups_longer_than_a_read_are_taken_in_pieces(tmp_path: Path) -> None:
    columns = {"id": [str(number) for number in range(5000)], "abstract": ["Haloes are dark."] * 5000}
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "papers.parquet", row_group_size=3000)
    with pa.ipc.new_stream(tmp_path / "papers.arrow", table.schema) as writer:
        writer.write_table(table)
    for name in ("papers.parquet", "papers.arrow"):
        source = FileSource([tmp_path / name])
        for skip in (0, 1, 1023, 1024, 2999, 3000, 3001, 4999, 5000):
            found = [item.arxiv_id for item in source.papers(skip) if isinstance(item, Paper)]
            assert found == columns["id"][skip:]


def test_row_groups_and_batches_that_are_skipped_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "papers.parquet"
    table = pa.Table.from_pylist(RECORDS)
    pq.write_table(table, path, row_group_size=10, compression="zstd", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert len(list(FileSource([path]).papers(10))) == 15
    with pytest.raises(SourceError, match=r"papers\.parquet is a damaged Parquet file"):
        list(FileSource([path]).papers(9))


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_columns_that_matter_to_no_paper_are_not_read(tmp_path: Path, on_error: Any) -> None:
    table = pa.table({"abstract": ["a"], "raw": pa.array([b"\xff"]), "when": pa.array([10**18], pa.timestamp("us"))})
    with pa.ipc.new_stream(tmp_path / "papers.arrow", table.schema) as writer:
        writer.write_table(table)
    [paper] = FileSource([tmp_path / "papers.arrow"], on_error).papers()
    assert isinstance(paper, Paper)


def test_an_arrow_file_without_the_texts_names_the_columns_it_has(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "summary": ["b"]})
    with pa.ipc.new_stream(tmp_path / "papers.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(SourceError, match=r"papers\.arrow has no column 'abstract' but id, summary: .*text_field"):
        ids(tmp_path / "papers.arrow")
    [paper] = FileSource([tmp_path / "papers.arrow"], text_field="summary").papers()
    assert isinstance(paper, Paper)
    assert paper.abstract == "b"


@pytest.mark.parametrize("kept", [20, 300, -20])
def test_a_truncated_arrow_file_is_told_to_be_damaged(tmp_path: Path, kept: int) -> None:
    table = pa.Table.from_pylist(RECORDS)
    with pa.ipc.new_stream(tmp_path / "papers.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    content = (tmp_path / "papers.arrow").read_bytes()
    (tmp_path / "papers.arrow").write_bytes(content[:kept])
    with pytest.raises(SourceError, match=r"papers\.arrow is a damaged Arrow file .*: fetch or write it again"):
        ids(tmp_path / "papers.arrow")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["abstract", "abstract"])
    with pa.ipc.new_stream(tmp_path / "papers.arrow", table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, tmp_path / "papers.parquet")
    for name in ("papers.arrow", "papers.parquet"):
        with pytest.raises(SourceError, match="has 2 columns 'abstract': keep one of them"):
            ids(tmp_path / name)
