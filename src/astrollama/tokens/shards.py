"""Tokens on disk: flat memory-mapped files of unsigned integers, and a table that says where each document lies.

A document lies whole in one shard. `documents.parquet` has a row a document: id, content hash, shard, offset and length.
A shard that is whole has its rows in `parts/` while the others are made: work that was killed goes on behind it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import say, track
from astrollama.corpus.store import STAGE_NAME as CORPUS_STAGE
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.records import Document
from astrollama.runs import StageDirectory, atomic_path, read_manifest, stage_directory, verify_files
from astrollama.tokens.tokenizer import DocumentTokenizer

if TYPE_CHECKING:
    import numpy as np

STAGE_NAME = "pack"
INDEX = "documents.parquet"
TOKENS_A_SHARD = 2**21  # some 4 MiB, and seconds of work
PARTS = "parts"
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
    with stage_directory(out, STAGE_NAME, identity, disposable=[INDEX, "tokens-*.bin", PARTS], keeps=PARTS) as stage:
        if stage.state == "complete":
            say(f"{out}: the tokens are already there")
        else:
            documents = read_documents(corpus / "train.parquet")
            _pack(documents, manifest["counts"]["train"], tokenizer, model_name, stage)
        shutil.rmtree(stage.path / PARTS, ignore_errors=True)
    return read_manifest(out, STAGE_NAME)


def _pack(
    documents: Iterator[Document],
    num_documents: int,
    tokenizer: DocumentTokenizer,
    model_name: str,
    stage: StageDirectory,
) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    (stage.path / PARTS).mkdir(exist_ok=True)
    shards = _ShardWriter(stage.path, dtype)
    done = shards.num_documents
    stream = track(islice(documents, done, None), "tokenising", num_documents, completed=done)
    while batch := list(islice(stream, _DOCUMENTS_A_BATCH)):
        for document, tokens in zip(batch, tokenizer.encode_documents([own.text for own in batch]), strict=True):
            shards.append(document, tokens)
    shards.close()
    table = pa.concat_tables(map(pq.read_table, shards.parts))
    with atomic_path(stage.path / INDEX) as partial:
        pq.write_table(table, partial)
    lengths = table["length"].to_numpy()
    stage.finish(
        [INDEX, *shards.names],
        {"documents": len(lengths), "tokens": int(lengths.sum()), "longest_document": int(lengths.max(initial=0))},
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
    """Gathers documents and writes them shard by shard: first the tokens, then the rows, which make the shard count."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        """Go on behind the shards that are there."""
        import pyarrow.parquet as pq

        self._folder = folder
        self._dtype = dtype
        self._start()
        self.names: list[str] = []
        self.parts: list[Path] = []
        self.num_documents = 0
        while self._part().is_file() and (folder / _shard_name(len(self.names))).is_file():
            self.num_documents += pq.read_metadata(self._part()).num_rows
            self._count()

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
        with atomic_path(self._folder / _shard_name(len(self.names))) as partial:
            np.concatenate(self._tokens).tofile(partial)
        with atomic_path(self._part()) as partial:
            pq.write_table(pa.table(self._rows), partial)
        self._count()
        self._start()

    def _start(self) -> None:
        self._rows: dict[str, list[Any]] = {"id": [], "content_hash": [], "shard": [], "offset": [], "length": []}
        self._tokens: list[np.ndarray] = []
        self._used = 0

    def _part(self) -> Path:
        return self._folder / PARTS / f"documents-{len(self.names):05d}.parquet"

    def _count(self) -> None:
        self.parts.append(self._part())
        self.names.append(_shard_name(len(self.names)))


def _shard_name(number: int) -> str:
    return f"tokens-{number:05d}.bin"
