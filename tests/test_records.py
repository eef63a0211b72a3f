from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from astrollama.records import date_of_arxiv_id, parse_date


@pytest.mark.parametrize(
    ("arxiv_id", "month"),
    [
        ("0704.0001", "2007-04"),
        ("1412.99999", "2014-12"),
        ("1501.00001v12", "2015-01"),
        ("astro-ph/9204001", "1992-04"),
        ("astro-ph/0703123v2", "2007-03"),
        ("astro-ph.CO/0601001", "2006-01"),
        ("hep-th/9101001", "1991-01"),
        ("acc-phys/9411001", "1994-11"),
    ],
)
def test_an_arxiv_id_tells_its_month(arxiv_id: str, month: str) -> None:
    assert date_of_arxiv_id(arxiv_id) == month


@pytest.mark.parametrize(
    "other",
    [
        "",
        "sample:0001",
        "2313.00001",  # month 13
        "2300.00001",  # month 0
        "2301.123",
        "0703.0001",  # the month before the scheme began
        "9912.00001",  # 2099
        "hep-th/9012001",  # before arXiv
        "hep-th/0704001",  # after the scheme ended
        "2301.123456",
        "2301.00001v",
        "astro-ph/930100",
        "10.1086/300499",  # a DOI
        "papers.jsonl:7",
        "2301.00001 ",
    ],
)
def test_what_is_no_arxiv_id_tells_no_month(other: str) -> None:
    assert date_of_arxiv_id(other) == ""


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2024-01-15", "2024-01-15"),
        ("2024-01", "2024-01"),
        (" 2024/01/15", "2024-01-15"),
        ("2024-01-15T23:59:59Z", "2024-01-15"),
        ("2024-01-15 00:00:00", "2024-01-15"),
        (date(1999, 12, 31), "1999-12-31"),
        (datetime(1999, 12, 31, 12, tzinfo=UTC), "1999-12-31"),
    ],
)
def test_a_date_is_read_to_the_day_or_the_month(value: object, day: str) -> None:
    assert parse_date(value) == day


@pytest.mark.parametrize(
    "value", [None, "", "2024", 2024, "2024-13-01", "2024-00", "2024-02-31", "2024-011", "15 January 2024", [], "n/a"]
)
def test_what_names_no_month_is_no_date(value: object) -> None:
    assert parse_date(value) == ""
