"""Which documents a run was trained on, so that none is ever taken for a held-out one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astrollama.files import atomic_path
from astrollama.models.registry import documents_of, find_model
from astrollama.tokens.pairs import PairTexts

COLUMNS = ["id", "content_hash"]


def list_documents(indices: Sequence[Path], base: str, target: Path) -> None:
    """Write one list of those of pack directories, general text included, and of what the base was trained on before."""
    import pyarrow.parquet as pq

    _write([pq.read_table(path, columns=COLUMNS) for path in indices], base, target)


def list_pairs(pairs: PairTexts, base: str, target: Path) -> None:
    """Write the documents whose texts an encoder saw, and those that its base was trained on, as far as they are known."""
    import pyarrow as pa

    own = dict(zip(pairs.ids, pairs.content_hashes, strict=True))
    _write([pa.table({"id": list(own), "content_hash": list(own.values())})], base, target)


def _write(tables: list[Any], base: str, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    before = documents_of(find_model(base).place)
    if before is not None:
        tables.append(pq.read_table(before, columns=COLUMNS))
    both = pa.concat_tables(tables).to_pydict()
    each_once = dict.fromkeys(zip(both["id"], both["content_hash"], strict=True))
    ids, content_hashes = zip(*each_once, strict=True) if each_once else ((), ())
    with atomic_path(target) as partial:
        pq.write_table(pa.table({"id": ids, "content_hash": content_hashes}), partial, compression="zstd")
