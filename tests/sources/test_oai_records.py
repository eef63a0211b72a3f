from __future__ import annotations

import random
import re
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.records import Paper
from astrollama.sources import oai_records
from astrollama.sources.oai_records import (
    Identity,
    MalformedAnswerError,
    OaiError,
    OaiRecord,
    Page,
    parse_identity,
    parse_page,
)
from astrollama.sources.records import paper_from_record
from tests.sources.oai_server import SECOND, SET, OaiServer, Repository, ServedPaper

PAPER = ServedPaper(
    identifier="oai:arXiv.org:astro-ph/9204001",
    datestamp=datetime(2007, 5, 23, 9, 30, tzinfo=UTC),
    texts={
        "id": "astro-ph/9204001",
        "title": "Winds of $z<1$ & Wolf–Rayet\n  stars",
        "categories": "astro-ph.SR  gr-qc",
        "comments": '<5 pages> & "more"',
        "proxy": "someone",
        "license": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
        "abstract": "  Two lines\n of Ångström,\t🔭 and &amp; as it is.\n",
    },
    authors=(("Müller", "A. B.", "Ici & Là"), ("The Collaboration", "", "")),
    versions=(date(1992, 4, 8), date(1993, 1, 2)),
    sets=(SET, "physics:gr-qc"),
)


def answer(*papers: ServedPaper, metadata_format: str = "arXiv", granularity: str = "YYYY-MM-DD") -> bytes:
    """What the server says when it is asked for these."""
    server = OaiServer(Repository(papers, granularity=granularity))
    return server.answer(f"verb=ListRecords&metadataPrefix={metadata_format}")


def envelope(content: str) -> bytes:
    return f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{content}</OAI-PMH>'.encode()


def record(header: str, metadata: str) -> str:
    return f"<ListRecords><record><header>{header}</header>{metadata}</record></ListRecords>"


def test_a_record_of_the_format_arxiv() -> None:
    (found,) = parse_page(answer(PAPER)).records
    assert found == OaiRecord(
        "oai:arXiv.org:astro-ph/9204001",
        "2007-05-23",
        deleted=False,
        sets=(SET, "physics:gr-qc"),
        columns={
            "id": "astro-ph/9204001",
            "date": "1992-04-08",
            "updated": "1993-01-02",
            "authors": "A. B. Müller, The Collaboration",
            "authors_parsed": [
                {"keyname": "Müller", "forenames": "A. B.", "suffix": None, "affiliations": ["Ici & Là"]},
                {"keyname": "The Collaboration", "forenames": None, "suffix": None, "affiliations": []},
            ],
            "title": PAPER.texts["title"],
            "categories": ["astro-ph.SR", "gr-qc"],
            "primary": "astro-ph.SR",
            "comments": PAPER.texts["comments"],
            "licence": PAPER.texts["license"],
            "abstract": PAPER.texts["abstract"],
            "other": [{"name": "proxy", "text": "someone"}],
        },
    )


def test_a_record_of_the_format_arxivraw() -> None:
    (found,) = parse_page(answer(PAPER, metadata_format="arXivRaw")).records
    assert found.columns["date"] == "1992-04-08"
    assert found.columns["num_versions"] == 2
    assert found.columns["versions"][1] == {
        "version": "v2",
        "created": "Sat, 02 Jan 1993 09:00:00 GMT",
        "size": "12kb",
        "source_type": "D",
    }
    assert found.columns["authors"] == "A. B. Müller,  The Collaboration"
    assert found.columns["abstract"] == PAPER.texts["abstract"]
    assert {"name": "submitter", "text": "A. Submitter"} in found.columns["other"]


@pytest.mark.parametrize("metadata_format", ["arXiv", "arXivRaw"])
def test_the_importer_reads_what_was_harvested(metadata_format: str) -> None:
    (found,) = parse_page(answer(PAPER, metadata_format=metadata_format)).records
    assert paper_from_record(found.columns, "harvest:1") == Paper(
        arxiv_id="astro-ph/9204001",
        title=PAPER.texts["title"],
        abstract=PAPER.texts["abstract"].strip(),
        categories=("astro-ph.SR", "gr-qc"),
        primary_category="astro-ph.SR",
        date="1992-04-08",
        licence=PAPER.texts["license"],
        origin="harvest:1",
    )


def test_text_is_what_xml_says_it_is() -> None:
    abstract = "<abstract> a<!-- no -->b<?no?> <![CDATA[<c> & ]]>&#x1F52D;&lt;<i>d</i>e\r\n</abstract>"
    body = envelope(record("<identifier>x:y:1</identifier>", f"<metadata><arXiv>{abstract}</arXiv></metadata>"))
    assert parse_page(body).records[0].columns["abstract"] == " ab <c> & 🔭<de\n"


def test_a_record_that_lacks_parts_is_kept() -> None:
    without = replace(PAPER, texts={"title": "T", "categories": ""}, authors=(), versions=())
    (found,) = parse_page(answer(without)).records
    assert found.columns == {"id": "astro-ph/9204001", "title": "T", "categories": []}

    (empty,) = parse_page(envelope(record("<identifier>a:b:7</identifier>", ""))).records
    assert (empty.identifier, empty.datestamp, empty.columns) == ("a:b:7", "", {"id": "7"})

    metadata = "<metadata><arXiv><id/><abstract>A</abstract></arXiv></metadata>"
    (half,) = parse_page(envelope(record("<identifier>a:b:7</identifier>", metadata))).records
    assert half.columns == {"id": "7", "abstract": "A"}
    (unnamed,) = parse_page(envelope(record("", metadata))).records
    (other,) = parse_page(envelope(record("", metadata.replace("A<", "B<")))).records
    assert unnamed.identifier.startswith("unidentified:")
    assert unnamed.identifier != other.identifier
    assert unnamed.columns["abstract"] == "A"


def test_a_repeated_element_is_kept_beside_the_first() -> None:
    metadata = "<metadata><arXiv><title>T</title><title>U</title></arXiv></metadata>"
    (found,) = parse_page(envelope(record("<identifier>a:b:7</identifier>", metadata))).records
    assert found.columns["title"] == "T"
    assert found.columns["other"] == [{"name": "title", "text": "U"}]


def test_a_deleted_record() -> None:
    (found,) = parse_page(answer(replace(PAPER, deleted=True))).records
    assert found == OaiRecord("oai:arXiv.org:astro-ph/9204001", "2007-05-23", True, (SET, "physics:gr-qc"), {})
    assert found.record_hash == ""


def test_the_hash_changes_with_every_part_of_a_record() -> None:
    original = parse_page(answer(PAPER)).records[0]
    others = [
        replace(PAPER, texts={**PAPER.texts, "abstract": PAPER.texts["abstract"] + " "}),
        replace(PAPER, sets=(SET,)),
        replace(PAPER, authors=PAPER.authors[:1]),
    ]
    hashes = {parse_page(answer(paper)).records[0].record_hash for paper in others}
    assert len({*hashes, original.record_hash}) == 4
    assert parse_page(answer(PAPER)).records[0].record_hash == original.record_hash


@pytest.mark.parametrize(
    ("datestamp", "day"),
    [("2007-05-23", "2007-05-23"), ("2007-05-23T01:02:03Z", "2007-05-23"), ("2007-05", ""), ("soon", ""), ("", "")],
)
def test_the_day_of_a_datestamp(datestamp: str, day: str) -> None:
    assert OaiRecord("a:b:1", datestamp, False, (), {}).day == day


def test_a_page_tells_how_the_list_goes_on() -> None:
    server = OaiServer(Repository([replace(PAPER, identifier=f"oai:arXiv.org:{n}") for n in range(3)], limit=2))
    first = parse_page(server.answer("verb=ListRecords&metadataPrefix=arXiv"))
    assert (len(first.records), first.complete_list_size, first.marks_end) == (2, 3, False)
    assert first.response_day == datetime.now(UTC).date().isoformat()
    assert parse_page(envelope("<responseDate>2024-01</responseDate><ListRecords/>")).response_day == ""
    last = parse_page(server.answer(f"verb=ListRecords&resumptionToken={first.token}"))
    assert (len(last.records), last.token, last.marks_end) == (1, "", True)


@pytest.mark.parametrize("size", ["", "many", "-3", "²", "9" * 5000])
def test_a_size_that_is_no_number_is_none(size: str) -> None:
    body = envelope(f'<ListRecords><resumptionToken completeListSize="{size}">t</resumptionToken></ListRecords>')
    assert parse_page(body) == Page((), "t", False, None, "")


def test_what_a_server_says_of_itself() -> None:
    body = OaiServer(Repository([PAPER], granularity=SECOND)).answer("verb=Identify")
    assert parse_identity(body) == Identity("Papers for tests", "2007-05-23T09:30:00Z", SECOND, "persistent")


def test_the_servers_own_error() -> None:
    server = OaiServer(Repository([PAPER]))
    with pytest.raises(OaiError, match="there is no set nowhere") as caught:
        parse_page(server.answer("verb=ListRecords&metadataPrefix=arXiv&set=nowhere"))
    assert caught.value.code == "badArgument"


BOMB = """<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><OAI-PMH>&b;</OAI-PMH>"""


@pytest.mark.parametrize(
    "body",
    [
        BOMB.encode(),
        BOMB.encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><OAI-PMH>&x;</OAI-PMH>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><OAI-PMH/>',
        b"<!DOCTYPE html><html><body>Please log in</body></html>",
        b"<html/>",
        b"",
        b"\0",
        b"not xml",
        b"\xff\xfe<",
        envelope("<ListRecords>")[:-5],
        envelope("<ListRecords><record>\xff".encode("latin-1").decode("latin-1")),
        envelope("&undefined;"),
        envelope("<Identify/>"),
        envelope(""),
        b'<?xml version="1.0" encoding="no-such"?><OAI-PMH/>',
        b'<?xml version="1.0" encoding="big5"?><OAI-PMH/>',
        b'<?xml version="1.0" encoding="utf-7"?><OAI-PMH/>',
        envelope("<a>" * 200 + "</a>" * 200),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        parse_page(body)


def test_the_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    body = envelope("<ListRecords>" + "<record/>" * 100 + "</ListRecords>")
    assert len(parse_page(body).records) == 100
    monkeypatch.setattr(oai_records, "MAX_ELEMENTS", 50)
    with pytest.raises(MalformedAnswerError, match="more than 50 elements"):
        parse_page(body)


# real answers to be spoiled
ANSWERS = [
    answer(PAPER, replace(PAPER, identifier="oai:arXiv.org:2", deleted=True)),
    answer(PAPER, metadata_format="arXivRaw", granularity=SECOND),
    OaiServer(Repository([PAPER])).answer("verb=Identify"),
    OaiServer(Repository([PAPER])).answer("verb=ListRecords&metadataPrefix=none"),
]
PIECES = [b"<", b">", b"&", b"&amp;", b"]]>", b"<![CDATA[", b"<!--", b"<!DOCTYPE a [", b'<!ENTITY a "b">', b"</record>"]
PIECES += [b"<record>", b"\0", b"\xff", b"\xc3", b'"', b"=", b"xmlns:a=", b"</", b"/>", b"<header status='deleted'>"]
PIECES += [b"<date>x</date>", b"<version/>", b"<metadata/>", b"<resumptionToken/>", b"<error/>", b"\xef\xbb\xbf"]


def try_to_parse(body: bytes) -> None:
    """Either an answer or one of the two errors, and soon; what came through has the types that it should."""
    started = time.monotonic()
    try:
        page = parse_page(body)
    except (MalformedAnswerError, OaiError):
        page = Page((), "", True, None, "")
    with suppress(MalformedAnswerError, OaiError):
        parse_identity(body)
    for found in page.records:
        assert found.identifier
        assert len(found.record_hash) == (0 if found.deleted else 16)
        assert found.deleted or isinstance(found.columns["id"], str)
        assert re.fullmatch(r"|\d{4}-\d{2}-\d{2}", found.day)
    assert time.monotonic() - started < 5


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    try_to_parse(body)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, len(ANSWERS) - 1), st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_spoilt_answer_is_an_answer_or_an_error(which: int, num_changes: int, chance: random.Random) -> None:
    body = bytearray(ANSWERS[which])
    for _ in range(num_changes):
        first, second = sorted((chance.randrange(len(body) + 1), chance.randrange(len(body) + 1)))
        match chance.randrange(5):
            case 0:
                del body[first : first + chance.randrange(1, 30)]
            case 1:
                body[first:first] = chance.choice(PIECES)
            case 2:
                body[first:first] = body[second : second + chance.randrange(1, 200)]
            case 3:
                body[first : first + 1] = bytes([chance.randrange(256)])
            case 4:
                body[first : first + 1] = chance.choice(PIECES)
        body = body or bytearray(b"<")
    try_to_parse(bytes(body))


NAMES = st.sampled_from(
    ["id", "title", "abstract", "authors", "author", "keyname", "version", "date", "categories", "x"]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(NAMES, NAMES, TEXTS), max_size=8))
def test_any_elements_in_a_record_are_kept(elements: list[tuple[str, str, str]]) -> None:
    from xml.sax.saxutils import escape

    inside = "".join(f"<{a}><{b}>{escape(text)}</{b}></{a}>" for a, b, text in elements)
    body = envelope(record("<identifier>a:b:1</identifier>", f"<metadata><arXiv>{inside}</arXiv></metadata>"))
    (found,) = parse_page(body).records
    kept = repr(found.columns)
    for a, b, text in elements:
        if a not in ("authors", "version", "categories") and b not in ("author", "keyname"):
            assert repr(text)[1:-1] in kept, (a, b, text)
