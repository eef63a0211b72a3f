from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.corpus.decontaminate import SharedText, Words, read_benchmark
from astrollama.errors import SourceError

WORDS = [f"w{number}" for number in range(400)]


def shared(*texts: str, ngram_words: int = 13) -> SharedText:
    return SharedText("bench", [(f"item {n}", text) for n, text in enumerate(texts)], ngram_words)


def test_thirteen_words_in_a_row_are_shared_text_and_twelve_are_not() -> None:
    index = shared(" ".join(WORDS[:40]))
    text = " ".join([*WORDS[100:120], *WORDS[5:18], *WORDS[200:207]])
    match = index.match(Words(text), 0.0)
    assert match is not None
    assert (match.benchmark, match.item, match.shared) == ("bench", "item 0", " ".join(WORDS[5:18]))
    assert match.overlap == 13 / 40
    assert index.match(Words(" ".join([*WORDS[100:120], *WORDS[5:17], *WORDS[200:207]])), 0.0) is None


def test_case_and_punctuation_make_no_difference() -> None:
    assert shared("The $z$=0.1 quasar, seen (again!) by JWST and by us, was red: very red indeed").match(
        Words("we say: THE Z 0 1 quasar seen again by jwst and by us was red very red indeed!"), 0.0
    )


def test_overlap_counts_words_in_shared_ngrams_once() -> None:
    index = shared(" ".join(WORDS[:20]), " ".join(WORDS[50:70]))
    text = Words(" ".join([*WORDS[:20], *WORDS[300:340], *WORDS[50:70], *WORDS[350:370]]))
    match = index.match(text, 0.4)
    assert match is not None
    assert match.overlap == 0.4
    assert match.item == "item 0"
    assert match.covered == 1.0  # both items stand in it whole
    assert index.match(Words(" ".join([*WORDS[:14], *WORDS[300:340]])), 0.4) is None


def test_items_shorter_than_an_ngram_are_looked_for_whole_and_the_shortest_not_at_all() -> None:
    index = shared(" ".join(WORDS[:9]), " ".join(WORDS[20:27]))
    assert (index.num_items, index.num_short) == (2, 1)
    match = index.match(Words(" ".join([*WORDS[100:140], *WORDS[:9]])), 0.0)
    assert match is not None
    assert match.shared == " ".join(WORDS[:9])
    assert index.match(Words(" ".join(WORDS[:8])), 0.0) is None
    assert index.match(Words(" ".join([*WORDS[20:27], *WORDS[100:140]])), 0.0) is None


@pytest.mark.parametrize("text", ["", "one", "…", "two words"])
def test_texts_of_hardly_a_word_share_nothing(text: str) -> None:
    assert shared(" ".join(WORDS[:40])).match(Words(text), 0.0) is None
    assert shared(text).match(Words(" ".join(WORDS)), 0.0) is None


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(st.lists(st.sampled_from("ab"), min_size=5, max_size=40), min_size=1, max_size=4), st.integers(0, 999))
def test_what_is_found_is_what_brute_force_finds(items: list[list[str]], seed: int) -> None:
    text = random.Random(seed).choices("ab", k=60)
    covered = [False] * len(text)
    for item in items:
        length = min(9, len(item))
        if length < 8:
            continue
        grams = {tuple(item[at : at + length]) for at in range(len(item) - length + 1)}
        for start in range(len(text) - length + 1):
            if tuple(text[start : start + length]) in grams:
                covered[start : start + length] = [True] * length
    match = shared(*map(" ".join, items), ngram_words=9).match(Words(" ".join(text)), 0.0)
    assert (match.overlap if match else 0) == pytest.approx(sum(covered) / len(covered))


def test_questions_give_every_text_that_a_model_reads(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl.gz"
    record = {
        "id": "q1",
        "question": "Why?",
        "choices": ["Dust", "Gas", ""],
        "answer": "B",
        "answer_idx": [1],
        "n": 3,
        "more": {"stem": [{"text": "deep"}]},
    }
    path.write_bytes(gzip.compress((json.dumps(record) + "\n\n" + json.dumps({"text": "a\u2028b"})).encode()))
    benchmark = read_benchmark(path)
    assert benchmark.name == "quiz"
    first = "line 1 (q1)"
    texts = ["q1", "Why?", "Dust", "Gas", "B", "deep"]
    assert benchmark.items == [*((first, text) for text in texts), ("line 3", "a\u2028b")]


def test_the_paragraphs_of_a_text_are_its_items(tmp_path: Path) -> None:
    (tmp_path / "wiki.txt").write_text("= Title =\n\nOne\nand on\n = Next =\n two")
    assert [text.strip() for _, text in read_benchmark(tmp_path / "wiki.txt").items] == [
        "= Title =",
        "One\nand on",
        "= Next =\n two",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"question,answer", "is of an unknown format: give .jsonl or .txt"),
        ("a.jsonl", b'{"question": ', "line 1, is no JSON"),
        ("a.jsonl", b"[1]", "line 1, is no record"),
        ("a.jsonl", b'{"q": 7}', "holds no text: give questions or texts"),
        ("a.txt", b"caf\xe9", "is not UTF-8"),
        ("a.txt.gz", b"\x1f\x8b\x08broken", "cannot be read"),
        ("a.txt", b" \n\n ", "holds no text"),
    ],
)
def test_a_benchmark_that_cannot_be_compared_is_an_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_benchmark(tmp_path / name)


def test_a_benchmark_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read \(.*No such file.*: check corpus.benchmarks"):
        read_benchmark(tmp_path / "mmlu.jsonl")
