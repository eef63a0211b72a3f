"""Which documents a run was trained on, so that none is ever taken for a held-out one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from astrollama.files import atomic_path
from astrollama.models.registry import documents_of, find_model
from astrollama.tokens.pairs import PairTexts


def list_documents(indices: Sequence[Path], target: Path) -> None:
    """Write one list of those of pack directories, general text included."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_path(target) as partial:
        pq.write_table(pa.concat_tables([pq.read_table(path) for path in indices]), partial)


def list_pairs(pairs: PairTexts, base: str, target: Path) -> None:
    """Write the documents whose texts an encoder saw, and those that its base was trained on, as far as they are known."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = dict(zip(pairs.ids, pairs.content_hashes, strict=True))
    tables = [pa.table({"id": list(own), "content_hash": list(own.values())})]
    before = documents_of(find_model(base))
    if before is not None:
        tables.append(pq.read_table(before, columns=["id", "content_hash"]))
    with atomic_path(target) as partial:
        pq.write_table(pa.concat_tables(tables), partial)
