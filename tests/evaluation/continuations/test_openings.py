from astrollama.evaluation.continuations.openings import openings, split_opening
from astrollama.records import Document


def test_the_opening_has_whole_sentences_and_leaves_the_rest() -> None:
    first = " ".join(["word"] * 14) + "."
    text = " ".join(first.capitalize() for _ in range(4))
    opening = split_opening(text)
    assert opening is not None
    assert len(opening[0].split()) == 28
    assert " ".join(opening) == text


def test_one_sentence_has_no_opening() -> None:
    assert split_opening("A single long sentence " + "very " * 40 + "long.") is None


def test_documents_that_cannot_be_divided_are_passed_over() -> None:
    def document(name: str, text: str) -> Document:
        return Document(name, text, f"On {name}", ("astro-ph.GA",), "astro-ph.GA", "2024-01", "", "", "")

    whole = document("whole", "word " * 26 + "ends. Then comes more.")
    (opening,) = openings([document("empty", ""), whole, document("single", "One sentence only.")])
    assert opening.document is whole
    assert opening.truth == "Then comes more."
