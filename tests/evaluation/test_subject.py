"""What is known of a model's training, and that nothing it was trained on is used as held out."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrollama.errors import RunError
from astrollama.evaluation.subject import describe_subject, require_unseen
from astrollama.records import document_schema
from astrollama.tokens.shards import INDEX


def trained_on(folder: Path, *records: tuple[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    columns = {"id": [own[0] for own in records], "content_hash": [own[1] for own in records]}
    pq.write_table(pa.table(columns), folder / INDEX)
    return folder


def held_out(path: Path, document_id: str, content_hash: str) -> Path:
    schema = document_schema()
    record = dict.fromkeys(schema.names, "") | {"categories": [], "id": document_id, "content_hash": content_hash}
    pq.write_table(pa.Table.from_pylist([record], schema=schema), path)
    return path


@pytest.mark.parametrize(
    ("known", "test", "seen"),
    [
        (("2301.00001v1", "a"), ("2301.00001v2", "b"), True),
        (("2301.00001", "a"), ("2301.00001", "b"), True),
        (("x", "a"), ("y", "a"), True),
        (("2301.00001", "a"), ("2301.00002", "b"), False),
    ],
    ids=["another version", "the same paper", "the same text", "another paper"],
)
def test_a_paper_in_any_version_or_a_text_is_refused(
    tmp_path: Path, known: tuple[str, str], test: tuple[str, str], seen: bool
) -> None:
    run, path = trained_on(tmp_path / "run", known), held_out(tmp_path / "test.parquet", *test)
    if seen:
        with pytest.raises(RunError, match="was trained on 1 of the documents"):
            require_unseen(path, str(run))
    else:
        require_unseen(path, str(run))


def test_papers_are_known_without_their_version(tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", ("2301.00001v3", "a"), ("own:1", "b"))
    assert describe_subject(str(run)).trained_papers() == {"2301.00001", "own:1"}


def test_a_damaged_list_is_one_line(tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", ("a", "b"))
    (run / INDEX).write_bytes(b"PAR1 no more")
    with pytest.raises(RunError, match="cannot be read"):
        describe_subject(str(run)).trained_papers()
