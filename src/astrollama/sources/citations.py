"""Who cites whom: JSON lines with the identifier of a citing paper and those of its references."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from astrollama.errors import SourceError
from astrollama.records import paper_and_version
from astrollama.sources.json_lines import read_json_lines
from astrollama.sources.records import BrokenRecord

_FIX = 'write {"id": "2301.00001", "refs": ["1807.06209"]}, one citing paper a line'


def read_citations(path: Path) -> dict[str, list[str]]:
    """The references of each citing paper, without versions, each once and without the paper itself.

    Raises:
        SourceError: the file cannot be read, is empty, or has a line that tells no citations.
    """
    citations: dict[str, list[str]] = {}
    try:
        for record in read_json_lines(path, skip=0):
            assert record is not None
            if isinstance(record, BrokenRecord):
                raise SourceError(f"{path}, line {record.number}: {record.detail}", _FIX)
            citing, references = record.fields.get("id"), record.fields.get("refs")
            if not isinstance(citing, str) or not citing:
                raise SourceError(f"{path}, line {record.number}: no id of a citing paper", _FIX)
            if not _is_list_of_ids(references):
                raise SourceError(f"{path}, line {record.number}: refs is no list of identifiers", _FIX)
            paper = paper_and_version(citing)[0]
            cited = [paper_and_version(reference)[0] for reference in references]
            citations[paper] = list(dict.fromkeys([*citations.get(paper, []), *cited]))
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})", "give a file of citations") from error
    if not citations:
        raise SourceError(f"{path} holds no citations", _FIX)
    return {paper: [cited for cited in references if cited != paper] for paper, references in citations.items()}


def _is_list_of_ids(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)
