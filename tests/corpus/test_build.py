from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from astrollama.corpus.build import OUTPUTS, import_corpus
from astrollama.corpus.split import SPLITS
from astrollama.corpus.stats import corpus_stats, draw_stats
from astrollama.corpus.store import read_documents
from astrollama.errors import CorpusError, RunError, SourceError, UserInputError
from astrollama.records import Document
from astrollama.runs import read_manifest
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource, OnError
from astrollama.sources.sample import SAMPLE

Record = dict[str, Any]
WriteJsonl = Callable[..., Path]

PROSE = (
    "We observe the spectrum of a bright quasar and find that its broad emission lines vary within a few short months"
)
BROKEN = b'{"id": "sample:9", "abstract": "caf\xe9 '


@pytest.fixture(scope="module")
def sample() -> list[Record]:
    return [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def messy(sample: list[Record]) -> list[Record | bytes]:
    """Forty good papers and one of everything that can be wrong, in no order."""
    good = sample[:40]
    first, second = good[0], good[1]
    wrong: list[Record | bytes] = [
        BROKEN,
        b"[1, 2]",
        {"id": "number", "abstract": 7, "title": "Seven"},
        {"id": "none", "title": "Nothing", "date": "2010-01"},
        {"id": "blank", "abstract": " \n ", "date": "2010-01"},
        {"id": "gone", "title": "Gone", "abstract": "This paper has been withdrawn by the authors.", "date": "2010-01"},
        {"id": "short", "abstract": "A short note on a star.", "date": "2010-01"},
        {"id": "table", "abstract": "1.2 3.4 | " * 20, "date": "2010-01"},
        {"id": "timeless", "abstract": f"{PROSE} in the end.", "licence": "CC0-1.0", "categories": "gr-qc hep-th"},
        {**first, "id": "exact", "abstract": first["abstract"].upper(), "date": "2030-01"},
        {**second, "id": "near", "abstract": f"{second['abstract']} Data are public.", "date": "2030-01"},
        {**second, "id": "0704.0001v1", "abstract": f"{PROSE} of the first version.", "date": "2007-04"},
        {**second, "id": "0704.0001v2", "abstract": f"{PROSE} of quite another version.", "date": "2007-04"},
    ]
    return random.Random(0).sample([*good, *wrong], 40 + len(wrong))


@pytest.fixture(scope="module")
def messy_corpus(messy: list[Record | bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("messy")
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in messy]
    (folder / "papers.jsonl").write_bytes(b"\n".join([b'{"id": "sample:0000"}', *lines]))
    build([folder / "papers.jsonl"], folder / "corpus", on_error="skip")
    return folder / "corpus"


def build(paths: list[Path], out: Path, on_error: OnError = "stop", **settings: Any) -> dict[str, Any]:
    return import_corpus(FileSource(paths, on_error), CorpusSection(**settings), out)


def documents(corpus: Path, split: str) -> list[Document]:
    return list(read_documents(corpus / f"{split}.parquet"))


def rejected(corpus: Path) -> list[Record]:
    rows: list[Record] = pq.read_table(corpus / "rejected.parquet").to_pylist()
    return rows


def test_every_record_stands_in_exactly_one_place(messy: list[Record | bytes], messy_corpus: Path) -> None:
    kept = [own.origin for split in SPLITS for own in documents(messy_corpus, split)]
    origins = kept + [row["origin"] for row in rejected(messy_corpus)]
    assert Counter(origins) == Counter(f"papers.jsonl:{n}" for n in range(1, len(messy) + 2))
    counts = read_manifest(messy_corpus, "corpus")["counts"]
    assert counts["records"] == len(messy) + 1 == len(kept) + sum(counts["rejected"].values())
    assert sum(counts[split] for split in SPLITS) == len(kept) == 41
    assert counts["rejected"] == Counter(row["reason"] for row in rejected(messy_corpus))


def test_what_is_rejected_keeps_its_reason(messy_corpus: Path) -> None:
    reasons = {row["id"]: row["reason"] for row in rejected(messy_corpus) if row["id"]}
    assert reasons == {
        "sample:0000": "no_abstract",
        "none": "no_abstract",
        "blank": "no_abstract",
        "gone": "withdrawn",
        "short": "too_short",
        "table": "not_prose",
        "timeless": "no_date",
        "exact": "exact_duplicate",
        "near": "near_duplicate",
        "0704.0001v1": "duplicate_id",
    }
    assert all(row["detail"] for row in rejected(messy_corpus))


def test_what_is_rejected_keeps_its_whole_content(sample: list[Record], messy_corpus: Path) -> None:
    rows = {row["id"]: row for row in rejected(messy_corpus) if row["id"]}
    timeless = rows["timeless"]
    assert timeless["text"] == f"{PROSE} in the end."
    assert (timeless["categories"], timeless["primary_category"]) == (["gr-qc", "hep-th"], "gr-qc")
    assert (timeless["licence"], timeless["date"]) == ("CC0-1.0", "")
    assert (rows["none"]["title"], rows["none"]["date"], rows["none"]["text"]) == ("Nothing", "2010-01", "")
    assert rows["exact"]["text"] == sample[0]["abstract"].upper()
    assert rows["exact"]["title"] == sample[0]["title"]
    assert "the same words as sample:0001" in rows["exact"]["detail"]


def test_lines_that_cannot_be_read_are_kept_as_they_are(messy_corpus: Path) -> None:
    unreadable = {row["reason"]: row["text"] for row in rejected(messy_corpus) if not row["id"]}
    assert unreadable == {
        "not_utf8": BROKEN.decode("utf-8", "backslashreplace"),
        "not_a_record": "[1, 2]",
        "malformed_record": json.dumps({"id": "number", "abstract": 7, "title": "Seven"}),
    }


def test_the_newest_months_are_held_out_and_no_month_is_on_both_sides(sample_corpus: Path) -> None:
    train = {own.date[:7] for own in documents(sample_corpus, "train")}
    validation = {own.date[:7] for own in documents(sample_corpus, "validation")}
    test = {own.date[:7] for own in documents(sample_corpus, "test")}
    manifest = read_manifest(sample_corpus, "corpus")
    assert max(train) < min(validation) == manifest["split"]["validation_from"]
    assert max(validation) < min(test) == manifest["split"]["held_out_from"]
    assert manifest["counts"]["test"] >= 0.15 * 240
    assert manifest["counts"]["validation"] >= 0.02 * 240


def test_the_documents_are_the_records(sample: list[Record], sample_corpus: Path) -> None:
    found = {own.id: own for split in SPLITS for own in documents(sample_corpus, split)}
    assert len(found) == 240
    for record in sample:
        own = found[record["id"]]
        assert (own.text, own.title) == (record["abstract"], record["title"])
        assert (own.date, own.licence, own.primary_category) == (record["date"], "CC0-1.0", record["primary"])


@pytest.mark.parametrize("split", [*SPLITS, "rejected"])
def test_every_hash_is_of_its_text_and_the_manifest_knows_the_files(messy_corpus: Path, split: str) -> None:
    for row in pq.read_table(messy_corpus / f"{split}.parquet").to_pylist():
        assert row["content_hash"] == hashlib.sha256(row["text"].encode()).hexdigest()
    content = (messy_corpus / f"{split}.parquet").read_bytes()
    assert read_manifest(messy_corpus, "corpus")["files"][f"{split}.parquet"] == {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_a_corpus_holds_its_files_and_nothing_else(messy_corpus: Path) -> None:
    assert {path.name for path in messy_corpus.iterdir()} == {*OUTPUTS, "manifest.json"}


def test_the_same_papers_make_the_same_bytes_and_a_rerun_touches_nothing(
    tmp_path: Path, sample_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again"
    manifest = build([SAMPLE], out, test_fraction=0.15)
    for name in OUTPUTS:
        assert (out / name).read_bytes() == (sample_corpus / name).read_bytes()

    before = {path: path.stat().st_mtime_ns for path in [out, *out.iterdir()]}
    assert build([SAMPLE], out, test_fraction=0.15) == manifest
    assert {path: path.stat().st_mtime_ns for path in [out, *out.iterdir()]} == before
    assert "the corpus is already there" in capsys.readouterr().err


def test_the_order_of_the_records_changes_only_their_order(
    tmp_path: Path, messy: list[Record | bytes], messy_corpus: Path, write_jsonl: WriteJsonl
) -> None:
    build([write_jsonl({"id": "sample:0000"}, *messy[::-1])], tmp_path / "out", on_error="skip")
    for split in (*SPLITS, "rejected"):
        one, other = (
            pq.read_table(folder / f"{split}.parquet").to_pylist() for folder in (tmp_path / "out", messy_corpus)
        )
        for rows in (one, other):
            for row in rows:
                del row["origin"]
        assert sorted(map(str, one)) == sorted(map(str, other))


def test_other_settings_or_papers_are_not_mixed_into_a_corpus(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    path = write_jsonl(*sample[:20])
    build([path], tmp_path / "out")
    before = {entry.name: entry.read_bytes() for entry in (tmp_path / "out").iterdir()}
    with pytest.raises(RunError, match=r"out holds another run \(settings\.min_words is 20, now 30\): choose another"):
        build([path], tmp_path / "out", min_words=30)
    with pytest.raises(RunError, match=r'another run \(on_error is "stop", now "skip"\)'):
        build([path], tmp_path / "out", on_error="skip")
    write_jsonl(*sample[:21])
    with pytest.raises(RunError, match=r"another run \(inputs is "):
        build([path], tmp_path / "out")
    assert {entry.name: entry.read_bytes() for entry in (tmp_path / "out").iterdir()} == before


def test_a_directory_with_files_of_the_user_is_refused_and_not_touched(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "train.parquet").write_text("mine")
    with pytest.raises(
        RunError, match="is not empty and holds no run of this stage: choose another --out, or empty it"
    ):
        build([write_jsonl(*sample[:20])], out)
    assert {entry.name: entry.read_text() for entry in out.iterdir()} == {"train.parquet": "mine"}


def test_a_broken_record_stops_the_import_and_leaves_no_directory(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    path = write_jsonl(*sample[:20], BROKEN, *sample[20:30])
    with pytest.raises(SourceError, match=r"papers\.jsonl, record 21: not utf8 .*--on-error skip"):
        build([path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    counts = build([path], tmp_path / "out", on_error="skip")["counts"]
    assert (counts["records"], counts["rejected"]) == (31, {"not_utf8": 1})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": "a"}, {"id": "b"}], r"0 document\(s\) left of 2 records \(2 no_abstract\): give records with id"),
        ([{"id": "a", "abstract": PROSE, "date": "2020-01"}], r"1 document\(s\) left of 1 records \(none dropped\)"),
        (
            [{"id": n, "abstract": f"{PROSE} {n}" * 2, "date": "2020-01"} for n in "ab"],
            r"leave none to train on when the test begins in 2020-01: give more papers",
        ),
    ],
)
def test_too_few_papers_are_an_error_that_tells_why_and_leaves_no_directory(
    tmp_path: Path, write_jsonl: WriteJsonl, records: list[Record], message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        build([write_jsonl(*records)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_random_split_of_too_few_is_an_error(tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl) -> None:
    with pytest.raises(CorpusError, match=r"5 documents without duplicates leave none to test on: give more papers"):
        build([write_jsonl(*sample[:5])], tmp_path / "out", split="random", test_fraction=0.01)
    assert not (tmp_path / "out").exists()


def test_papers_held_out_at_random_stay_so_when_papers_are_added(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    sides = []
    for name, records in (("few", sample[40:80]), ("more", sample[:120])):
        manifest = build(
            [write_jsonl(*records)], tmp_path / name, split="random", test_fraction=0.3, validation_fraction=0.2
        )
        assert manifest["split"] == {"kind": "random", "validation_from": None, "held_out_from": None}
        sides.append([{own.id for own in documents(tmp_path / name, split)} for split in SPLITS])
    for few, more in zip(*sides, strict=True):
        assert few < more


def test_settings_decide_what_is_dropped(tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl) -> None:
    path = write_jsonl(*sample[:20], {"id": "short", "abstract": "A short note on a star.", "date": "2010-01"})
    counts = build([path], tmp_path / "out", min_words=3)["counts"]
    assert (sum(counts[split] for split in SPLITS), counts["rejected"]) == (21, {})


def test_a_lone_surrogate_anywhere_is_stored_as_something_utf8_can_hold(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    odd = {**sample[20], "id": "odd\ud800", "title": "\udfff", "abstract": sample[20]["abstract"] + " \ud800"}
    odd["categories"] = ["\ud800"]
    build([write_jsonl(*sample[:20], odd)], tmp_path / "out")
    [stored] = [own for split in SPLITS for own in documents(tmp_path / "out", split) if "odd" in own.id]
    assert (stored.id, stored.title) == ("odd\\ud800", "\ufffd")
    assert stored.categories == ("\\ud800",)
    assert stored.text.endswith(" \ufffd")


def test_a_full_disk_is_one_clear_error_and_the_import_goes_on_when_there_is_space(
    tmp_path: Path, sample_corpus: Path
) -> None:
    script = """
import resource, sys
from pathlib import Path
from astrollama.corpus.build import import_corpus
from astrollama.errors import AstroLlamaError
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # Python ignores SIGXFSZ, so that writing fails
try:
    import_corpus(FileSource([SAMPLE]), CorpusSection(test_fraction=0.15), Path(sys.argv[1]))
except AstroLlamaError as error:
    print(error)
"""
    out = tmp_path / "out"
    command = [sys.executable, "-c", script, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "is full: free some space or choose another place" in done.stdout
    assert str(out) in done.stdout
    assert done.stdout.count("\n") == 1
    assert not (out / "manifest.json").exists()
    build([SAMPLE], out, test_fraction=0.15)
    for name in OUTPUTS:
        assert (out / name).read_bytes() == (sample_corpus / name).read_bytes()


def test_papers_without_ids_in_two_files_of_one_name_are_all_kept(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    for name, records in (("a", sample[:10]), ("b", sample[10:20])):
        (tmp_path / name).mkdir()
        write_jsonl(*[{**record, "id": None} for record in records], name=f"{name}/papers.jsonl")
    assert build([tmp_path / "a", tmp_path / "b"], tmp_path / "out")["counts"]["rejected"] == {}


def test_a_corpus_that_lost_a_file_is_refused(tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl) -> None:
    path = write_jsonl(*sample[:20])
    build([path], tmp_path / "out")
    (tmp_path / "out" / "train.parquet").unlink()
    with pytest.raises(RunError, match=r"train\.parquet is missing or damaged: delete .* and make it again"):
        build([path], tmp_path / "out")


def test_absolute_and_relative_paths_go_together(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(*sample[:10], name="a.jsonl")
    build([Path("a.jsonl"), write_jsonl(*sample[10:20], name="b.jsonl")], tmp_path / "out")
    origins = {own.origin for split in SPLITS for own in documents(tmp_path / "out", split)}
    assert {"a.jsonl:1", "b.jsonl:1"} <= origins


def test_a_text_that_takes_ages_to_clean_by_regular_expressions_is_cleaned_at_once(
    tmp_path: Path, sample: list[Record], write_jsonl: WriteJsonl
) -> None:
    hostile = ["a" + " " * 10**6 + "b", "\\(" * 10**5, "$$" + "\\[" * 10**5, "&" + "amp;" * 10**5, "paper (by " * 10**5]
    records = [{**sample[0], "id": f"hostile {n}", "abstract": text} for n, text in enumerate(hostile)]
    started = time.monotonic()
    build([write_jsonl(*sample[:20], *records)], tmp_path / "out")
    assert time.monotonic() - started < 30  # a square of these lengths would be hours


def test_a_failure_leaves_none_of_the_directories_that_it_made(tmp_path: Path, write_jsonl: WriteJsonl) -> None:
    with pytest.raises(CorpusError):
        build([write_jsonl({"id": "a"})], tmp_path / "deep" / "deeper" / "out")
    assert not (tmp_path / "deep").exists()


def test_an_output_inside_the_folder_that_is_read_is_refused(
    sample: list[Record], write_jsonl: Callable[..., Path]
) -> None:
    folder = write_jsonl(*sample[:20]).parent
    with pytest.raises(UserInputError, match=r"lies inside .*, which is to be read: choose an --out beside it"):
        import_corpus(FileSource([folder]), CorpusSection(), folder / "corpus")


def test_papers_without_a_date_can_be_split_at_random(
    sample: list[Record], write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    timeless = [{key: value for key, value in record.items() if key != "date"} for record in sample]
    settings = CorpusSection(split="random", test_fraction=0.3, validation_fraction=0.2)
    manifest = import_corpus(FileSource([write_jsonl(*timeless)]), settings, tmp_path / "out")
    assert manifest["counts"]["rejected"] == {}
    stats = corpus_stats(tmp_path / "out")
    assert list(stats["by_year"]) == ["unknown"]
    draw_stats(stats, tmp_path / "stats.png")
