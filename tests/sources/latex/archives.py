"""Source packages made in memory."""

from __future__ import annotations

import gzip
import io
import tarfile

PAPER = r"""\documentclass{article}
\begin{document}
\title{A paper}
\begin{abstract}The abstract of a paper.\end{abstract}
\section{Introduction}The introduction.
\section{Conclusions}The conclusion.
\end{document}
"""


def tar(*members: tuple[str | tarfile.TarInfo, bytes | str], compressed: bool = True) -> bytes:
    """A tar of members, given by name or with their whole header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0) if compressed else buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """The header of a link or a device."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info
