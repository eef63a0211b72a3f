"""Documents in Parquet files: written in bounded memory, read back as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from astrollama.errors import RunError
from astrollama.records import Document, Dropped, document_schema, rejected_schema
from astrollama.runs import atomic_path

_ROWS_A_GROUP = 4096


class DocumentWriter:
    """Writes documents, or dropped ones with their reason, to one Parquet file that appears when it is closed well."""

    def __init__(self, path: Path, *, rejected: bool = False) -> None:
        self._path = path
        self._schema = rejected_schema() if rejected else document_schema()
        self._rows: list[dict[str, Any]] = []
        self.num_rows = 0

    def __enter__(self) -> DocumentWriter:
        import pyarrow.parquet as pq

        self._atomic = atomic_path(self._path)
        self._writer = pq.ParquetWriter(self._atomic.__enter__(), self._schema, compression="zstd")
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._flush()
        finally:
            self._writer.close()
            self._atomic.__exit__(*error)

    def write(self, item: Document | Dropped) -> None:
        """Add one row."""
        row = asdict(item.document if isinstance(item, Dropped) else item)
        if isinstance(item, Dropped):
            row |= {"reason": item.reason, "detail": item.detail}
        self._rows.append({key: _storable(value) for key, value in row.items()})
        self.num_rows += 1
        if len(self._rows) == _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
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
