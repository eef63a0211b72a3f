"""Vectors of papers in a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import progress
from astrollama.corpus.clean import repair_texts
from astrollama.errors import UserInputError
from astrollama.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from astrollama.backends.base import Encoder
    from astrollama.sources.files import Abstract

PAPERS_AT_ONCE = 512


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, float32, of shape (N, D); texts are repaired as those of a corpus are.

    Raises:
        UserInputError: a text is empty.
    """
    import numpy as np

    vectors_ND = encoder.embed(repair_texts(texts))
    vectors_ND /= np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors_ND


def require_writable(file: Path, out: Path) -> None:
    """Refuse a place for the vectors of a file that cannot be written, or is the file itself.

    Raises:
        UserInputError: it is a directory, its folder is none, or it is `file`.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise UserInputError(f"{out} cannot be written", "name a file in a folder that is there")
    if out.resolve() == file.resolve():
        raise UserInputError(f"{out} holds the papers themselves", "name another file for the vectors")


def embed_papers(encoder: Encoder, papers: Sequence[Abstract], out: Path) -> dict[str, Any]:
    """Write the vectors of abstracts to a file, which appears when all are there.

    Args:
        out: Parquet, with `id`, `title` and `vector` (of length 1, float32); its metadata has the model and its digest.

    Returns:
        `papers`, `dimensions`, `model` and `digest`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables: list[pa.Table] = []
    described = {"model": encoder.name, "digest": encoder.digest or ""}
    with progress("embedding", len(papers), shown=len(papers) > PAPERS_AT_ONCE) as bar:
        for start in range(0, len(papers), PAPERS_AT_ONCE):
            part = papers[start : start + PAPERS_AT_ONCE]
            vectors_ND = embed_texts(encoder, [paper.text for paper in part])
            size = vectors_ND.shape[1]
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ND.reshape(-1)), size)
            columns = {"id": [paper.id for paper in part], "title": [paper.title for paper in part]}
            tables.append(pa.table({**columns, "vector": column}))
            bar.update(sum(table.num_rows for table in tables))
    with atomic_path(out) as partial:
        pq.write_table(pa.concat_tables(tables).replace_schema_metadata(described), partial)
    return {"papers": len(papers), "dimensions": size, **described}
