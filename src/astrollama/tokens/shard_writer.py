"""Writing of shards: flat files of unsigned integers, one after the other, each with the rows of its documents.

The rows lie in a folder apart while the other shards are made. They are written after the tokens and make a shard count:
a writer that is opened again goes on behind the shards that have theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.files import atomic_path
from astrollama.records import Document

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TOKENS_A_SHARD = 2**21  # some 4 MiB, and seconds of work


class ShardWriter:
    """Gathers documents and writes them shard by shard.

    Attributes:
        num_documents: documents in whole shards, which need not be given again.
        names: the files of the whole shards, in their order.
    """

    def __init__(self, folder: Path, rows_folder: Path, prefix: str, dtype: np.dtype[Any]) -> None:
        """Go on behind the shards that are there.

        Args:
            folder: for the shards, `<prefix>-00000.bin` and so on.
            rows_folder: for the rows of each shard's documents, `<prefix>-00000.parquet` and so on.
        """
        import pyarrow.parquet as pq

        self._folder = folder
        self._rows_folder = rows_folder
        self._prefix = prefix
        self._dtype = dtype
        self._start()
        self.num_documents = 0
        self.names: list[str] = []
        while self._rows_path(self._next_name()).is_file() and (folder / self._next_name()).is_file():
            self.num_documents += pq.read_metadata(self._rows_path(self._next_name())).num_rows
            self.names.append(self._next_name())

    def append(self, document: Document, tokens: list[int]) -> None:
        """Add a document; one that does not fit begins a new shard."""
        import numpy as np

        if self._used and self._used + len(tokens) > TOKENS_A_SHARD:
            self.close()
        row = (document.id, document.content_hash, len(self.names), self._used, len(tokens))
        for values, value in zip(self._rows.values(), row, strict=True):
            values.append(value)
        self._tokens.append(np.asarray(tokens, dtype=self._dtype))
        self._used += len(tokens)

    def close(self) -> None:
        """Write what was gathered, if anything."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._tokens:
            return
        name = self._next_name()
        with atomic_path(self._folder / name) as partial:
            np.concatenate(self._tokens).tofile(partial)
        with atomic_path(self._rows_path(name)) as partial:
            pq.write_table(pa.table(self._rows, _schema()), partial)
        self.num_documents += len(self._tokens)
        self.names.append(name)
        self._start()

    def table(self) -> pa.Table:
        """The rows of all documents in whole shards: `id, content_hash, shard, offset, length`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables(
            [_schema().empty_table(), *(pq.read_table(self._rows_path(name)) for name in self.names)]
        )

    def _start(self) -> None:
        self._rows: dict[str, list[Any]] = {name: [] for name in _schema().names}
        self._tokens: list[np.ndarray] = []
        self._used = 0

    def _next_name(self) -> str:
        return f"{self._prefix}-{len(self.names):05d}.bin"

    def _rows_path(self, name: str) -> Path:
        return (self._rows_folder / name).with_suffix(".parquet")


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema([("id", text), ("content_hash", text), ("shard", number), ("offset", number), ("length", number)])
