"""Papers as they are used outside a corpus: what identifies each, its title and its text."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from astrollama.console import say
from astrollama.corpus.clean import repair
from astrollama.corpus.store import storable
from astrollama.errors import SourceError
from astrollama.sources.files import FileSource, OnError, PassedOver, Unreadable


class Abstract(NamedTuple):
    """What is used of a paper outside a corpus."""

    id: str
    title: str
    text: str


def read_abstracts(path: Path, on_error: OnError = "stop") -> list[Abstract]:
    """The abstracts of a file's or a folder's papers, or the texts of a corpus.

    Args:
        on_error: whether a record that cannot be read, or has no text, stops the reading or is told and left out.

    Raises:
        SourceError: as `FileSource.papers`; with `on_error` = `stop` a paper has no text, else none has one.
    """
    papers: list[Abstract] = []
    num_left_out = 0
    for item in FileSource([path], on_error).papers():
        assert not isinstance(item, PassedOver)  # no category is asked for
        if isinstance(item, Unreadable):
            why = f"{item.reason.replace('_', ' ')} ({item.detail})"
        elif item.abstract and repair(item.abstract):
            papers.append(Abstract(storable(item.arxiv_id), storable(item.title), item.abstract))
            continue
        elif on_error == "stop":
            raise SourceError(
                f"{item.origin} has no abstract",
                "leave it out, as --on-error skip does, or give a file of papers with abstracts",
            )
        else:
            why = "it has no abstract"
        say(f"left out: {item.origin}: {why}")
        num_left_out += 1
    if not papers:
        raise SourceError(f"{path} holds no paper with an abstract", "give a file with papers")
    if num_left_out:
        say(f"left out: {num_left_out:,} of the {len(papers) + num_left_out:,} records of {path}")
    return papers
