from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.corpus.split import first_held_out_month, is_held_out_at_random
from astrollama.errors import CorpusError

MONTHS = ["2019-11", "2019-12", "2020-01", "2020-02"]


@pytest.mark.parametrize(
    ("counts", "fraction", "first"),
    [
        ([7, 1, 1, 1], 0.1, "2020-02"),
        ([7, 1, 1, 1], 0.101, "2020-01"),
        ([7, 1, 1, 1], 0.3, "2019-12"),
        ([1, 0, 0, 9], 0.1, "2020-02"),  # a month is never divided
        ([5, 4, 0, 1], 0.5, "2019-12"),
    ],
)
def test_the_newest_whole_months_that_reach_the_share_are_held_out(
    counts: list[int], fraction: float, first: str
) -> None:
    months = [month for month, count in zip(MONTHS, counts, strict=True) for _ in range(count)]
    assert first_held_out_month(months, fraction) == first
    assert first_held_out_month(months[::-1], fraction) == first


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(MONTHS), min_size=2).filter(lambda m: len(set(m)) > 1), st.sampled_from([2, 4, 8, 16]))
def test_the_share_is_reached_and_not_without_the_first_month(months: list[str], part: int) -> None:
    try:
        first = first_held_out_month(months, 1 / part)
    except CorpusError:
        assert part * months.count(min(months)) > (part - 1) * len(months)  # the share needs the very first month
        return
    assert part * sum(month >= first for month in months) >= len(months)
    assert part * sum(month > first for month in months) < len(months)
    assert min(months) < first


@pytest.mark.parametrize("months", [["2020-01"], ["2020-01"] * 50, ["2019-12"] * 9 + ["2020-01"]])
def test_months_that_leave_nothing_to_train_on_are_an_error(months: list[str]) -> None:
    message = rf"{len(months)} documents without duplicates, from {len(set(months))} month\(s\), leave none to train on"
    with pytest.raises(CorpusError, match=rf"{message}.*: give more papers, or set corpus\.split = 'random'"):
        first_held_out_month(months, 0.2)


def test_a_random_share_is_about_as_large_as_asked_and_another_with_another_seed() -> None:
    ids = [f"0704.{number:04}" for number in range(2000)]
    first, again, other = ({i for i in ids if is_held_out_at_random(i, 0.2, seed)} for seed in (0, 0, 1))
    assert first == again
    assert 340 < len(first) < 460
    assert 40 < len(first & other) < 120  # as two independent draws of a fifth share


def test_a_larger_random_share_contains_the_smaller() -> None:
    ids = [f"0704.{number:04}" for number in range(500)]
    small, large = ({i for i in ids if is_held_out_at_random(i, share, 0)} for share in (0.1, 0.3))
    assert small < large
