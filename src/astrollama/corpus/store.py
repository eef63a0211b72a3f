"""Documents in Parquet files: written in bounded memory, read back as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.errors import RunError
from astrollama.records import Document, Dropped, document_schema, rejected_schema
from astrollama.runs import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ROWS_A_GROUP = 4096


@contextmanager
def document_writer(path: Path, *, rejected: bool = False) -> Iterator[DocumentWriter]:
    """Write documents, or dropped ones with their reason, to a Parquet file that appears if the block ends well."""
    import pyarrow.parquet as pq

    schema = rejected_schema() if rejected else document_schema()
    with atomic_path(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as file:
        writer = DocumentWriter(file, schema)
        yield writer
        writer.flush()


class DocumentWriter:
    """Gathers rows and hands them to a Parquet file in groups."""

    def __init__(self, file: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self.num_rows = 0

    def write(self, item: Document | Dropped) -> None:
        """Add one row."""
        row = asdict(item.document if isinstance(item, Dropped) else item)
        if isinstance(item, Dropped):
            row |= {"reason": item.reason, "detail": item.detail}
        self._rows.append({key: _storable(value) for key, value in row.items()})
        self.num_rows += 1
        if len(self._rows) == _ROWS_A_GROUP:
            self.flush()

    def flush(self) -> None:
        """Hand over what was gathered."""
        import pyarrow as pa

        self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def read_documents(path: Path) -> Iterator[Document]:
    """Stream the documents of a Parquet file that `DocumentWriter` wrote.

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
        raise RunError(
            f"{path} cannot be read ({error})", "it is damaged: delete that corpus and import it again"
        ) from error


def _storable(value: Any) -> Any:
    """Text that UTF-8 can hold: lone surrogates, which JSON can spell and UTF-8 cannot, become escapes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
