"""Documents in Parquet files: written in bounded memory, read back as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.errors import RunError
from astrollama.files import atomic_path
from astrollama.records import Document

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

STAGE_NAME = "corpus"
_ROWS_A_GROUP = 4096


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Write tables to a Parquet file that appears if the block ends well."""
    import pyarrow.parquet as pq

    with atomic_path(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as file:
        writer = TableWriter(file, schema)
        yield writer
        writer.flush()


class TableWriter:
    """Gathers tables and hands them to a Parquet file in groups of rows."""

    def __init__(self, file: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._tables: list[pa.Table] = []
        self._num_gathered = 0
        self.num_rows = 0

    def write(self, table: pa.Table) -> None:
        """Add rows; columns that the file does not have are left out."""
        self._tables.append(table.select(self._schema.names).cast(self._schema))
        self._num_gathered += table.num_rows
        self.num_rows += table.num_rows
        if self._num_gathered >= _ROWS_A_GROUP:
            self.flush()

    def flush(self) -> None:
        """Hand over what was gathered."""
        import pyarrow as pa

        if self._num_gathered:
            self._file.write_table(pa.concat_tables(self._tables).combine_chunks())
        self._tables = []
        self._num_gathered = 0


def read_documents(path: Path) -> Iterator[Document]:
    """Stream the documents of a Parquet file of a corpus.

    Raises:
        RunError: the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    yield Document(**{**row, "categories": tuple(row["categories"])})
    except (pa.ArrowException, OSError, TypeError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> RunError:
    """The error of a corpus's file that cannot be read."""
    return RunError(f"{path} cannot be read ({error})", "it is damaged: delete that corpus and import it again")


def storable(value: Any) -> Any:
    """Text that UTF-8 can hold: lone surrogates, which JSON can spell and UTF-8 cannot, become escapes."""
    if isinstance(value, tuple):
        return tuple(map(storable, value))
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
