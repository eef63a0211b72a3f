"""An OAI-PMH server on loopback: the library oai-repo, serving papers in arXiv's formats `arXiv` and `arXivRaw`.

Run as a program it serves a file of papers: `python -m tests.sources.oai_server FILE --papers 300`; it prints its URL.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
from lxml import etree
from oai_repo import DataInterface, Identify, MetadataFormat, OAIRepository, RecordHeader, Set
from oai_repo.exceptions import OAIErrorBadArgument

SET = "physics:astro-ph"
DAY = "YYYY-MM-DD"
SECOND = "YYYY-MM-DDThh:mm:ssZ"
_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True)
class ServedPaper:
    """A paper as the server holds it: the texts are those that its XML has, to the last space.

    Attributes:
        texts: of the elements of arXiv's format that hold one, by their names; an element that is not here is not sent.
        authors: keyname, forenames, affiliation.
        versions: days of v1, v2, …
    """

    identifier: str
    datestamp: datetime
    texts: Mapping[str, str]
    authors: tuple[tuple[str, str, str], ...] = ()
    versions: tuple[date, ...] = ()
    sets: tuple[str, ...] = (SET,)
    deleted: bool = False


class Repository(DataInterface):
    """What oai-repo asks for; papers in the order of their datestamps, found by bisection."""

    def __init__(self, papers: Sequence[ServedPaper], limit: int = 100, granularity: str = DAY) -> None:
        self.limit = limit
        self.url = "http://127.0.0.1/oai"
        self.granularity = granularity
        self.tell_size = True
        self.put(papers)

    def put(self, papers: Sequence[ServedPaper]) -> None:
        """Hold these papers, and those that are held already under other identifiers."""
        held = {**getattr(self, "papers", {}), **{paper.identifier: paper for paper in papers}}
        self.papers = dict(sorted(held.items(), key=lambda item: (item[1].datestamp, item[0])))
        self._names = list(self.papers)
        self._stamps = [paper.datestamp for paper in self.papers.values()]

    def get_identify(self) -> Identify:
        return Identify(
            "Papers for tests", self.url, ["nobody@example.org"], self._stamp(min(self._stamps)), "persistent",
            self.granularity,
        )  # fmt: skip

    def is_valid_identifier(self, identifier: str) -> bool:
        return identifier in self.papers

    def get_metadata_formats(self, identifier: str | None = None) -> list[MetadataFormat]:
        return [
            MetadataFormat(name, f"http://arxiv.org/OAI/{name}.xsd", f"http://arxiv.org/OAI/{name}/")
            for name in ("arXiv", "arXivRaw")
        ]

    def get_record_header(self, identifier: str) -> RecordHeader:
        paper = self.papers[identifier]
        return RecordHeader(identifier, self._stamp(paper.datestamp), list(paper.sets))

    def get_record_metadata(self, identifier: str, metadataprefix: str) -> Any:
        paper = self.papers[identifier]
        if paper.deleted:
            return etree.Element("deleted")  # oai-repo knows no deleted records: the response is mended below
        return arxiv_xml(paper) if metadataprefix == "arXiv" else arxiv_raw_xml(paper)

    def get_record_abouts(self, identifier: str) -> list[Any]:
        return []

    def list_set_specs(self, identifier: str | None = None, cursor: int = 0) -> tuple[list[str], int, None]:
        specs = sorted({name for paper in self.papers.values() for name in paper.sets})
        return specs, len(specs), None

    def get_set(self, setspec: str) -> Set:
        return Set(setspec, setspec, [])

    def list_identifiers(
        self,
        metadataprefix: str,
        filter_from: datetime | None = None,
        filter_until: datetime | None = None,
        filter_set: str | None = None,
        cursor: int = 0,
    ) -> tuple[list[str], int, None]:
        if filter_set is not None and filter_set not in self.list_set_specs()[0]:
            raise OAIErrorBadArgument(f"there is no set {filter_set}")
        first = bisect.bisect_left(self._stamps, filter_from) if filter_from else 0
        # a day as the limit means all of the day
        last = bisect.bisect_left(self._stamps, filter_until + timedelta(days=1)) if filter_until else len(self._names)
        names = [name for name in self._names[first:last] if filter_set is None or filter_set in self.papers[name].sets]
        return names[cursor : cursor + self.limit], len(names), None

    def _stamp(self, when: datetime) -> str:
        return _stamp(when, self.granularity)


def _stamp(when: datetime, granularity: str) -> str:
    return when.strftime("%Y-%m-%d" if granularity == DAY else "%Y-%m-%dT%H:%M:%SZ")


def arxiv_xml(paper: ServedPaper) -> Any:
    """The record in the format `arXiv`."""
    root = _root("arXiv")
    _add(root, "id", paper.texts.get("id"))
    _add(root, "created", paper.versions[0].isoformat() if paper.versions else None)
    if len(paper.versions) > 1:
        _add(root, "updated", paper.versions[-1].isoformat())
    if paper.authors:
        authors = _add(root, "authors", "")
        for keyname, forenames, affiliation in paper.authors:
            author = _add(authors, "author", "")
            _add(author, "keyname", keyname)
            _add(author, "forenames", forenames or None)
            _add(author, "affiliation", affiliation or None)
    for name, text in paper.texts.items():
        if name != "id":
            _add(root, name, text)
    return root


def arxiv_raw_xml(paper: ServedPaper) -> Any:
    """The record in the format `arXivRaw`."""
    root = _root("arXivRaw")
    _add(root, "id", paper.texts.get("id"))
    _add(root, "submitter", "A. Submitter")
    for number, day in enumerate(paper.versions, start=1):
        version = _add(root, "version", "")
        version.set("version", f"v{number}")
        _add(version, "date", format_datetime(datetime(day.year, day.month, day.day, 9, tzinfo=UTC), usegmt=True))
        _add(version, "size", "12kb")
        _add(version, "source_type", "D")
    if paper.authors:
        _add(root, "authors", ", ".join(f"{forenames} {keyname}" for keyname, forenames, _ in paper.authors))
    for name, text in paper.texts.items():
        if name != "id":
            _add(root, name, text)
    return root


def _root(name: str) -> Any:
    space = f"http://arxiv.org/OAI/{name}/"
    root = etree.Element(name, nsmap={None: space, "xsi": _XSI})
    root.set(f"{{{_XSI}}}schemaLocation", f"{space} http://arxiv.org/OAI/{name}.xsd")
    return root


def _add(parent: Any, name: str, text: str | None) -> Any:
    if text is None:
        return None
    element = etree.SubElement(parent, name)
    element.text = text or None
    return element


def read_papers(path: Path, count: int) -> list[ServedPaper]:
    """The first papers of a JSONL file, with what arXiv knows and the file does not made up from their numbers."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [served_paper(json.loads(line), number) for number, line in enumerate(islice(file, count))]


def served_paper(record: Mapping[str, Any], number: int) -> ServedPaper:
    """A paper with all that is hard in XML: accents, ampersands, angle brackets, wrapped lines, spaces at the ends."""
    submitted = date.fromisoformat(f"{record['date']}-01"[:10])
    texts = {
        "id": record["id"].replace("sample:", "9901.") if number % 2 else record["id"],
        "title": record["title"] + (" at z > 2 & z < 3,\n  Schrödinger’s 🔭" if number % 5 == 0 else ""),
        "categories": " ".join(record["categories"]),
        "comments": f"{number} pages, 3 figures" if number % 3 else None,
        "journal-ref": "Astron.Astrophys. 1 (1999) L1 <erratum>" if number % 7 == 0 else None,
        "doi": f"10.0000/test.{number}" if number % 4 == 0 else None,
        "license": "http://creativecommons.org/publicdomain/zero/1.0/",
        "report-no": f"TEST-{number}" if number % 11 == 0 else None,
        "abstract": f"  {record['abstract']}\n",
    }
    if number % 97 == 96:
        del texts["abstract"]
    if number % 89 == 88:
        del texts["id"]
    return ServedPaper(
        identifier=f"oai:arXiv.org:{record['id']}",
        datestamp=datetime(2007, 5, 23, tzinfo=UTC) + timedelta(hours=7 * number),
        texts={name: text for name, text in texts.items() if text is not None},
        authors=(("Müller", "A. B.", "Université d’Ici & Là"), (f"Autrice {number}", "", "")),
        versions=(submitted, submitted + timedelta(days=30))[: 1 + number % 2],
        sets=(SET, "physics:gr-qc") if number % 10 == 0 else (SET,),
        deleted=number % 53 == 52,
    )


def revised(paper: ServedPaper, when: datetime) -> ServedPaper:
    """The paper with one version more and another abstract."""
    texts = {**paper.texts, "abstract": "  Revised: " + paper.texts.get("abstract", "")}
    return replace(paper, texts=texts, datestamp=when, versions=(*paper.versions, when.date()))


@dataclass(frozen=True)
class Comparison:
    """How a harvest differs from what the server holds: identifiers, in order."""

    missing: list[str]
    repeated: list[str]
    different: list[str]


def compare(papers: Iterable[ServedPaper], harvest: Path, metadata_format: str, granularity: str = DAY) -> Comparison:
    """Compare `papers.parquet` and `deleted.csv`, text by text, with what the server holds."""
    rows = pq.read_table(harvest / "papers.parquet").to_pylist()
    with (harvest / "deleted.csv").open(encoding="utf-8", newline="") as file:
        rows += [{**row, "deleted": True} for row in csv.DictReader(file)]
    counted = Counter(row["oai_identifier"] for row in rows)
    found = {row["oai_identifier"]: row for row in rows}
    expected = {paper.identifier: _expected(paper, metadata_format, granularity) for paper in papers}
    different = [name for name, row in expected.items() if name in found and not row.items() <= found[name].items()]
    different += found.keys() - expected.keys()
    return Comparison(
        missing=sorted(expected.keys() - found.keys()),
        repeated=sorted(name for name, count in counted.items() if count > 1),
        different=sorted(different),
    )


def _expected(paper: ServedPaper, metadata_format: str, granularity: str) -> dict[str, Any]:
    """The columns that a paper must have, worked out without any XML."""
    stamp = _stamp(paper.datestamp, granularity)
    local_id = paper.identifier.removeprefix("oai:arXiv.org:")
    if paper.deleted:
        return {"id": local_id, "datestamp": stamp, "deleted": True}
    texts = paper.texts
    row: dict[str, Any] = {
        "id": texts.get("id", local_id),
        "categories": texts["categories"].split(),
        "primary": texts["categories"].split()[0],
        "date": paper.versions[0].isoformat(),
        "licence": texts["license"],
        "journal_ref": texts.get("journal-ref"),
        "sets": list(paper.sets),
        "datestamp": stamp,
        **{name: texts.get(name) for name in ("title", "abstract", "comments", "doi")},
    }
    other = [{"name": "report-no", "text": texts["report-no"]}] if "report-no" in texts else []
    if metadata_format == "arXiv":
        row["updated"] = paper.versions[-1].isoformat() if len(paper.versions) > 1 else None
        row["authors_parsed"] = [
            {
                "keyname": keyname,
                "forenames": forenames or None,
                "suffix": None,
                "affiliations": [affiliation] if affiliation else [],
            }
            for keyname, forenames, affiliation in paper.authors
        ]
    else:
        other = [{"name": "submitter", "text": "A. Submitter"}, *other]
        row["num_versions"] = len(paper.versions)
        row["authors"] = ", ".join(f"{forenames} {keyname}" for keyname, forenames, _ in paper.authors)
    return row | {"other": other or None}


class OaiServer:
    """A running server; `requests` are the arguments of those that came."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.requests: list[dict[str, str]] = []
        self.url = ""

    def answer(self, query: str) -> bytes:
        """The response to the query of a URL."""
        arguments = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        self.requests.append(dict(arguments))
        root = OAIRepository(self.repository).process(arguments).root()
        for record in root.iter(f"{_OAI}record", "record"):
            metadata = record[-1]
            if len(metadata) and metadata[0].tag == "deleted":
                record.remove(metadata)
                record[0].set("status", "deleted")
        if not self.repository.tell_size:
            for token in root.iter("resumptionToken"):
                token.attrib.clear()
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


@contextmanager
def serve(repository: Repository) -> Iterator[OaiServer]:
    """Run a server on a free port of loopback."""
    server = OaiServer(repository)

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send(200, server.answer(urlsplit(self.path).query))

    with listening(Handler) as url:
        server.url = repository.url = f"{url}/oai"
        yield server


class QuietHandler(BaseHTTPRequestHandler):
    """Answers with a body of known length, and says nothing on the screen."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out apart: the body must not wait for the head's receipt

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response."""
        self.send_response(status)
        for name, value in {"Content-Type": "text/xml", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback, in threads; gives the URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed has nothing more to be told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--papers", type=int, default=20_000)
    parser.add_argument("--page", type=int, default=200, help="papers on a page")
    given = parser.parse_args()
    with serve(Repository(read_papers(given.file, given.papers), limit=given.page)) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
