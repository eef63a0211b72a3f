"""Vectors of papers in a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import progress
from astrollama.corpus.clean import repair_texts
from astrollama.errors import SourceError, UserInputError
from astrollama.files import atomic_path
from astrollama.records import Paper
from astrollama.sources.files import FileSource

if TYPE_CHECKING:
    import numpy as np

    from astrollama.backends.base import Encoder

PAPERS_AT_ONCE = 512


def load_encoder(name: str) -> Encoder:
    """The model of a name as an encoder: `minilm`, or what `find_model` takes, a language model too.

    Raises:
        ModelError, NetworkError: it cannot be had.
    """
    from astrollama.backends import hf, minilm
    from astrollama.models.load import load_model, resolve_device

    device = resolve_device("auto")
    return minilm.load_minilm(device) if name == minilm.NAME else hf.HFLanguageModel(load_model(name, device))


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, float32, of shape (N, D); texts are repaired as those of a corpus are.

    Raises:
        UserInputError: a text is empty.
    """
    import numpy as np

    vectors_ND = encoder.embed(repair_texts(texts))
    vectors_ND /= np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors_ND


def embed_papers(encoder: Encoder, file: Path, out: Path) -> dict[str, Any]:
    """Write the vectors of a file's abstracts, which appears when all are there.

    Args:
        file: as for `corpus import`.
        out: Parquet, with `id`, `title` and `vector` (of length 1, float32); its metadata has the model and its digest.

    Returns:
        `papers`, `dimensions`, `model` and `digest`.

    Raises:
        SourceError: the file cannot be read, holds no papers, or a paper without an abstract.
        UserInputError: `out` is a directory, or its folder is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if out.is_dir() or not out.parent.is_dir():
        raise UserInputError(f"{out} cannot be written", "name a file in a folder that is there")
    papers = list(_papers(file))
    if not papers:
        raise SourceError(f"{file} holds no papers", "give a file with papers")
    tables: list[pa.Table] = []
    described = {"model": encoder.name, "digest": encoder.digest or ""}
    with progress("embedding", len(papers), shown=len(papers) > PAPERS_AT_ONCE) as bar:
        for start in range(0, len(papers), PAPERS_AT_ONCE):
            part = papers[start : start + PAPERS_AT_ONCE]
            vectors_ND = embed_texts(encoder, [abstract for _, _, abstract in part])
            size = vectors_ND.shape[1]
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ND.reshape(-1)), size)
            names, titles, _ = (list(own) for own in zip(*part, strict=True))
            tables.append(pa.table({"id": names, "title": titles, "vector": column}))
            bar.update(sum(table.num_rows for table in tables))
    with atomic_path(out) as partial:
        pq.write_table(pa.concat_tables(tables).replace_schema_metadata(described), partial)
    return {"papers": len(papers), "dimensions": size, **described}


def _papers(file: Path) -> Iterator[tuple[str, str, str]]:
    for paper in FileSource([file]).papers():
        assert isinstance(paper, Paper)  # it stops at what cannot be read
        if not (paper.abstract and paper.abstract.strip()):
            raise SourceError(f"{paper.origin} has no abstract", "leave it out")
        yield paper.arxiv_id, paper.title or "", paper.abstract
