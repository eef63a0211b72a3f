import numpy as np
import pytest

from astrollama.evaluation.continuations.repetition import distinct_credits, grams, num_repeated, words


def test_words_are_compared_without_case_and_punctuation_at_their_edges() -> None:
    assert words("The (bright) star, the STAR. -- $z_0$ !") == ["the", "bright", "star", "the", "star", "--", "$z_0$"]
    assert words("  ") == []


def test_repeated_runs_are_counted_after_their_first() -> None:
    found = grams("a b c d a b c d a b c d", 4)
    assert len(found) == 9
    assert num_repeated(found) == 5
    assert grams("a b c", 4) == []


def test_credits_sum_to_the_number_of_distinct_ones() -> None:
    groups = [grams("a b a b", 2), grams("a b c", 2), []]
    credits_N = distinct_credits(groups)
    assert credits_N.sum() == pytest.approx(len({gram for group in groups for gram in group}))
    assert np.allclose(credits_N, [2 / 3 + 1, 1 / 3 + 1, 0])
