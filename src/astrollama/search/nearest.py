"""The papers of a file of vectors that are nearest to a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astrollama.errors import RunError
from astrollama.search.embed import COLUMNS, embed_texts

if TYPE_CHECKING:
    from astrollama.backends.base import Encoder


@dataclass(frozen=True)
class Neighbour:
    """A paper and the cosine of its vector with the text's."""

    id: str
    title: str
    cosine: float


def nearest(vectors: Path, encoder: Encoder, text: str, num_papers: int) -> list[Neighbour]:
    """The papers whose vectors have the largest cosines with a text's, the nearest first.

    Args:
        vectors: as `embed_papers` wrote it.

    Raises:
        RunError: the file cannot be read, or its vectors are another encoder's.
        UserInputError: the text is empty.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(vectors, columns=COLUMNS)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{vectors} cannot be read ({error})", "make it again with astrollama embed") from error
    digest = (table.schema.metadata or {}).get(b"digest", b"").decode()
    if digest != (encoder.digest or ""):
        raise RunError(
            f"the vectors of {vectors} are another encoder's than {encoder.name}",
            "make them again with astrollama embed",
        )
    vectors_ND = np.stack(table["vector"].to_numpy()).astype(np.float32)
    (text_D,) = embed_texts(encoder, [text])
    cosines_N = vectors_ND @ text_D
    return [
        Neighbour(table["id"][i].as_py(), table["title"][i].as_py(), float(cosines_N[i]))
        for i in np.argsort(-cosines_N, kind="stable")[:num_papers].tolist()
    ]
