"""Decontamination and growth of a corpus, from papers to files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astrollama.corpus.build import import_corpus
from astrollama.corpus.split import SPLITS
from astrollama.corpus.store import read_documents
from astrollama.errors import CorpusError, RunError, UserInputError
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE

Record = dict[str, Any]
WriteJsonl = Callable[..., Path]


@pytest.fixture(scope="module")
def sample() -> list[Record]:
    records = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    return sorted(records, key=lambda record: str(record["date"]))


def build(path: Path, out: Path, like: Path | None = None, **settings: Any) -> dict[str, Any]:
    return import_corpus(FileSource([path]), CorpusSection(**settings), out, like=like)


def ids(corpus: Path) -> dict[str, set[str]]:
    return {split: {own.id for own in read_documents(corpus / f"{split}.parquet")} for split in SPLITS}


def quality(corpus: Path) -> dict[str, Any]:
    return json.loads((corpus / "quality.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_training_documents_that_hold_a_question_are_left_out_and_reported(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    asked = " ".join(sample[0]["abstract"].split()[3:20])
    later = " ".join(sample[-1]["abstract"].split()[3:20])  # held out: it is not trained on anyway
    quiz = write_jsonl(
        {"id": "q7", "question": f"Is it true that {asked}?", "choices": ["yes", "no"]},
        {"id": "q8", "question": later},
        name="quiz.jsonl",
    )
    manifest = build(write_jsonl(*sample), tmp_path / "out", benchmarks=(str(quiz),))
    assert manifest["counts"]["rejected"] == {"contaminated": 1}
    assert [(own["benchmark"], own["items"], own["removed"]) for own in manifest["decontamination"]] == [
        ("quiz", 2, 1),
        ("test papers", manifest["counts"]["test"], 0),
        ("validation papers", manifest["counts"]["validation"], 0),
    ]
    [removed] = quality(tmp_path / "out")["decontamination"][0]["sample"]
    assert removed["id"] == sample[0]["id"]
    assert "of its words stand in quiz, first in line 1 (q7): " in removed["detail"]
    assert sample[-1]["id"] in ids(tmp_path / "out")["test"]


def test_training_documents_that_share_much_text_with_held_out_papers_are_left_out(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    held_out, early = sample[-1]["abstract"].split(), sample[0]["abstract"].split()
    reused = {**sample[0], "id": "reuses", "abstract": " ".join(early[:60] + held_out[:40]), "date": "1999-01"}
    phrase = {**sample[1], "abstract": sample[1]["abstract"] + " " + " ".join(held_out[-13:])}
    manifest = build(write_jsonl(reused, phrase, *sample[2:]), tmp_path / "out")
    assert manifest["counts"]["rejected"] == {"contaminated": 1}
    [removed] = quality(tmp_path / "out")["decontamination"][0]["sample"]
    assert removed["id"] == "reuses"
    assert removed["detail"].startswith(f"37% of its words stand in test papers, first in {sample[-1]['id']}: ")


def test_the_same_questions_in_another_version_are_another_corpus(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    path = write_jsonl(*sample)
    quiz = write_jsonl({"question": "Why is the sky dark at night?"}, name="quiz.jsonl")
    build(path, tmp_path / "out", benchmarks=(str(quiz),))
    quiz.write_text('{"question": "Why is the sky blue at noon, and red in the evening?"}')
    with pytest.raises(RunError, match=r"holds another run \(benchmarks\.quiz is "):
        build(path, tmp_path / "out", benchmarks=(str(quiz),))


@pytest.mark.parametrize("kind", ["date", "random"])
def test_no_paper_moves_from_test_to_train_as_the_corpus_grows(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl, kind: str
) -> None:
    settings = {"split": kind, "test_fraction": 0.2, "validation_fraction": 0.1}
    build(write_jsonl(*sample[:150], name="few.jsonl"), tmp_path / "few", **settings)
    few = ids(tmp_path / "few")
    some = next(record for record in sample if record["id"] in few["test"])
    # an older paper with the text of a held-out one, under another id, turns up with the newer ones
    copy = {**some, "id": "older", "date": "1991-01", "abstract": some["abstract"] + " Data are public."}
    path = write_jsonl(copy, *sample, name="more.jsonl")
    manifest = build(path, tmp_path / "more", like=tmp_path / "few", **settings)
    more = ids(tmp_path / "more")
    for split in SPLITS:
        assert few[split] <= more[split]
    assert "older" not in set().union(*more.values())
    assert manifest["counts"]["rejected"] == {"near_duplicate": 1}
    assert sum(map(len, more.values())) == 240


def test_fixed_months_need_no_earlier_corpus_to_stay(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    settings = {"split": "months", "validation_from": "2005-01", "test_from": "2008-01"}
    build(write_jsonl(*sample[:150], name="few.jsonl"), tmp_path / "few", **settings)
    build(write_jsonl(*sample, name="more.jsonl"), tmp_path / "more", **settings)
    few, more = ids(tmp_path / "few"), ids(tmp_path / "more")
    assert all(few[split] <= more[split] for split in SPLITS)


def test_a_corpus_split_in_another_way_is_no_earlier_corpus(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    path = write_jsonl(*sample)
    build(path, tmp_path / "few")
    with pytest.raises(RunError, match=r"few was split by date, not by random: set corpus.split = 'date'"):
        build(path, tmp_path / "more", like=tmp_path / "few", split="random")


def test_papers_of_other_months_are_left_out(tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl) -> None:
    settings = {"from_month": "2000-01", "until_month": "2015-12", "split": "random", "test_fraction": 0.2}
    manifest = build(write_jsonl(*sample), tmp_path / "out", **settings)
    dates = [own.date for split in SPLITS for own in read_documents(tmp_path / "out" / f"{split}.parquet")]
    assert "2000-01" <= min(dates) <= max(dates) <= "2015-12-31"
    assert manifest["counts"]["rejected"] == {"outside_months": 240 - len(dates)}


def test_duplicates_that_the_split_would_have_parted_are_counted(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    twins = [{**sample[0], "id": "twin", "date": "2030-01"}, {**sample[1], "id": "near", "date": sample[1]["date"]}]
    manifest = build(write_jsonl(*sample, *twins), tmp_path / "out")
    assert manifest["counts"]["rejected"] == {"exact_duplicate": 2}
    assert manifest["duplicates_across_splits"] == quality(tmp_path / "out")["duplicates_across_splits"] == 1


def test_a_held_out_text_that_stands_whole_in_a_long_document_takes_it_out(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    long, other = (" ".join(record["abstract"] for record in part) for part in (sample[:5], sample[5:10]))
    thesis = {**sample[0], "id": "thesis", "abstract": f"{long} {sample[-1]['abstract']}", "date": "1999-01"}
    validated = next(record for record in reversed(sample) if record["date"] < "2024-10")
    report = {**sample[0], "id": "report", "abstract": f"{other} {validated['abstract']}", "date": "1999-02"}
    manifest = build(write_jsonl(*sample[10:], thesis, report), tmp_path / "out")
    assert manifest["counts"]["rejected"] == {"contaminated": 2}
    removed = {
        own["benchmark"]: [s["id"] for s in own["sample"]] for own in quality(tmp_path / "out")["decontamination"]
    }
    assert removed == {"test papers": ["thesis"], "validation papers": ["report"]}


def test_what_was_held_out_once_is_never_trained_on_along_a_chain_of_corpora(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    settings = {"split": "date", "test_fraction": 0.2, "validation_fraction": 0.1}
    papers = [{**record, "id": f"{record['date'][2:4]}{record['date'][5:7]}.{n:05}"} for n, record in enumerate(sample)]
    papers = [record for record in papers if record["date"] >= "2008"]
    build(write_jsonl(*papers, name="a.jsonl"), tmp_path / "a", **settings)
    gone, revised = sorted(ids(tmp_path / "a")["test"])[:2]
    by_id = {record["id"]: record for record in papers}
    others = [record for record in papers if record["id"] not in (gone, revised)]
    # one paper disappears and a copy turns up; the other is rewritten and a copy of what it was turns up
    copies = [{**by_id[own], "id": f"copy of {own}", "date": "2001-01"} for own in (gone, revised)]
    newer = {**by_id[revised], "id": f"{revised}v2", "abstract": " ".join(reversed(by_id[revised]["abstract"].split()))}
    build(write_jsonl(*others, newer, *copies, name="b.jsonl"), tmp_path / "b", like=tmp_path / "a", **settings)
    assert ids(tmp_path / "b")["test"] >= {f"{revised}v2"}
    assert not {own["id"] for own in copies} & set().union(*ids(tmp_path / "b").values())
    # it comes back with another date
    back = {**by_id[gone], "date": "2001-01"}
    build(write_jsonl(*others, newer, back, *copies, name="c.jsonl"), tmp_path / "c", like=tmp_path / "b", **settings)
    assert gone in ids(tmp_path / "c")["test"]
    assert not {own["id"] for own in copies} & set().union(*ids(tmp_path / "c").values())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            {"split": "months", "validation_from": "2005-01", "test_from": "2008-01"},
            {"split": "months", "validation_from": "2005-01", "test_from": "2009-01"},
            r"was split with test_from = '2008-01', not '2009-01': set corpus.test_from = '2008-01', or give no --like",
        ),
        (
            {"split": "random", "seed": 1},
            {"split": "random", "seed": 2},
            r"was split with seed = 1, not 2: set corpus.seed = 1",
        ),
    ],
)
def test_an_earlier_corpus_of_another_split_is_refused(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl, before: Record, after: Record, message: str
) -> None:
    path = write_jsonl(*sample)
    build(path, tmp_path / "few", **before)
    with pytest.raises(RunError, match=message):
        build(path, tmp_path / "more", like=tmp_path / "few", **after)


def test_two_benchmarks_of_one_name_are_an_error(tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl) -> None:
    (tmp_path / "other").mkdir()
    names = [write_jsonl({"question": "Why?"}, name=name) for name in ("quiz.jsonl", "other/quiz.jsonl")]
    with pytest.raises(UserInputError, match="two benchmarks are named 'quiz': give each once, and rename one of two"):
        build(write_jsonl(*sample), tmp_path / "out", benchmarks=tuple(map(str, names)))


def test_a_benchmark_that_holds_every_text_leaves_no_corpus(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    quiz = write_jsonl(*({"text": record["abstract"]} for record in sample), name="quiz.jsonl")
    with pytest.raises(CorpusError, match="nothing is left to train on after decontamination"):
        build(write_jsonl(*sample), tmp_path / "out", benchmarks=(str(quiz),))
    assert not (tmp_path / "out").exists()


def test_a_withdrawn_paper_does_not_come_back_as_its_first_version(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    gone = "This paper has been withdrawn by the authors because of an error in the calibration of the detector."
    versions = [{**sample[0], "id": "0704.0001v1"}, {**sample[0], "id": "0704.0001v2", "abstract": gone}]
    again = [{**sample[1], "id": "0704.0002v1", "abstract": gone}, {**sample[1], "id": "0704.0002v2"}]
    manifest = build(write_jsonl(*versions, *again, *sample[2:]), tmp_path / "out")
    assert manifest["counts"]["rejected"] == {"withdrawn": 3}
    kept = set().union(*ids(tmp_path / "out").values())
    assert "0704.0002v2" in kept
    assert "0704.0001v1" not in kept
