from __future__ import annotations

import itertools
import random
import re

import numpy as np
import pytest

from astrollama.corpus.dedup import Fingerprints, find_duplicates, signature, similar_pairs, words_hash
from astrollama.errors import RecipeError
from astrollama.recipe import load_recipe
from astrollama.records import Document
from astrollama.sections import MAX_SEED

THRESHOLD = 0.5


def document(id_: str, text: str, date: str = "2020-01-01") -> Document:
    return Document(id_, text, "", (), "", date, "", "", "")


def fingerprints(documents: list[Document]) -> Fingerprints:
    return Fingerprints(
        [own.id for own in documents],
        [own.date for own in documents],
        [words_hash(own.text) for own in documents],
        np.stack([signature(own.text, seed=0) for own in documents]),
    )


def dropped(documents: list[Document]) -> dict[str, tuple[str, str]]:
    """The identifiers of the dropped documents, with reason and detail."""
    found = find_duplicates(fingerprints(documents), THRESHOLD)
    return {documents[index].id: (duplicate.reason, duplicate.detail) for index, duplicate in found.items()}


@pytest.fixture(scope="module")
def text(sample_texts: list[str]) -> str:
    return sample_texts[0]


def with_typos(text: str, number: int) -> str:
    """Drop a letter of some words that stand far from each other."""
    words = text.split()
    for index in range(5, len(words), len(words) // number):
        words[index] = words[index][1:]
    return " ".join(words)


def test_case_punctuation_and_white_space_make_no_difference_and_the_oldest_stays(text: str) -> None:
    copy = text.upper().replace(",", " ,").replace(".", " !").replace(" ", "\n ")
    assert dropped([document("new", text, "2021-05"), document("old", copy, "2019-12-31")]) == {
        "new": ("exact_duplicate", "the same words as old")
    }


def test_a_month_is_older_than_its_days_and_equal_dates_are_settled_by_the_identifier(text: str) -> None:
    assert set(dropped([document("day", text, "2020-01-01"), document("month", text, "2020-01")])) == {"day"}
    assert set(dropped([document("b", text), document("a", text)])) == {"b"}


def test_a_copy_with_a_few_typos_is_a_near_duplicate(text: str) -> None:
    found = dropped([document("a", text), document("b", with_typos(text, 3), "2020-02")])
    assert set(found) == {"b"}
    reason, detail = found["b"]
    assert reason == "near_duplicate"
    assert re.fullmatch(r"similarity 0\.[89]\d to a", detail)


def test_a_copy_with_a_sentence_more_is_a_near_duplicate(text: str) -> None:
    longer = f"We report new results. {text} The data are available on request."
    assert dropped([document("a", longer, "2020-02"), document("b", text)])["a"][0] == "near_duplicate"


def test_a_copy_with_a_paragraph_rewritten_stays(text: str, sample_texts: list[str]) -> None:
    half = " ".join(text.split()[: len(text.split()) // 2])
    other = sample_texts[1].split()
    assert dropped([document("a", text), document("b", " ".join([half, *other[len(other) // 2 :]]))]) == {}


def test_the_same_words_in_another_order_are_another_text(text: str) -> None:
    words = text.split()
    assert dropped([document("a", text), document("b", " ".join(random.Random(0).sample(words, len(words))))]) == {}


def test_a_shared_phrase_makes_no_duplicates(sample_texts: list[str]) -> None:
    opening = "We present new observations with the Very Large Telescope and the Hubble Space Telescope. "
    assert dropped([document(f"p{n}", opening + text) for n, text in enumerate(sample_texts[:50])]) == {}


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (["0704.0001v1", "0704.0001v2"], "0704.0001v2"),
        (["0704.0001v2", "0704.0001v10", "0704.0001v9"], "0704.0001v10"),
        (["astro-ph/0101001v3", "astro-ph/0101001v1"], "astro-ph/0101001v3"),
        (["sample:1", "sample:1"], "sample:1"),
    ],
)
def test_of_the_versions_of_a_paper_the_newest_stays_however_different(
    ids: list[str], kept: str, sample_texts: list[str]
) -> None:
    documents = [document(id_, text) for id_, text in zip(ids, sample_texts, strict=False)]
    found = find_duplicates(fingerprints(documents), THRESHOLD)
    assert [own.id for index, own in enumerate(documents) if index not in found] == [kept]
    assert {duplicate.reason for duplicate in found.values()} == {"duplicate_id"}


def test_a_dropped_version_does_not_drop_another_paper(text: str, sample_texts: list[str]) -> None:
    documents = [document("0704.0001v1", text), document("0704.0001v2", sample_texts[1]), document("0704.0002", text)]
    assert set(dropped(documents)) == {"0704.0001v1"}


def test_a_chain_of_ever_shorter_copies_drops_only_what_resembles_one_that_stays(text: str) -> None:
    words = text.split()
    chain = [document(f"p{n}", " ".join(words[n * 18 :]), f"2020-0{n + 1}") for n in range(7)]
    found = dropped(chain)
    kept = [own.id for own in chain if own.id not in found]
    assert kept[0] == "p0"
    assert 2 <= len(kept) <= 4
    assert {detail.split()[-1] for _, detail in found.values()} <= set(kept)


def test_the_order_of_the_papers_makes_no_difference(sample_texts: list[str]) -> None:
    documents = []
    for number, text in enumerate(sample_texts[:12]):
        documents += [
            document(f"p{number}", text, f"2020-{number + 1:02}"),
            document(f"exact{number}", text.upper(), "2020-06"),
            document(f"near{number}", with_typos(text, 2), f"20{10 + number}"),
            document(f"0704.{number:04}v1", f"{text} More.", "2020-06"),
            document(f"0704.{number:04}v2", f"More. {text}", "2020-06"),
        ]
    shuffled = random.Random(0).sample(documents, len(documents))
    assert dropped(documents) == dropped(shuffled)
    assert len(documents) - len(dropped(documents)) == 12


def test_no_order_of_three_similar_papers_keeps_another(text: str) -> None:
    trio = [document("a", text), document("b", with_typos(text, 2)), document("c", f"{text} More data follow.")]
    assert {tuple(sorted(dropped(list(order)))) for order in itertools.permutations(trio)} == {("b", "c")}


@pytest.mark.parametrize("text", ["", "one", "two words", "…", "\ud800 lone surrogate"])
def test_texts_with_less_than_a_shingle_equal_only_themselves(text: str) -> None:
    assert set(dropped([document("a", text), document("b", text), document("c", "other")])) == {"b"}


def test_the_order_of_records_with_one_identifier_makes_no_difference(sample_texts: list[str]) -> None:
    records = [document("a", sample_texts[0], "2020-02"), document("a", sample_texts[1], "2020-01")]
    kept = set()
    for order in (records, records[::-1]):
        found = find_duplicates(fingerprints(order), THRESHOLD)
        kept |= {own.text for index, own in enumerate(order) if index not in found}
    assert len(kept) == 1


def test_identifiers_that_only_look_like_versions_are_papers_of_their_own(sample_texts: list[str]) -> None:
    assert dropped([document(f"ngc-lv{n}", text) for n, text in enumerate(sample_texts[:5])]) == {}


def test_the_largest_seed_of_a_recipe_draws_permutations(text: str) -> None:
    assert not np.array_equal(signature(text, seed=MAX_SEED), signature(text, seed=0))
    with pytest.raises(RecipeError, match=r"corpus\.seed"):
        load_recipe("demo", [f"corpus.seed={MAX_SEED + 1}"])


def test_papers_of_a_lower_rank_stay_before_older_ones(text: str) -> None:
    documents = [document("0704.0001", text, "2007-04"), document("0905.0001v2", with_typos(text, 2), "2009-05")]
    assert set(find_duplicates(fingerprints(documents), THRESHOLD)) == {1}
    assert set(find_duplicates(fingerprints(documents), THRESHOLD, {"0905.0001": 0})) == {0}


def test_a_later_paper_never_changes_what_stays_of_the_earlier(sample_texts: list[str]) -> None:
    earlier = [document(f"p{n}", with_typos(sample_texts[n % 7], n + 2), f"2020-01-{n + 1:02}") for n in range(20)]
    later = [document(f"q{n}", with_typos(sample_texts[n % 9], n + 3), f"2021-01-{n + 1:02}") for n in range(20)]
    assert {key: value for key, value in dropped([*later, *earlier]).items() if key[0] == "p"} == dropped(earlier)


def test_each_similar_pair_is_told_once_with_its_similarity(text: str, sample_texts: list[str]) -> None:
    texts = [text, with_typos(text, 3), *sample_texts[1:20], text]
    found = {
        pair: value
        for *pair, value in map(list, similar_pairs(np.stack([signature(t, 0) for t in texts]), 0.4))
        for pair in [tuple(pair)]
    }
    assert set(found) == {(0, 1), (0, 21), (1, 21)}
    assert found[0, 21] == 1.0
    assert 0.5 < found[0, 1] == found[1, 21] < 1.0


def test_many_copies_of_one_text_are_found_in_time_that_grows_with_their_number(text: str) -> None:
    words = text.split()
    copies = [document(f"p{n:04}", " ".join([*words, str(n)]), "2020-01") for n in range(3000)]
    assert len(dropped(copies)) == 2999
