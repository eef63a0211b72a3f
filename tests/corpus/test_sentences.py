import re

import pytest

from astrollama.corpus.sentences import halves, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One star. Two stars.", ["One star.", "Two stars."]),
        ("As Smith et al. Showed, e.g. NGC 1 is old. It is.", ["As Smith et al. Showed, e.g. NGC 1 is old.", "It is."]),
        ("See Fig. 3 for it. Done.", ["See Fig. 3 for it.", "Done."]),
        ("The mass is $M = 3. X$ in all. It grows.", ["The mass is $M = 3. X$ in all.", "It grows."]),
        ("A value of 3.5 holds. $z$ is small.", ["A value of 3.5 holds.", "$z$ is small."]),
        ("Is it? Yes! (So we think.)", ["Is it?", "Yes!", "(So we think.)"]),
        ("No end", ["No end"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_halves_are_divided_between_sentences_where_one_ends_near_the_middle(sample_texts: list[str]) -> None:
    assert halves("One is here. Two is there. Three is far. Four is near.") == (
        "One is here. Two is there.",
        "Three is far. Four is near.",
    )
    assert halves("Short. A long sentence that has no end near the middle of the text at all") == (
        "Short. A long sentence that has no end",
        "near the middle of the text at all",
    )
    assert halves("two words") == ("two", "words")
    assert halves("word") is None
    assert halves("") is None
    for text in sample_texts:
        parts = halves(text)
        assert parts is not None
        assert re.sub(r"\s+", "", "".join(parts)) == re.sub(r"\s+", "", text), "nothing is lost"
        assert min(map(len, parts)) > len(text) / 4
