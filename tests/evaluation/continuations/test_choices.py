from __future__ import annotations

from collections import Counter

import pytest

from astrollama.evaluation.continuations.choices import candidate_text, choices, credit
from astrollama.evaluation.continuations.openings import Opening
from astrollama.records import Document


def opening(name: str, category: str = "astro-ph.GA", truth: str = "") -> Opening:
    document = Document(name, "", f"On {name}", (category,), category, "2024-01", "", "", "")
    return Opening(document, f"The prompt of {name}.", truth or f"The rest of {name}.")


def test_each_question_has_four_texts_of_one_category_and_the_answer_is_anywhere() -> None:
    papers = [opening(f"{category}{index}", category) for index in range(100) for category in ("GA", "SR")]
    asked = choices(papers, 150, seed=3)
    assert len(asked) == 150
    for choice, paper in zip(asked, papers, strict=False):
        assert choice.candidates[choice.answer] is choice.opening is paper
        assert choice.same_category
        assert {candidate.document.primary_category for candidate in choice.candidates} == {
            paper.document.primary_category
        }
        assert len({candidate.truth for candidate in choice.candidates}) == 4
    places = Counter(choice.answer for choice in asked)
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) < 75


def test_the_questions_depend_on_the_seed_and_not_on_how_many_are_asked() -> None:
    papers = [opening(str(index)) for index in range(30)]
    assert choices(papers, 5, seed=0) == choices(papers, 30, seed=0)[:5]
    assert choices(papers, 5, seed=0) != choices(papers, 5, seed=1)


def test_a_small_category_is_filled_up_and_says_so() -> None:
    papers = [opening("a", "small"), opening("b", "small"), *(opening(str(index), "large") for index in range(9))]
    first = choices(papers, 1, seed=0)[0]
    assert not first.same_category
    assert len(first.candidates) == 4
    assert papers[1] in first.candidates


def test_fewer_than_four_papers_leave_nothing_to_choose() -> None:
    assert choices([opening("a"), opening("b"), opening("c")], 3, seed=0) == []
    assert choices([], 3, seed=0) == []


def test_equal_texts_are_never_candidates_of_one_question() -> None:
    papers = [opening(str(index), truth="The same.") for index in range(5)]
    assert choices(papers, 5, seed=0) == []


def test_a_candidate_is_whole_sentences_of_some_length() -> None:
    assert candidate_text(opening("a", truth="Short. Too. " + "word " * 20 + "ends. Not this.")).endswith("ends.")
    assert candidate_text(opening("a", truth="All there is.")) == "All there is."


def test_what_several_share_is_divided() -> None:
    assert credit([1.0, 2.0, 3.0, 4.0], 0) == 1
    assert credit([1.0, 2.0, 3.0, 4.0], 1) == 0
    assert credit([1.0, 1.0, 1.0, 1.0], 2) == pytest.approx(1 / 4)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_no_choice(loss: float) -> None:
    with pytest.raises(AssertionError):
        credit([loss, 1.0, 2.0, 3.0], 1)
