"""Which papers lie in the given places: packages named by id, folders of them, unpacked papers, and arXiv's bulk tars."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from astrollama.errors import SourceError
from astrollama.files import sha256_file

_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".gz", ".zip", ".pdf", ".tex", ".ltx")
_PACKAGES = (".tar.gz", ".tgz", ".tar", ".gz", ".zip")
_NEW_ID = re.compile(r"\d{4}\.\d{4,5}(?:v\d+)?")
_OLD_NUMBER = re.compile(r"\d{7}(?:v\d+)?")
_OLD_ID = re.compile(r"([a-z-]+(?:\.[A-Za-z-]{2,})?)(\d{7}(?:v\d+)?)")
_ARCHIVE = re.compile(r"[a-z-]+(?:\.[A-Za-z-]{2,})?")
_BULK_NAME = re.compile(r"arXiv_src_.*\.tar")
_DOCUMENT_CLASS = re.compile(rb"^[^%\n]{0,200}?\\document(?:class|style)", re.MULTILINE)
_CLASS_STANDS_IN = 65_536  # bytes at the beginning of a file


@dataclass(frozen=True, slots=True)
class Item:
    """One paper's source.

    Attributes:
        path: a file or a folder.
        offset: where in the file the package begins, for a member of a bulk tar; else 0.
        size: bytes of the package; 0 for a folder.
        problem: why it cannot be read at all, "" where nothing is known.
        origin: where it stands, for messages.
    """

    paper_id: str
    path: Path
    offset: int
    size: int
    problem: str
    origin: str


def find_items(sources: Sequence[Path]) -> Iterator[Item]:
    """The papers of the sources, in the order given; within a folder in the order of the names.

    Raises:
        SourceError: a source is missing, or a folder holds no paper.
    """
    for source in sources:
        if source.is_dir():
            found = False
            for item in _items_of_folder(source, source):
                found = True
                yield item
            if not found:
                raise SourceError(f"{source} holds no paper", "give source packages, .tex files or folders of these")
        elif source.is_file():
            yield from _items_of_file(source, source.name)
        elif source.exists():
            raise SourceError(f"{source} is a pipe or a device", "write the package to a file first")
        else:
            raise SourceError(f"there is no file {source}", "check the path")


def digest(sources: Sequence[Path]) -> str:
    """A SHA-256 over the names and the contents of everything that lies in the sources, in hex."""
    total = hashlib.sha256()
    for source in sources:
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        for path in files:
            name = path.relative_to(source.parent).as_posix()
            total.update(f"{name}\0{sha256_file(path)}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def paper_id(name: str, folder: str = "") -> str:
    """The identifier that a file's name tells: `astro-ph9204001.gz` and `astro-ph/9204001.gz` are `astro-ph/9204001`."""
    stem = name
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    stem = stem.removeprefix("arXiv-").removeprefix("arXiv:")
    if match := _OLD_ID.fullmatch(stem):
        return f"{match[1]}/{match[2]}"
    if _OLD_NUMBER.fullmatch(stem) and _ARCHIVE.fullmatch(folder):
        return f"{folder}/{stem}"
    return stem


def is_arxiv_id(text: str) -> bool:
    """Whether a text is an identifier of arXiv's, old or new."""
    return bool(_NEW_ID.fullmatch(text) or re.fullmatch(rf"{_ARCHIVE.pattern}/{_OLD_NUMBER.pattern}", text))


def _items_of_folder(folder: Path, source: Path) -> Iterator[Item]:
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and not entry.is_symlink())
    files = [entry for entry in entries if entry.is_file()]
    packages = [path for path in files if _is_package(path)]
    papers = [path for path in files if path.suffix.lower() in (".tex", ".ltx") and _has_class(path)]
    is_paper = papers and not any(is_arxiv_id(paper_id(path.name, folder.name)) for path in packages)
    if is_paper or (not packages and _is_unpacked_paper(folder)):
        inside = folder.relative_to(source).as_posix()
        name = folder.resolve().name if inside == "." else inside
        yield Item(paper_id(name), folder, 0, 0, "", str(folder))
        return
    for entry in entries:
        if entry.is_dir():
            yield from _items_of_folder(entry, source)
        elif entry in packages or entry in papers:
            yield from _items_of_file(entry, str(entry.relative_to(source)))


def _is_unpacked_paper(folder: Path) -> bool:
    """Whether a folder is named by an arXiv identifier and holds TeX, be it in folders of its own."""
    if not is_arxiv_id(paper_id(folder.resolve().name, folder.resolve().parent.name)):
        return False
    return any(path.suffix.lower() in (".tex", ".ltx") for path in folder.rglob("*"))


def _is_package(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(_PACKAGES):
        return True
    return not name.endswith((".tex", ".ltx")) and is_arxiv_id(paper_id(path.name, path.parent.name))


def _has_class(path: Path) -> bool:
    with path.open("rb") as file:
        return _DOCUMENT_CLASS.search(file.read(_CLASS_STANDS_IN)) is not None


def _items_of_file(path: Path, origin: str) -> Iterator[Item]:
    if _is_bulk(path):
        yield from _items_of_bulk(path, origin)
    else:
        yield Item(paper_id(path.name, path.resolve().parent.name), path, 0, path.stat().st_size, "", origin)


def _is_bulk(path: Path) -> bool:
    """Whether a tar holds packages: by arXiv's name for such a tar, or by the name of its first file."""
    if not path.name.endswith(".tar"):
        return False
    if _BULK_NAME.fullmatch(path.name):
        return True
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                if member.isreg():
                    return _is_bulk_member(member.name)
    except (tarfile.TarError, OSError, ValueError, RecursionError, OverflowError):
        pass
    return False


def _is_bulk_member(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name.endswith((".gz", ".pdf")) and is_arxiv_id(paper_id(path.name, path.parent.name))


def _items_of_bulk(path: Path, origin: str) -> Iterator[Item]:
    count = 0
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else the headers of a whole month stay in memory
                if member.isdir():
                    continue
                count += 1
                name = PurePosixPath(member.name)
                problem = "" if member.isreg() and not member.issparse() else "a link or a device instead of a package"
                known = paper_id(name.name, name.parent.name)
                yield Item(known, path, member.offset_data, member.size, problem, f"{origin}:{member.name}")
    except (tarfile.TarError, EOFError, ValueError, RecursionError, OverflowError) as error:
        problem = f"the bulk tar is damaged after {count} packages: {error}"
        yield Item(path.name, path, 0, 0, problem, origin)
