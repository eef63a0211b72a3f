"""Tokens on disk: flat memory-mapped files of unsigned integers, and a table that says where each document lies.

A document lies whole in one shard. `documents.parquet` has a row a document: id, content hash, shard, offset and length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import say, track
from astrollama.corpus.build import STAGE_NAME as CORPUS_STAGE
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.records import Document
from astrollama.runs import StageDirectory, atomic_path, read_manifest, stage_directory, verify_files
from astrollama.tokens.tokenizer import DocumentTokenizer

if TYPE_CHECKING:
    import numpy as np

STAGE_NAME = "pack"
INDEX = "documents.parquet"
TOKENS_A_SHARD = 2**27
_DOCUMENTS_A_BATCH = 512


def pack_corpus(corpus: Path, tokenizer: DocumentTokenizer, model_name: str, out: Path) -> dict[str, Any]:
    """Tokenise the training documents of a corpus into shards in `out`.

    Returns:
        The manifest. Where `out` holds these very tokens already, nothing is done.

    Raises:
        RunError: `corpus` is no complete corpus, or `out` holds something else.
    """
    manifest = read_manifest(corpus, CORPUS_STAGE)
    verify_files(corpus, manifest, ["train.parquet"])
    identity = {
        "train.parquet": manifest["files"]["train.parquet"]["sha256"],
        "tokenizer": tokenizer.digest,
    }
    with stage_directory(out, STAGE_NAME, identity, disposable=[INDEX, "tokens-*.bin"]) as stage:
        if stage.state == "complete":
            say(f"{out}: the tokens are already there")
            return read_manifest(out, STAGE_NAME)
        return _pack(read_documents(corpus / "train.parquet"), tokenizer, model_name, stage)


def _pack(
    documents: Iterable[Document], tokenizer: DocumentTokenizer, model_name: str, stage: StageDirectory
) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    rows: dict[str, list[Any]] = {"id": [], "content_hash": [], "shard": [], "offset": [], "length": []}
    shards = _ShardWriter(stage.path, dtype)
    try:
        stream = track(documents, "tokenising")
        while batch := list(islice(stream, _DOCUMENTS_A_BATCH)):
            for document, tokens in zip(batch, tokenizer.encode_documents([d.text for d in batch]), strict=True):
                shard, offset = shards.append(tokens)
                for name, value in zip(
                    rows, (document.id, document.content_hash, shard, offset, len(tokens)), strict=True
                ):
                    rows[name].append(value)
    finally:
        shards.close()
    with atomic_path(stage.path / INDEX) as partial:
        pq.write_table(pa.table(rows), partial)
    counts = {
        "documents": len(rows["id"]),
        "tokens": sum(rows["length"]),
        "longest_document": max(rows["length"], default=0),
    }
    return stage.finish(
        [INDEX, *shards.names],
        counts,
        tokenizer={
            "model": model_name,
            "digest": tokenizer.digest,
            "vocab_size": tokenizer.vocab_size,
            "bos_id": tokenizer.bos_id,
            "eos_id": tokenizer.eos_id,
            "dtype": dtype.name,
        },
    )


@dataclass(frozen=True)
class TokenShards:
    """Packed documents, opened for reading.

    Attributes:
        lengths_N: tokens of each document, BOS and EOS included.
    """

    manifest: dict[str, Any]
    ids: list[str]
    lengths_N: np.ndarray
    _shard_N: np.ndarray
    _offset_N: np.ndarray
    _shards: list[np.ndarray]

    @classmethod
    def open(cls, path: Path) -> TokenShards:
        """Open a directory of the pack stage.

        Raises:
            RunError: it is none, or a shard is missing or cut.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        manifest = read_manifest(path, STAGE_NAME)
        dtype = np.dtype(manifest["tokenizer"]["dtype"])
        verify_files(path, manifest)
        try:
            table = pq.read_table(path / INDEX)
        except (pa.ArrowException, OSError) as error:
            raise RunError(
                f"{path / INDEX} cannot be read ({error})", "delete that directory and run pack again"
            ) from error
        names = [name for name in manifest["files"] if name != INDEX]
        return cls(
            manifest=manifest,
            ids=table["id"].to_pylist(),
            lengths_N=table["length"].to_numpy(),
            _shard_N=table["shard"].to_numpy(),
            _offset_N=table["offset"].to_numpy(),
            _shards=[np.memmap(path / name, dtype=dtype, mode="r") for name in names],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def tokens(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The tokens of a document from `start` to `stop`, int64, of shape (stop - start,)."""
        import numpy as np

        offset, length = int(self._offset_N[index]), int(self.lengths_N[index])
        stop = length if stop is None else stop
        assert 0 <= start <= stop <= length, (start, stop, length)
        tokens: np.ndarray = self._shards[self._shard_N[index]][offset + start : offset + stop].astype(np.int64)
        return tokens

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.tokens(index) for index in range(len(self)))


class _ShardWriter:
    """Appends documents to shards; the manifest, written after the last, makes them count."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self._folder = folder
        self._dtype = dtype
        self._open: Any = None
        self._used = 0
        self.names: list[str] = []

    def append(self, tokens: list[int]) -> tuple[int, int]:
        """Write a document; returns its shard and the offset in it, in tokens."""
        import numpy as np

        if self._open is None or self._used + len(tokens) > TOKENS_A_SHARD:
            self.close()
            self.names.append(_shard_name(len(self.names)))
            self._open = (self._folder / self.names[-1]).open("wb")
            self._used = 0
        offset = self._used
        self._open.write(np.asarray(tokens, dtype=self._dtype).tobytes())
        self._used += len(tokens)
        return len(self.names) - 1, offset

    def close(self) -> None:
        """Flush the shard that is open to the disk."""
        import os

        if self._open is not None:
            self._open.flush()
            os.fsync(self._open.fileno())
            self._open.close()
            self._open = None


def _shard_name(number: int) -> str:
    return f"tokens-{number:05d}.bin"
