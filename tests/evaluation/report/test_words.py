from __future__ import annotations

from typing import Any

import pytest

from astrollama.evaluation.report import verdict
from astrollama.evaluation.report.words import (
    cell_text,
    difference_text,
    interval_text,
    number,
    percent,
    value_text,
    verdict_words,
)

PERCENT, NUMBER, RELATIVE = (
    {"style": style, "relative": relative}
    for style, relative in (("percent", False), ("number", False), ("number", True))
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (21.8712, "21.87"),
        (350.123, "350.1"),
        (12_345.6, "12,346"),
        (3, "3"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.8344, "0.834"),
        (0.034, "0.0340"),
        (-0.00721, "−0.00721"),
        (0.00001234, "1.23e−05"),
        (2.5e12, "2.5e+12"),
    ],
)
def test_a_number_has_the_digits_that_tell(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(31.1234, "31.1"), (0.5, "0.500"), (2, "2"), (123.4, "123"), (4567.8, "4,568"), ("a b", "a b"), (None, "—")],
)
def test_a_cell_has_three_digits(value: str | float | None, text: str) -> None:
    assert cell_text(value) == text


def test_a_share_of_one_is_printed_as_other_shares_are() -> None:
    assert [cell_text(value, among_fractions=True) for value in (1.0, 0.0, 0.895, 12, None)] == [
        "1.00",
        "0.00",
        "0.895",
        "12",
        "—",
    ]


def test_shares_are_told_in_per_cent() -> None:
    assert percent(0.3251) == "32.5\u00a0%"
    assert percent(-0.0001) == "0.0\u00a0%"
    assert value_text(0.382, "percent") == "38.2\u00a0%"
    assert value_text(None, "percent") == "—"
    assert interval_text([0.341, 0.423], "percent") == "[34.1, 42.3]\u00a0%"
    assert interval_text([20.9, 22.84], "number") == "[20.90, 22.84]"
    assert interval_text(None, "number") == ""


@pytest.mark.parametrize(
    ("info", "difference", "ci95", "text"),
    [
        (RELATIVE, -0.325, [-0.331, -0.319], "−32.5\u00a0% [−33.1, −31.9]\u00a0%"),
        (PERCENT, 0.042, [0.01, 0.074], "+4.2 points [1.0, 7.4]"),
        (NUMBER, 0.0123, [0.001, 0.0234], "+0.0123 [0.00100, 0.0234]"),
        (NUMBER, 0.0, [0.0, 0.0], "0 [0, 0]"),
        (PERCENT, -0.017, None, "−1.7 points"),
        (NUMBER, None, None, "—"),
    ],
)
def test_a_difference_is_told_with_its_sign_unit_and_interval(
    info: dict[str, Any], difference: float | None, ci95: list[float] | None, text: str
) -> None:
    assert difference_text({"difference": difference, "ci95": ci95}, info) == text


@pytest.mark.parametrize(
    ("kind", "ci95", "words"),
    [
        ("better", [0.1, 0.2], "better"),
        ("worse", [-0.2, -0.1], "worse"),
        ("undecided", [-0.1, 0.1], "no difference shown"),
        ("undecided", [0.0, 0.0], "no difference shown"),
        ("undecided", [0.1, 0.2], "higher, neither good nor bad"),
        ("undecided", [-0.2, -0.1], "lower, neither good nor bad"),
        ("undecided", None, "too few samples to compare"),
    ],
)
def test_a_verdict_is_told_in_words(kind: str, ci95: list[float] | None, words: str) -> None:
    assert verdict_words({"verdict": kind, "ci95": ci95}) == words


@pytest.mark.parametrize(
    ("reduction", "ci95", "words", "kind"),
    [
        (0.3, [0.2, 0.4], "lower perplexity", "better"),
        (-0.3, [-0.4, -0.2], "higher perplexity", "worse"),
        (0.01, [-0.01, 0.03], "no difference shown", "undecided"),
        (0.0, [0.0, 0.0], "no difference shown", "undecided"),
        (0.3, None, "too few documents", "undecided"),
        (None, None, "different tokens", "undecided"),
    ],
)
def test_the_verdict_on_perplexities(reduction: float | None, ci95: list[float] | None, words: str, kind: str) -> None:
    text, found = verdict({"relative_reduction": reduction, "relative_reduction_ci95": ci95})
    assert words in text
    assert found == kind
