from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.corpus.filters import HasDate, HasText, IsProse, LongEnough, NotWithdrawn
from astrollama.records import Document, Dropped, Step

PROSE = "We observe the spectrum of a quasar and find that its broad lines vary within a few months"


def document(text: str, date: str = "2020-01") -> Document:
    return Document("x", text, "A title", ("gr-qc",), "gr-qc", date, "CC0", "hash", "papers.jsonl:1")


def reason(step: Step, text: str, date: str = "2020-01") -> str | None:
    """Why the step drops a document with this text; None where it stays as it is."""
    own = document(text, date)
    [result] = step.apply(iter([own]))
    if isinstance(result, Dropped):
        assert result.document == own
        assert result.detail
        return result.reason
    assert result == own
    return None


def test_a_document_without_text_has_no_abstract() -> None:
    assert reason(HasText(), "") == "no_abstract"
    assert reason(HasText(), "x") is None


def test_a_document_without_a_date_is_dropped() -> None:
    assert reason(HasDate(), PROSE, date="") == "no_date"
    assert reason(HasDate(), PROSE, date="2020-01") is None


def test_a_document_of_just_enough_words_stays() -> None:
    assert reason(LongEnough(18), PROSE) is None
    assert reason(LongEnough(19), PROSE) == "too_short"
    [dropped] = LongEnough(19).apply(iter([document(PROSE)]))
    assert isinstance(dropped, Dropped)
    assert dropped.detail == "18 words"


@pytest.mark.parametrize(
    "text",
    [
        "This paper has been withdrawn by the author due to a crucial error in equation 4.",
        "This paper has been withdrawn",
        "The manuscript was withdrawn because of an error in the data reduction.",
        "This submission is being retracted by the authors.",
        "Withdrawn by the author: the result is wrong.",
        "WITHDRAWN. See arXiv:0704.0002 instead.",
        "[withdrawn]",
        "This article (and its appendix) had been retracted in 2008.",
        f"{PROSE}. The preprint arXiv:0704.0001 has been withdrawn by the authors.",
        f"{PROSE}. This version was withdrawn by arXiv administrators.",
    ],
)
def test_a_notice_of_withdrawal_is_dropped(text: str) -> None:
    assert reason(NotWithdrawn(), text) == "withdrawn"


@pytest.mark.parametrize(
    "text",
    [
        "Gas is withdrawn from the reservoir of the halo at a rate of ten solar masses a year.",
        "Angular momentum withdrawn by the wind spins the star down.",
        "The secondary mirror is retracted before each exposure.",
        "We study how much mass is withdrawn from the disc. This paper extends earlier work.",
        "A retracted claim of a planet around the star is examined again with new velocities.",
        "The claim of a planet around the star was later retracted by its discoverers.",
    ],
)
def test_astrophysics_of_what_is_withdrawn_or_retracted_stays(text: str) -> None:
    assert reason(NotWithdrawn(), text) is None


@pytest.mark.parametrize(
    "text",
    [
        "In this work the gas is withdrawn from the reservoir of the halo by ram pressure.",
        "In this paper the boom was retracted during the second orbit to test the sensor.",
        "Retracted solar panels change the moment of inertia of the spacecraft.",
    ],
)
def test_a_sentence_about_this_work_that_withdraws_something_else_stays(text: str) -> None:
    assert reason(NotWithdrawn(), text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The authors have withdrawn this paper because of a crucial error in equation 4.",
        "This paper (arXiv:0704.1234) has been withdrawn due to an error.",
    ],
)
def test_other_notices_of_withdrawal_are_dropped(text: str) -> None:
    assert reason(NotWithdrawn(), text) == "withdrawn"


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        r"With $\int_0^\infty e^{-x^2}\,dx = \sqrt{\pi}/2$ and $$\nabla^2 \Phi = 4 \pi G \rho$$ the halo is stable",
        r"The line \(\lambda = 1216.3456789\) and \[F = 10^{-17} \pm 10^{-18}\] are seen in the halo",
        "Poincaré näherte sich der Ångström-Linie über Hα ausführlich",
        "暗黒物質の分布を観測した",
    ],
)
def test_prose_stays_however_much_maths_stands_in_it(text: str) -> None:
    assert reason(IsProse(0.6), text) is None


@pytest.mark.parametrize(
    "text",
    [
        "1.23 4.56 7.89 0.12 | 3.45 6.78 | 9.01 2.34 mag",
        "-----=====***** table 1 *****=====-----",
        "$\\alpha$ $\\beta$ $x = 4$",
        "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4 data",
        "?! ... --",
    ],
)
def test_tables_markup_and_encoded_data_are_no_prose(text: str) -> None:
    assert reason(IsProse(0.6), text) == "not_prose"


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=5))
def test_no_filter_loses_a_document_or_changes_the_order(texts: list[str]) -> None:
    steps: list[Step] = [HasText(), NotWithdrawn(), LongEnough(2), IsProse(0.6), HasDate()]
    documents = [document(text, date="" if len(text) % 2 else "2020-01") for text in texts]
    for step in steps:
        results = step.apply(iter(documents))
        assert [r.document if isinstance(r, Dropped) else r for r in results] == documents
