from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astrollama.errors import RunError, UserInputError
from astrollama.evaluation.rating.raters import (
    VOTES,
    Choice,
    in_order_of,
    rater_table,
    read_pairs,
    read_votes,
    save_vote,
    shown_order,
    tally,
)
from tests.evaluation.rated import SYSTEMS, make_evaluation


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return make_evaluation(tmp_path / "evaluation", num_prompts=12)


def vote_for(evaluation: Path, rater: str, winner: str, *, first: int = 12) -> None:
    """Vote for one system, or `equal` or `both_bad`, on the first pairs."""
    for pair in read_pairs(evaluation)[:first]:
        left, _ = shown_order(rater, pair)
        side: Choice = "left" if pair.systems[left] == winner else "right"
        choice: Choice = winner if winner in ("equal", "both_bad") else side  # type: ignore[assignment]
        save_vote(evaluation, rater, pair, choice)


def test_every_prompt_that_both_continued_is_a_pair(evaluation: Path) -> None:
    pairs = read_pairs(evaluation)
    assert len(pairs) == 12
    assert {pair.systems for pair in pairs} == {SYSTEMS}
    assert len({pair.id for pair in pairs}) == 12
    assert read_pairs(evaluation, list(SYSTEMS)) == pairs


def test_sides_and_order_are_drawn_for_each_person_and_stay(evaluation: Path) -> None:
    pairs = read_pairs(make_evaluation(evaluation.parent / "large", num_prompts=200))
    lefts = [shown_order("anna", pair)[0] for pair in pairs]
    assert 70 < sum(lefts) < 130
    assert lefts == [shown_order("anna", pair)[0] for pair in pairs]
    assert lefts != [shown_order("ben", pair)[0] for pair in pairs]
    anna, ben = in_order_of("anna", pairs), in_order_of("ben", pairs)
    assert anna == in_order_of("anna", list(reversed(pairs))) != ben
    assert {pair.id for pair in anna} == {pair.id for pair in pairs}


def test_win_rate_is_of_the_system_whatever_the_side(evaluation: Path) -> None:
    vote_for(evaluation, "anna", "adapted")
    (found,) = tally(evaluation)
    assert (found.first, found.second) == SYSTEMS
    assert found.win_rate.value == 1
    assert found.win_rate.ci95 == [1, 1]
    assert (found.num_first, found.num_second, found.num_raters) == (12, 0, 1)
    assert found.agreement is None
    sides = {vote.choice for vote in read_votes(evaluation)}
    assert sides == {"left", "right"}


def test_ties_count_a_half_and_people_are_averaged(evaluation: Path) -> None:
    vote_for(evaluation, "anna", "adapted")
    vote_for(evaluation, "ben", "both_bad", first=6)
    (found,) = tally(evaluation)
    assert found.win_rate.value == pytest.approx((6 * 0.75 + 6) / 12)
    assert found.win_rate.num_samples == 12, "prompts, not votes"
    assert found.num_both_bad == 6
    assert found.agreement == 0
    low, high = found.win_rate.ci95 or (0, 0)
    assert 0.75 <= low < found.win_rate.value < high <= 1


def test_agreement_beyond_chance(evaluation: Path) -> None:
    for rater in ("anna", "ben"):
        vote_for(evaluation, rater, "base")
        vote_for(evaluation, rater, "adapted", first=4)
    (found,) = tally(evaluation)
    assert found.win_rate.value == pytest.approx(4 / 12), "the last word counts"
    assert found.agreement == 1
    assert found.alpha == pytest.approx(1)
    vote_for(evaluation, "ben", "equal", first=1)
    (found,) = tally(evaluation)
    # two people, 12 prompts: 11 agree; Krippendorff's alpha by hand: 1 - (2/24) / ((7·16 + 7·1 + 16·1)·2 / (24·23))
    assert found.agreement == pytest.approx(11 / 12)
    assert found.alpha == pytest.approx(1 - (2 / 24) / (2 * (7 * 16 + 7 + 16) / (24 * 23)))


def test_votes_on_texts_that_were_made_anew_do_not_count(evaluation: Path) -> None:
    vote_for(evaluation, "anna", "base")
    make_evaluation(evaluation, num_prompts=12, says="something else")
    assert tally(evaluation) == []
    assert len(read_votes(evaluation)) == 12


def test_what_a_crash_cut_is_passed_over_and_the_next_vote_is_whole(evaluation: Path) -> None:
    vote_for(evaluation, "anna", "base", first=2)
    with (evaluation / VOTES).open("ab") as file:
        file.write(b'{"rater": "an')
    assert len(read_votes(evaluation)) == 2
    vote_for(evaluation, "ben", "base", first=1)
    assert [vote.rater for vote in read_votes(evaluation)] == ["anna", "anna", "ben"]


FIELDS = ("rater", "pair", "sample", "left", "right", "time")
NO_TEXT = json.dumps({name: ["a"] for name in FIELDS} | {"choice": "left"})


@pytest.mark.parametrize("line", ["no json", "[]", '{"rater": "anna"}', "null", NO_TEXT, ""])
def test_a_damaged_line_is_named(evaluation: Path, line: str) -> None:
    vote_for(evaluation, "anna", "base", first=1)
    with (evaluation / VOTES).open("a") as file:
        file.write(line + "\n")
    vote_for(evaluation, "ben", "base", first=1)
    with pytest.raises(RunError, match=r"votes\.jsonl:2"):
        tally(evaluation)


def test_a_choice_that_nobody_has_is_named(evaluation: Path) -> None:
    vote_for(evaluation, "anna", "base", first=1)
    record: dict[str, Any] = json.loads((evaluation / VOTES).read_text())
    (evaluation / VOTES).write_text(json.dumps({**record, "choice": "upper"}) + "\n")
    with pytest.raises(RunError, match="upper"):
        tally(evaluation)


def test_a_text_may_hold_any_end_of_line(evaluation: Path) -> None:
    says = "one\u2028two\u2029three\u0085four\vfive"
    make_evaluation(evaluation, num_prompts=12, says=says, ascii_only=False)
    pairs = read_pairs(evaluation)
    assert len(pairs) == 12
    assert all(text.startswith(says) for pair in pairs for text in pair.texts)


@pytest.mark.parametrize("line", ['{"texts": ["cut', "7", '{"texts": ["no id"]}'])
def test_damaged_continuations_are_told(evaluation: Path, line: str) -> None:
    with (evaluation / "measurements/base/completion.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"base/completion\.jsonl is damaged"):
        read_pairs(evaluation)


def test_what_cannot_be_compared_is_refused(evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="gpt-5"):
        read_pairs(evaluation, ["adapted", "gpt-5"])
    with pytest.raises(UserInputError, match="--systems names base alone"):
        read_pairs(evaluation, ["base"])
    with pytest.raises(RunError, match="there is no folder"):
        read_pairs(tmp_path / "nowhere")


def test_the_table_is_there_when_somebody_voted(evaluation: Path) -> None:
    assert rater_table(evaluation) is None
    vote_for(evaluation, "anna", "adapted", first=9)
    table = rater_table(evaluation)
    assert table is not None
    assert table.rows == [["adapted", "base", 100, 100, 100, 9, 1, None]]
