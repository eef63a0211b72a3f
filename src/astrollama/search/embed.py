"""Vectors of papers in a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import progress
from astrollama.corpus.clean import repair_texts
from astrollama.errors import UserInputError
from astrollama.files import atomic_path
from astrollama.runs import refuse_inside

if TYPE_CHECKING:
    import numpy as np

    from astrollama.backends.base import Encoder
    from astrollama.corpus.abstracts import Abstract

PAPERS_AT_ONCE = 512
COLUMNS = ["id", "title", "vector"]


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
    """Refuse a place for the vectors of a file that cannot be written, or holds anything but vectors.

    Raises:
        UserInputError: it is a directory, its folder is none, it is `file` or lies inside it, is not named `….parquet`, or
            is a file that `embed_papers` did not write.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise UserInputError(f"{out} cannot be written", "name a file in a folder that is there")
    if out.resolve() == file.resolve():
        raise UserInputError(f"{out} holds the papers themselves", "name another file for the vectors")
    if out.suffix != ".parquet":
        raise UserInputError(f"{out} does not end in .parquet", "name a Parquet file for the vectors")
    refuse_inside(out, [file])
    if out.exists() and not _is_ours(out):
        raise UserInputError(f"{out} holds something else than vectors and would be lost", "choose another --out")


def _is_ours(path: Path) -> bool:
    """Whether a file is one that `embed_papers` wrote, by its columns and metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return False
    return schema.names == COLUMNS and {b"model", b"digest"} <= (schema.metadata or {}).keys()


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
            columns = ([paper.id for paper in part], [paper.title for paper in part], column)
            tables.append(pa.table(dict(zip(COLUMNS, columns, strict=True))))
            bar.update(sum(table.num_rows for table in tables))
    with atomic_path(out) as partial:
        pq.write_table(pa.concat_tables(tables).replace_schema_metadata(described), partial)
    return {"papers": len(papers), "dimensions": size, **described}
