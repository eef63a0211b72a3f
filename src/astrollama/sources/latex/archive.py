"""Source packages as arXiv gives them, read in memory: nothing of an archive is ever written to a disk or opened by name.

A package is one gzipped file, a tar, gzipped or not, a PDF, or next to nothing where the paper was withdrawn; what it is
tells its content, not its name.
"""

from __future__ import annotations

import gzip
import io
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from astrollama.sources.latex.limits import (
    MAX_MEMBERS,
    MAX_NAME_CHARACTERS,
    MAX_RATIO,
    MAX_TEXT_BYTES,
    MAX_TEXT_FILE_BYTES,
    MAX_UNPACKED_BYTES,
    MIB,
    RATIO_FROM_BYTES,
)
from astrollama.sources.latex.problems import ConversionError, NoTexError, Problems
from astrollama.sources.latex.tokens import decode

SINGLE_FILE = "main.tex"  # the name of the one file of a package that is no archive

_GZIP_MAGIC = b"\x1f\x8b"
_OTHER_FORMATS = {
    b"%PDF": "a PDF without source",
    b"%!PS": "PostScript without source",
    b"PK\x03\x04": "a zip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf": "a 7z file",
    b"Rar!": "a rar file",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"SIMPLE  =": "a FITS file",
    b"\xd0\xcf\x11\xe0": "a Word document",
}
# Figures and data, which are passed over, and what TeX makes itself.
_PASSED_OVER = frozenset(
    str.split("""
    .pdf .ps .eps .epsi .epsf .jpg .jpeg .png .gif .tif .tiff .bmp .svg .fig .mp4 .avi .mov .mpg .mpeg .webm .mp3 .wav .zip .gz
    .tgz .bz2 .xz .7z .rar .tar .fits .fit .dat .csv .npy .npz .pkl .h5 .hdf5 .sav .xls .xlsx .doc .docx .ppt .pptx .pfb .pfa .ttf
    .otf .tfm .pk .vf .afm .py .ipynb .r .m .nb .pro .c .cpp .h .f .f90 .sh .exe .so .class .jar .html .htm .xml .bib .bst .bbl .blg
    .aux .log .out .toc .lof .lot .synctex .dvi .cls .clo .ist .ldf .fd .cbx .bbx .lbx .dtx .ins
    """)
)
_HINTS = re.compile(r"00README(?:\.[A-Za-z]+)?", re.IGNORECASE)
_WITHDRAWN = re.compile(r"%auto-ignore|\bwithdr[ae]w", re.IGNORECASE)
_HTML = re.compile(r"\s*<(?:!doctype html|html)", re.IGNORECASE)
_SHORT_TEXT = 2000  # characters; a paper is longer, a note that it was withdrawn is not


@dataclass(slots=True)
class Package:
    """The TeX of a package.

    Attributes:
        files: texts by their names within the package.
        toplevel: the main file as arXiv's 00README tells it, "" where it does not.
        problems: what was left out because it could do harm.
    """

    files: dict[str, str] = field(default_factory=dict)
    toplevel: str = ""
    problems: Problems = field(default_factory=Problems)

    def add(self, name: str, data: bytes) -> None:
        """Take a file over if it is text."""
        if _HINTS.fullmatch(name):
            self.toplevel = self.toplevel or _toplevel(decode(data))
        elif b"\x00" not in data[:4096] and not data.startswith((b"%PDF", b"%!PS", _GZIP_MAGIC, b"\x89PNG")):
            self.files[name] = decode(data)


def read_package(file: IO[bytes], packed_bytes: int) -> Package:
    """Read a package from an open file of `packed_bytes` bytes.

    Raises:
        NoTexError: there is no TeX in it.
        ConversionError: it is damaged, or beyond a limit.
    """
    try:
        head = file.read(512)
        if not head:
            raise NoTexError("an empty package")
        if head.startswith(_GZIP_MAGIC):
            file.seek(-len(head), io.SEEK_CUR)
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                return _read_content(_Bounded(unpacked, packed_bytes))
        file.seek(-len(head), io.SEEK_CUR)
        return _read_content(_Bounded(file, packed_bytes))
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ConversionError("a damaged archive", str(error)) from None
    except (RecursionError, OverflowError, ValueError, IndexError) as error:
        # from headers that only an attacker writes
        raise ConversionError("a damaged archive", type(error).__name__) from None


def read_folder(folder: Path) -> Package:
    """Read a package that was unpacked into a folder; links that lead out of it are left out.

    Raises:
        NoTexError: there is no TeX in it.
        ConversionError: it is beyond a limit.
    """
    package = Package()
    root = folder.resolve()
    budget = _Budget(package)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_symlink() or not path.resolve().is_relative_to(root):
            package.problems.note("left out a link", name)
            continue
        if path.is_file() and budget.admits(name, path.stat().st_size):
            package.add(name, path.read_bytes())
    return _require_tex(package)


def _read_content(content: _Bounded) -> Package:
    head = content.peek(512)
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise NoTexError(what)
    if head.startswith(_GZIP_MAGIC):
        raise ConversionError("gzip within gzip")
    if _is_tar(head):
        return _read_tar(content)
    data = content.read(MAX_TEXT_FILE_BYTES + 1)
    if len(data) > MAX_TEXT_FILE_BYTES:
        raise ConversionError(f"a file of more than {MAX_TEXT_FILE_BYTES // MIB} MiB")
    package = Package()
    package.add(SINGLE_FILE, data)
    return _require_tex(package)


def _read_tar(content: _Bounded) -> Package:
    package = Package()
    budget = _Budget(package)
    with tarfile.open(fileobj=content, mode="r|", errorlevel=2) as archive:  # a stream: nothing is sought, nothing kept
        for member in archive:
            if member.isdir():
                budget.count()
                continue
            name = safe_name(member.name)
            if not member.isreg() or member.issparse():
                package.problems.note(f"left out {_member_kind(member)}", member.name)
                budget.count()
            elif name is None:
                package.problems.note("left out a file whose name is not safe", member.name)
                budget.count()
            elif budget.admits(name, member.size):
                extracted = archive.extractfile(member)
                assert extracted is not None  # it is regular
                package.add(name, extracted.read())
            archive.members = []  # type: ignore[attr-defined]  # else each header stays in memory
    content.drain()
    return _require_tex(package)


def safe_name(name: str) -> str | None:
    """A member's name, made plain; None for one that could mean a place outside of the package."""
    if not name or len(name) > MAX_NAME_CHARACTERS or "\\" in name or any(ord(letter) < 32 for letter in name):
        return None
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return None
    plain = posixpath.normpath(name)
    return None if plain == "." else plain


class _Budget:
    """Counts what a package holds; tells which of its files are worth reading."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._num_members = 0
        self._num_bytes = 0
        self._names: set[str] = set()

    def count(self) -> None:
        self._num_members += 1
        if self._num_members > MAX_MEMBERS:
            raise ConversionError(f"more than {MAX_MEMBERS:,} files")

    def admits(self, name: str, size: int) -> bool:
        """Whether to read a file.

        Raises:
            ConversionError: there are too many, or there is too much in them.
        """
        self.count()
        if name in self._names:
            self._package.problems.note("left out a second file of one name", name)
            return False
        self._names.add(name)
        if posixpath.splitext(name)[1].lower() in _PASSED_OVER:
            return False
        if size > MAX_TEXT_FILE_BYTES:
            if name.lower().endswith((".tex", ".ltx")):
                raise ConversionError(f"a file of more than {MAX_TEXT_FILE_BYTES // MIB} MiB", name)
            return False
        self._num_bytes += size
        if self._num_bytes > MAX_TEXT_BYTES:
            raise ConversionError(f"more than {MAX_TEXT_BYTES // MIB} MiB of text")
        return True


class _Bounded(io.RawIOBase):
    """A stream that ends in an error when it gives more than a package may hold."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, packed_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._packed_bytes = packed_bytes
        self._num_read = 0
        self._peeked = b""

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        self._peeked += self._take(size - len(self._peeked))
        return self._peeked[:size]

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(MIB), b""))
        head, self._peeked = self._peeked[:size], self._peeked[size:]
        return head + (self._take(size - len(head)) if size > len(head) else b"")

    def drain(self) -> None:
        """Read to the end, where a gzip file's checksum stands."""
        while self.read(MIB):
            pass

    def _take(self, size: int) -> bytes:
        if size > MAX_UNPACKED_BYTES:
            raise ConversionError(f"it unpacks to more than {MAX_UNPACKED_BYTES // MIB} MiB")
        taken = b"".join(_chunks(self._file, size))
        self._num_read += len(taken)
        if self._num_read > MAX_UNPACKED_BYTES:
            raise ConversionError(f"it unpacks to more than {MAX_UNPACKED_BYTES // MIB} MiB")
        if self._num_read > max(RATIO_FROM_BYTES, MAX_RATIO * self._packed_bytes):
            raise ConversionError(f"it unpacks to more than {MAX_RATIO} times its size")
        return taken


def _chunks(file: IO[bytes] | gzip.GzipFile, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(size, MIB))):
        yield chunk
        size -= len(chunk)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _member_kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    return "a sparse file" if member.isreg() else "a device"


def _require_tex(package: Package) -> Package:
    """The package, if there is anything to convert.

    Raises:
        NoTexError: there is not.
    """
    texts = list(package.files.values())
    if not any(text.strip() for text in texts):
        raise NoTexError("no file of text")
    if sum(len(text) for text in texts) < _SHORT_TEXT:
        if any(_WITHDRAWN.search(text) for text in texts):
            raise NoTexError("withdrawn")
        if not any("\\" in text for text in texts):
            raise NoTexError("a short text without TeX")
    if all(_HTML.match(text) for text in texts):
        raise NoTexError("HTML without source")
    return package


def _toplevel(text: str) -> str:
    """The main file that a 00README names: `ms.tex toplevelfile`, or arXiv's JSON and YAML of today."""
    try:
        sources = json.loads(text).get("sources", [])
        names = [source["filename"] for source in sources if source.get("usage") == "toplevel"]
        return str(names[0]) if names else ""
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        pass
    if match := re.search(r"^(\S+)[ \t]+toplevelfile", text, re.MULTILINE | re.IGNORECASE):
        return match[1]
    filename = ""
    for line in text.splitlines():
        if match := re.match(r"[ \t]*-?[ \t]*filename:[ \t]*(\S+)", line):
            filename = match[1].strip("'\"")
        elif filename and re.match(r"[ \t]*-?[ \t]*usage:[ \t]*['\"]?toplevel", line):
            return filename
    return ""
