from __future__ import annotations

from typing import Any

import pytest

from astrollama.sources.records import MalformedRecordError, paper_from_record

V1 = {"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"}
V2 = {"version": "v2", "created": "Tue, 24 Jul 2018 20:10:27 GMT"}


@pytest.mark.parametrize(
    ("record", "date"),
    [
        ({"date": "2007-03-31", "versions": [V1], "id": "0804.0001"}, "2007-03-31"),
        ({"date": "2007-03", "date_source": "arxiv_id"}, "2007-03"),
        ({"versions": [V1, V2], "id": "0804.0001", "update_date": "2018-07-24"}, "2007-04-02"),
        ({"date": "spring 2007", "versions": [V1]}, "2007-04-02"),
        ({"versions": [{"version": "v1", "created": "yesterday"}], "id": "0804.0001"}, "2008-04"),
        ({"versions": [{"version": "v1"}], "id": "0804.0001"}, "2008-04"),
        ({"versions": [], "id": "0804.0001", "update_date": "2018-07-24"}, "2008-04"),
        ({"id": "0804.0001v3"}, "2008-04"),
        ({"id": "my-paper", "update_date": "2018-07-24"}, "2018-07-24"),
        ({"id": "my-paper"}, ""),
    ],
)
def test_the_date_is_the_first_submission_as_well_as_the_record_tells_it(record: dict[str, Any], date: str) -> None:
    paper = paper_from_record(record, "papers.jsonl:1")
    assert paper.date == date


@pytest.mark.parametrize(
    ("record", "categories", "primary"),
    [
        ({"categories": "gr-qc astro-ph.HE"}, ("gr-qc", "astro-ph.HE"), "gr-qc"),
        ({"categories": ["gr-qc", "astro-ph.HE"]}, ("gr-qc", "astro-ph.HE"), "gr-qc"),
        ({"categories": ["gr-qc astro-ph.HE"]}, ("gr-qc", "astro-ph.HE"), "gr-qc"),
        ({"categories": ["gr-qc"], "primary_category": "astro-ph.HE"}, ("gr-qc",), "astro-ph.HE"),
        ({"primary": "astro-ph.HE"}, ("astro-ph.HE",), "astro-ph.HE"),
        ({"categories": []}, ("unknown",), "unknown"),
        ({}, ("unknown",), "unknown"),
    ],
)
def test_categories_are_read_from_a_list_or_a_text_and_the_first_is_the_primary_one(
    record: dict[str, Any], categories: tuple[str, ...], primary: str
) -> None:
    paper = paper_from_record(record, "papers.jsonl:1")
    assert (paper.categories, paper.primary_category) == (categories, primary)


def test_a_record_without_an_id_is_named_after_where_it_stands() -> None:
    for record in ({}, {"id": None}, {"id": ""}, {"id": "  "}):
        assert paper_from_record(record, "papers.jsonl:7").arxiv_id == "papers.jsonl:7"


def test_both_spellings_of_a_key_are_read_and_a_number_may_stand_for_an_id() -> None:
    paper = paper_from_record({"arxiv_id": 17, "license": "CC-BY-4.0"}, "papers.jsonl:1")
    assert (paper.arxiv_id, paper.licence) == ("17", "CC-BY-4.0")
    assert paper_from_record({"licence": "CC0-1.0", "license": "other"}, "x:1").licence == "CC0-1.0"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"abstract": 7}, "abstract is int, not text"),
        ({"abstract": ["a"]}, "abstract is list, not text"),
        ({"title": {"en": "a"}}, "title is dict, not text"),
        ({"id": True}, "id is bool, not text"),
        ({"categories": {"a": 1}}, "categories is neither text nor a list of texts"),
        ({"categories": ["a", None]}, "categories is neither text nor a list of texts"),
    ],
)
def test_a_field_of_an_impossible_type_is_named(record: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRecordError, match=message):
        paper_from_record(record, "papers.jsonl:1")


def test_a_version_with_an_impossible_year_is_no_crash() -> None:
    versions = [{"version": "v1", "created": "Mon, 2 Apr 99999999999999999999 19:18:42 GMT"}]
    assert paper_from_record({"id": "0804.0001", "versions": versions}, "papers.jsonl:1").date == "2008-04"


def test_the_text_may_stand_in_another_field_which_then_names_the_mistake() -> None:
    record = {"id": "a", "abstract": "short", "text": " long "}
    assert paper_from_record(record, "x:1").abstract == "short"
    assert paper_from_record(record, "x:1", "text").abstract == "long"
    assert paper_from_record(record, "x:1", "body").abstract is None
    with pytest.raises(MalformedRecordError, match="text is float, not text"):
        paper_from_record({"text": 1.5}, "x:1", "text")


@pytest.mark.parametrize("value", [["2007-03-31"], {"day": "2007-03-31"}, 2007.25, True, [[[[]]]]])
def test_what_is_no_text_is_no_date(value: object) -> None:
    assert paper_from_record({"date": value, "versions": [{"created": value}]}, "x:1").date == ""
