"""Lines of a text file, plain or compressed, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from astrollama.errors import SourceError

# what a name tells of a compression; what counts when a file is opened is how it begins
COMPRESSION_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error, RuntimeError, ValueError)
_FIX = "fetch or compress it again"
_ENCRYPTED = 0x1
_BUFFER_BYTES = 1 << 20


def numbered_pieces(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1; one longer than `max_bytes` comes in pieces under one number.

    Raises:
        SourceError: the file is compressed and damaged.
        OSError: the file cannot be read.
    """
    compression = compression_of(path)
    number = 1
    try:
        with _opened(path, compression) as file:
            while piece := file.readline(max_bytes):
                yield number, piece
                number += piece.endswith(b"\n")
    except (*_DAMAGE, OSError) as error:
        # a failure of the disk has a number, the complaint of a decompressor has none
        if not compression or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise SourceError(f"{path} is a damaged {compression} file after line {number - 1} ({error})", _FIX) from error


def compression_of(path: Path) -> str:
    """How a file is compressed, as it begins: `gzip`, `bzip2`, `xz`, `zstd`, `zip`, or "" where it is not."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _MAGIC)))
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def text_name(path: Path) -> str:
    """The name of the text in a file, in lower case, without the suffix of a compression; of a zip file its member's.

    Raises:
        SourceError: the zip file is damaged or holds anything but one file.
    """
    if compression_of(path) == "zip":
        with _zip_damage(path), zipfile.ZipFile(path) as archive:
            return _only_member(archive, path).filename.lower()
    return uncompressed_name(path)


def uncompressed_name(path: Path) -> str:
    """A file's name in lower case, without the suffix of a compression."""
    name = path.name.lower()
    suffix = next((suffix for suffix in COMPRESSION_SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)


@contextmanager
def _opened(path: Path, compression: str) -> Iterator[IO[bytes]]:
    if compression == "gzip":
        with gzip.open(path, "rb") as file:
            yield cast("IO[bytes]", file)
    elif compression == "bzip2":
        with bz2.open(path, "rb") as file:
            yield cast("IO[bytes]", file)
    elif compression == "xz":
        with lzma.open(path, "rb") as file:
            yield cast("IO[bytes]", file)
    elif compression == "zstd":
        import pyarrow as pa

        with pa.input_stream(str(path), compression="zstd") as stream:
            yield io.BufferedReader(stream, _BUFFER_BYTES)
    elif compression == "zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive, path)) as member:
            yield io.BufferedReader(cast("io.RawIOBase", member), _BUFFER_BYTES)
    else:
        with path.open("rb") as file:
            yield file


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    # what macOS adds to an archive describes the file beside it
    members = [info for info in archive.infolist() if not info.filename.endswith("/")]
    members = [info for info in members if not info.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise SourceError(f"{path} holds {len(members)} files", "unpack it, and give the files or their folder")
    if members[0].flag_bits & _ENCRYPTED:
        raise SourceError(f"{path} is encrypted", "unpack it first")
    return members[0]


@contextmanager
def _zip_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise SourceError(f"{path} is a damaged zip file ({error})", _FIX) from error
