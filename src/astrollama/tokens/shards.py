"""Tokens on disk: flat memory-mapped files of unsigned integers, and a table that says where each document lies.

A corpus is packed in two parts, the documents to train on and those for the validation during training. Each part has
its own shards and its own table with a row a document: id, content hash, shard, offset and length. A document lies whole
in one shard. Work that was killed goes on behind the shards that are whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from astrollama.console import say, track
from astrollama.corpus.store import STAGE_NAME as CORPUS_STAGE
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError
from astrollama.files import atomic_path
from astrollama.records import Document
from astrollama.runs import StageDirectory, read_manifest, refuse_inside, stage_directory, verify_files
from astrollama.tokens.shard_writer import ShardWriter
from astrollama.tokens.tokenizer import DocumentTokenizer

if TYPE_CHECKING:
    import numpy as np

Part = Literal["train", "validation"]

STAGE_NAME = "pack"
INDEX = "documents.parquet"  # of the training documents
PARTS = "parts"
_INDEX_OF: dict[Part, str] = {"train": INDEX, "validation": "validation.parquet"}
_PREFIX_OF: dict[Part, str] = {"train": "tokens", "validation": "validation"}
_DISPOSABLE = (*_INDEX_OF.values(), *(f"{prefix}-*.bin" for prefix in _PREFIX_OF.values()), PARTS)
_DOCUMENTS_A_BATCH = 512


def pack_corpus(corpus: Path, tokenizer: DocumentTokenizer, model_name: str, out: Path) -> dict[str, Any]:
    """Tokenise the training and the validation documents of a corpus into shards in `out`.

    Returns:
        The manifest. Where `out` holds these very tokens already, nothing is done.

    Raises:
        RunError: `corpus` is no complete corpus, or `out` holds something else.
    """
    refuse_inside(out, [corpus])
    manifest = read_manifest(corpus, CORPUS_STAGE)
    # the first corpora were made without a validation split
    names = [name for name in map(_documents_of, get_args(Part)) if name in manifest["files"]]
    verify_files(corpus, manifest, names)
    identity = {name: manifest["files"][name]["sha256"] for name in names} | {"tokenizer": tokenizer.digest}
    with stage_directory(out, STAGE_NAME, identity, disposable=_DISPOSABLE, keeps=PARTS) as stage:
        if stage.state == "complete":
            say(f"{out}: the tokens are already there")
        else:
            _pack(corpus, manifest, tokenizer, model_name, stage)
        shutil.rmtree(stage.path / PARTS, ignore_errors=True)
    return read_manifest(out, STAGE_NAME)


def _pack(
    corpus: Path, manifest: dict[str, Any], tokenizer: DocumentTokenizer, model_name: str, stage: StageDirectory
) -> None:
    import numpy as np

    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    (stage.path / PARTS).mkdir(exist_ok=True)
    files: list[str] = []
    lengths_of: dict[Part, np.ndarray] = {}
    for part in get_args(Part):
        name = _documents_of(part)
        shards = ShardWriter(stage.path, stage.path / PARTS, _PREFIX_OF[part], dtype)
        if name in manifest["files"]:
            _write_shards(read_documents(corpus / name), manifest["counts"][part], tokenizer, shards)
        lengths_of[part] = _write_index(shards, stage.path / _INDEX_OF[part])
        files += [_INDEX_OF[part], *shards.names]
    train, validation = lengths_of["train"], lengths_of["validation"]
    stage.finish(
        files,
        {
            "documents": len(train),
            "tokens": int(train.sum()),
            "longest_document": int(train.max(initial=0)),
            "validation_documents": len(validation),
            "validation_tokens": int(validation.sum()),
        },
        tokenizer={
            "model": model_name,
            "digest": tokenizer.digest,
            "vocab_size": tokenizer.vocab_size,
            "bos_id": tokenizer.bos_id,
            "eos_id": tokenizer.eos_id,
            "dtype": dtype.name,
        },
    )


def _write_shards(
    documents: Iterator[Document], num_documents: int, tokenizer: DocumentTokenizer, shards: ShardWriter
) -> None:
    """Write all documents but those that are in whole shards already."""
    done = shards.num_documents
    stream = track(islice(documents, done, None), "tokenising", num_documents, completed=done)
    while batch := list(islice(stream, _DOCUMENTS_A_BATCH)):
        for document, tokens in zip(batch, tokenizer.encode_documents([own.text for own in batch]), strict=True):
            shards.append(document, tokens)
    shards.close()


def _write_index(shards: ShardWriter, path: Path) -> np.ndarray:
    """Write the table of all documents; returns their lengths in tokens, of shape (documents,)."""
    import pyarrow.parquet as pq

    table = shards.table()
    with atomic_path(path) as partial:
        pq.write_table(table, partial)
    lengths_N: np.ndarray = table["length"].to_numpy()
    return lengths_N


@dataclass(frozen=True)
class TokenShards:
    """The packed documents of a part, opened for reading.

    Attributes:
        manifest: of the directory, whatever the part.
        lengths_N: tokens of each document, BOS and EOS included.
    """

    manifest: dict[str, Any]
    part: Part
    ids: list[str]
    lengths_N: np.ndarray
    _shard_N: np.ndarray
    _offset_N: np.ndarray
    _shards: list[np.ndarray]

    @classmethod
    def open(cls, path: Path, part: Part = "train") -> TokenShards:
        """Open a part of a directory of the pack stage; only this part's files are compared with their hashes.

        Raises:
            RunError: it is no such directory, a shard is missing or cut, or it is too old to have the part.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        manifest = read_manifest(path, STAGE_NAME)
        index = _INDEX_OF[part]
        if index not in manifest["files"]:
            raise RunError(
                f"{path} was packed by an older version, which left the {part} documents out",
                "delete that directory and run pack again",
            )
        dtype = np.dtype(manifest["tokenizer"]["dtype"])
        names = _files_of(part, manifest)
        verify_files(path, manifest, names)
        try:
            table = pq.read_table(path / index)
        except (pa.ArrowException, OSError) as error:
            raise RunError(
                f"{path / index} cannot be read ({error})", "delete that directory and run pack again"
            ) from error
        return cls(
            manifest=manifest,
            part=part,
            ids=table["id"].to_pylist(),
            lengths_N=table["length"].to_numpy(),
            _shard_N=table["shard"].to_numpy(),
            _offset_N=table["offset"].to_numpy(),
            _shards=[np.memmap(path / name, dtype=dtype, mode="r") for name in names if name != index],
        )

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file of the part, by its name."""
        return {name: self.manifest["files"][name]["sha256"] for name in _files_of(self.part, self.manifest)}

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


def _documents_of(part: Part) -> str:
    """The file of a corpus that holds a part's documents."""
    return f"{part}.parquet"


def _files_of(part: Part, manifest: dict[str, Any]) -> list[str]:
    """The files of a part in a packed directory, the shards in their order."""
    shards = f"{_PREFIX_OF[part]}-*.bin"
    return [name for name in manifest["files"] if name == _INDEX_OF[part] or fnmatchcase(name, shards)]
