"""Records from tables: Parquet, and Arrow streams and files as the `datasets` library saves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from astrollama.errors import SourceError
from astrollama.sources.records import DEFAULT_TEXT_FIELD, FIELDS, Record

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_MAGIC = b"PAR1"
ARROW_FILE_MAGIC = b"ARROW1"

# what tells a table of a corpus of ours, and where it has its texts
_CORPUS_COLUMNS = {"id", "title", "text", "content_hash"}
_CORPUS_TEXT = "text"
_BATCH_ROWS = 1024
_BUFFER_BYTES = 1 << 20


def read_parquet(path: Path, skip: int, *, text_field: str) -> Iterator[Record | None]:
    """Every row of a Parquet file, with the columns that matter; None for the first `skip` of them.

    Row groups that are skipped as a whole are not read. Of a corpus of ours the texts are what others call abstracts.

    Raises:
        SourceError: the file is damaged, has no column `text_field`, or has a column that matters twice.
    """
    import pyarrow.parquet as pq

    # with a buffer and no read ahead, a row group of any size passes through little memory
    with _damage(path, "Parquet"), pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        columns = _columns(path, file.schema_arrow, text_field)
        number, first = 0, 0
        for group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if number + num_rows > skip:
                break
            number, first = number + num_rows, group + 1
        yield from repeat(None, number)
        for batch in file.iter_batches(_BATCH_ROWS, range(first, file.num_row_groups), list(columns)):
            yield from _records(batch, columns, number, skip)
            number += batch.num_rows


def read_arrow(path: Path, skip: int, *, text_field: str) -> Iterator[Record | None]:
    """Every row of an Arrow stream or file, as `read_parquet`; None for the first `skip` of them.

    Raises:
        SourceError: the file is damaged, has no column `text_field`, or has a column that matters twice.
    """
    import pyarrow as pa

    with _damage(path, "Arrow"), pa.memory_map(str(path)) as file:
        number = 0
        for batch in _arrow_batches(file):
            columns = _columns(path, batch.schema, text_field)
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                part = batch.select(list(columns)).slice(start, _BATCH_ROWS)
                yield from _records(part, columns, number + start, skip)
            number += batch.num_rows


def _arrow_batches(file: pa.MemoryMappedFile) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if file.read(len(ARROW_FILE_MAGIC)) == ARROW_FILE_MAGIC:
        reader = pa.ipc.open_file(file)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
    else:
        file.seek(0)
        yield from pa.ipc.open_stream(file)


def _columns(path: Path, schema: pa.Schema, text_field: str) -> Mapping[str, str]:
    """The columns to read, of those that are there, and the field of a record that each is."""
    is_corpus = text_field == DEFAULT_TEXT_FIELD and set(schema.names) >= _CORPUS_COLUMNS
    text = _CORPUS_TEXT if is_corpus and text_field not in schema.names else text_field
    if text not in schema.names:
        raise SourceError(
            f"{path} has no column {text_field!r} but {', '.join(schema.names)}",
            f"rename the column that holds the text to {text_field!r}, or import the file and name it in corpus.text_field",
        )
    columns = [name for name in schema.names if name == text or name in FIELDS]
    for name in columns:
        if columns.count(name) > 1:
            raise SourceError(f"{path} has {columns.count(name)} columns {name!r}", "keep one of them")
    return {name: text_field if name == text else name for name in columns}


def _records(batch: pa.RecordBatch, columns: Mapping[str, str], before: int, skip: int) -> Iterator[Record | None]:
    """The rows of a batch of `columns`, before which there were `before` others."""
    skipped = min(max(skip - before, 0), batch.num_rows)
    yield from repeat(None, skipped)
    if skipped == batch.num_rows:
        return
    batch.validate(full=True)
    batch = batch.rename_columns([columns[name] for name in batch.schema.names])
    rows = _plain_dates(batch.slice(skipped)).to_pylist()
    for number, fields in enumerate(rows, start=before + skipped + 1):
        yield Record(number, fields, None)


def _plain_dates(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dates and time stamps as text: Arrow's reach further than Python's."""
    import pyarrow as pa

    fields = [
        pa.field(field.name, pa.string()) if pa.types.is_temporal(field.type) else field for field in batch.schema
    ]
    return batch.cast(pa.schema(fields))


@contextmanager
def _damage(path: Path, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SourceError(f"{path} is a damaged {kind} file ({error})", "fetch or write it again") from error
