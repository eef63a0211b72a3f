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
from astrollama.errors import RunError
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
        ("quiz", 4, 1),
        ("held-out papers", manifest["counts"]["test"], 0),
    ]
    [removed] = quality(tmp_path / "out")["decontamination"][0]["sample"]
    assert removed["id"] == sample[0]["id"]
    assert "of its words stand in quiz, first in q7: " in removed["detail"]
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
    assert removed["detail"].startswith(f"37% of its words stand in held-out papers, first in {sample[-1]['id']}: ")


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
