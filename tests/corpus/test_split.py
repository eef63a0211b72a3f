from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.corpus.split import Split, split_rule
from astrollama.errors import CorpusError
from astrollama.sections import CorpusSection

MONTHS = ["2019-10", "2019-11", "2019-12", "2020-01", "2020-02"]


def split(months: list[str], **keys: Any) -> tuple[str | None, str | None]:
    """The first months of validation and of the test."""
    ids = [f"p{number}" for number in range(len(months))]
    rule = split_rule(ids, months, CorpusSection(**keys))
    return rule.validation_from, rule.held_out_from


def months_of(counts: list[int]) -> list[str]:
    return [month for month, count in zip(MONTHS, counts, strict=True) for _ in range(count)]


@pytest.mark.parametrize(
    ("counts", "fraction", "first"),
    [
        ([4, 3, 1, 1, 1], 0.1, "2020-02"),
        ([4, 3, 1, 1, 1], 0.101, "2020-01"),
        ([4, 3, 1, 1, 1], 0.3, "2019-12"),
        ([1, 0, 0, 0, 9], 0.1, "2020-02"),  # a month is never divided
        ([1, 4, 4, 0, 1], 0.5, "2019-12"),
    ],
)
def test_the_newest_whole_months_that_reach_the_share_are_held_out(
    counts: list[int], fraction: float, first: str
) -> None:
    months = months_of(counts)
    assert split(months, test_fraction=fraction, validation_fraction=0)[1] == first
    assert split(months[::-1], test_fraction=fraction, validation_fraction=0) == (None, first)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.sampled_from(MONTHS), min_size=2).filter(lambda m: len(set(m)) > 1),
    st.sampled_from([4, 8, 16]),
    st.sampled_from([4, 8, 16]),
)
def test_shares_are_reached_and_not_without_their_first_month(months: list[str], part: int, validation: int) -> None:
    keys = {"test_fraction": 1 / part, "validation_fraction": 1 / validation}
    try:
        since, first = split(months, **keys)
    except CorpusError:
        assert part * months.count(min(months)) > (part - 1) * len(months)  # the share needs the very first month
        return
    assert first is not None
    assert part * sum(month >= first for month in months) >= len(months)
    assert part * sum(month > first for month in months) < len(months)
    if since is None:  # the share of validation would leave none to train on
        earlier = [month for month in months if month < first]
        assert validation * sum(month > min(earlier) for month in earlier) < len(months)
        return
    assert min(months) < since < first
    assert validation * sum(since <= month < first for month in months) >= len(months)
    assert validation * sum(since < month < first for month in months) < len(months)


@pytest.mark.parametrize("months", [["2020-01"], ["2020-01"] * 50, ["2019-12"] * 9 + ["2020-01"]])
def test_months_that_leave_nothing_to_train_on_are_an_error(months: list[str]) -> None:
    message = (
        rf"{len(months)} documents without duplicates, of 20\S+.*, leave none to train on when the test begins in 20"
    )
    with pytest.raises(CorpusError, match=rf"{message}\S+: give more papers, or set other months"):
        split(months, test_fraction=0.2)


def test_months_that_are_given_are_kept_whatever_the_papers() -> None:
    keys = {"split": "months", "validation_from": "2019-12", "test_from": "2020-02"}
    assert split(months_of([1, 1, 1, 1, 1]), **keys) == ("2019-12", "2020-02")
    assert split(months_of([9, 0, 0, 0, 1]), **keys) == ("2019-12", "2020-02")
    with pytest.raises(CorpusError, match="leave none to test on"):
        split(months_of([1, 1, 1, 1, 0]), **keys)


def test_a_day_belongs_to_its_month() -> None:
    rule = split_rule(["a", "b", "c"], ["2019-11-30", "2019-12-01", "2020-02"], SETTINGS_MONTHS)
    assert [rule.split_of("a", "2019-11-30"), rule.split_of("b", "2019-12-01")] == ["train", "validation"]
    assert [rule.split_of("c", "2020-01-31"), rule.split_of("c", "2020-02-01")] == ["validation", "test"]


SETTINGS_MONTHS = CorpusSection(split="months", validation_from="2019-12", test_from="2020-02")


def random_splits(ids: list[str], **keys: Any) -> dict[str, Split]:
    rule = split_rule(ids, [""] * len(ids), CorpusSection(split="random", **keys))
    return {document_id: rule.split_of(document_id, "") for document_id in ids}


def test_random_shares_are_about_as_large_as_asked_and_others_with_another_seed() -> None:
    ids = [f"0704.{number:04}" for number in range(2000)]
    first, other = (random_splits(ids, test_fraction=0.2, validation_fraction=0.1, seed=seed) for seed in (0, 1))
    assert first == random_splits(ids, test_fraction=0.2, validation_fraction=0.1)
    counts = Counter(first.values())
    assert 340 < counts["test"] < 460
    assert 150 < counts["validation"] < 250
    assert 40 < sum(first[i] == other[i] == "test" for i in ids) < 120  # as two independent draws of a fifth share


def test_a_larger_random_share_contains_the_smaller_and_versions_stay_together() -> None:
    ids = [f"0704.{number:04}" for number in range(500)]
    small, large = ({i for i, s in random_splits(ids, test_fraction=f).items() if s == "test"} for f in (0.1, 0.3))
    assert small < large
    versions = random_splits([f"{i}v{n}" for i in ids[:50] for n in (1, 12)], test_fraction=0.3)
    assert all(versions[f"{i}v1"] == versions[f"{i}v12"] for i in ids[:50])


def test_papers_of_an_earlier_corpus_keep_their_split_and_its_months_stay() -> None:
    places: dict[str, Split] = {"p0": "test", "p9": "train"}
    ids = [f"p{n}" for n in range(10)]
    rule = split_rule(ids, months_of([2] * 5), CorpusSection(test_fraction=0.2), ("2019-11", "2019-12"), places)
    assert (rule.validation_from, rule.held_out_from) == ("2019-11", "2019-12")
    assert [rule.split_of(*own) for own in [("p0", "2019-10"), ("p9v2", "2020-02")]] == ["test", "test"]
    assert [rule.split_of(*own) for own in [("p0", "2019-10"), ("p9", "2020-02"), ("p1", "2019-10")]] == [
        "test",
        "train",
        "train",
    ]
