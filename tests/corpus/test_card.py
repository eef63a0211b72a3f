from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from astrollama.corpus.card import write_card
from astrollama.corpus.measures import TokenCounter, measure
from astrollama.corpus.skews import PATTERNS, find_skews, percent
from astrollama.errors import RunError
from astrollama.records import Document, Dropped, document_schema, rejected_schema
from astrollama.sections import CardSection, CorpusSection

PICTURES = ["plots/papers-by-year.png", "plots/papers-by-category.png", "plots/lengths-in-words.png"]
NASTY = "a $x_1$ `b` | c\n---\n<script>alert(1)</script> *d* [e](http://f) \x1b # \\"
LETTERS = TokenCounter("letters", lambda texts: [len(text) for text in texts])


def document(
    number: int, *, text: str = "", date: str = "2024-05-01", primary: str = "astro-ph.GA", **more: Any
) -> Document:
    text = text or f"We study galaxy number {number} with a telescope."
    values = {"title": f"Galaxy {number}", "licence": "CC0-1.0", "categories": (primary,), **more}
    return Document(
        id=f"paper:{number}",
        text=text,
        primary_category=primary,
        date=date,
        content_hash="0" * 64,
        origin="x:1",
        **values,
    )


def write_corpus(folder: Path, rejected: Sequence[Dropped] = (), **splits: Sequence[Document]) -> dict[str, Any]:
    """Write splits as a corpus has them; returns the facts that its manifest will hold."""
    for split in ("train", "validation", "test"):
        rows = [asdict(own) for own in splits.get(split, ())]
        pq.write_table(pa.Table.from_pylist(rows, schema=document_schema()), folder / f"{split}.parquet")
    rows = [asdict(own.document) | {"reason": own.reason, "detail": own.detail} for own in rejected]
    pq.write_table(pa.Table.from_pylist(rows, schema=rejected_schema()), folder / "rejected.parquet")
    sizes = {split: len(splits.get(split, ())) for split in ("train", "validation", "test")}
    reasons = [own.reason for own in rejected]
    return {
        "counts": {
            "records": sum(sizes.values()) + len(rejected),
            **sizes,
            "rejected": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        },
        "split": {"kind": "date", "validation_from": "2026-02", "held_out_from": "2026-03"},
        "identity": {"settings": CorpusSection().model_dump(mode="json"), "inputs": [["papers.jsonl", "ab" * 32]]},
        "decontamination": [],
        "files": {"train.parquet": {"bytes": 1234567, "sha256": "cd" * 32}},
        "command": ["astrollama", "corpus", "import", "my papers.jsonl", "--out", "corpus"],
        "versions": {"astrollama": "0.1.0", "git_commit": None},
    }


def write_and_read(folder: Path, facts: dict[str, Any], tokens: TokenCounter | None = None, **card: Any) -> str:
    write_card(folder, facts, CardSection(**card), tokens)
    return (folder / "README.md").read_text(encoding="utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a card, as a reader sees it: rows of cells."""
    tokens = MarkdownIt("commonmark").enable("table").parse(re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL))
    found: list[list[list[str]]] = []
    for before, token in pairwise(tokens):
        if before.type == "table_open":
            found.append([])
        if before.type == "tr_open":
            found[-1].append([])
        if before.type in ("th_open", "td_open"):
            found[-1][-1].append("".join(child.content for child in token.children or ()))
    return found


def table_with(text: str, heading: str) -> list[list[str]]:
    [rows] = [rows for rows in tables(text) if rows[0][0] == heading]
    return rows[1:]


def skews(folder: Path) -> dict[str, str]:
    return {skew.title: skew.text for skew in find_skews(measure(folder, PATTERNS))}


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    long = document(8, text="word " * 899 + "word", date="2026-03", primary="gr-qc")
    dropped = [Dropped(document(20 + i), "too_short", "") for i in range(2)] + [
        Dropped(document(30), "of_tomorrow", "")
    ]
    return write_corpus(
        tmp_path,
        dropped,
        train=[document(i, date=f"20{10 + i}-05-01") for i in range(6)],
        validation=[document(7, date="2026-02-11", primary="astro-ph.SR")],
        test=[long, document(9, date="2026-03-20")],
    )


def test_the_front_matter_is_what_the_hub_expects(tmp_path: Path, facts: dict[str, Any]) -> None:
    write_and_read(tmp_path, facts, title="Papers: of\nspace", licence="cc0-1.0", tags=("astronomy", "no"))
    data = DatasetCard.load(tmp_path / "README.md").data
    assert data.pretty_name == "Papers: of space"
    assert data.license == "cc0-1.0"
    assert data.language == ["en"]
    assert data.tags == ["astronomy", "no"]  # YAML alone would read the second as false
    assert data.size_categories == ["n<1K"]
    assert data.task_categories == ["text-generation", "text-retrieval", "text-classification"]
    assert data.configs[0]["data_files"] == [
        {"split": split, "path": f"{split}.parquet"} for split in ("train", "validation", "test")
    ]


@pytest.mark.parametrize("with_validation", [True, False])
def test_the_folder_loads_as_a_data_set_with_its_splits_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_validation: bool
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "corpus"
    folder.mkdir()
    splits = {"train": [document(1), document(2)], "test": [document(4)]}
    if with_validation:
        splits["validation"] = [document(3)]
    facts = write_corpus(folder, [Dropped(document(5), "too_short", "")], **splits)
    (folder / "quality.json").write_text("{}")
    write_and_read(folder, facts)
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: loaded[split].num_rows for split in loaded} == {split: len(rows) for split, rows in splits.items()}
    assert loaded["test"][0]["text"] == document(4).text
    assert loaded["train"].column_names == document_schema().names


def test_the_table_of_splits_has_papers_words_tokens_and_dates(tmp_path: Path, facts: dict[str, Any]) -> None:
    rows = table_with(write_and_read(tmp_path, facts, LETTERS), "split")
    assert rows == [
        ["train", "6", "48", "8", "252", "42", "2010-05-01", "2015-05-01"],
        ["validation", "1", "8", "8", "42", "42", "2026-02-11", "2026-02-11"],
        ["test", "2", "908", "454", "4,541", "2,270", "2026-03", "2026-03-20"],
        ["all", "9", "964", "8", "4,835", "42", "2010-05-01", "2026-03-20"],
    ]
    without = write_and_read(tmp_path, facts)
    assert table_with(without, "split")[0] == ["train", "6", "48", "8", "2010-05-01", "2015-05-01"]
    assert "tokens" not in without.lower().replace("tokenizers", "")


def test_how_it_was_made_is_told_with_counts_and_hashes(tmp_path: Path, facts: dict[str, Any]) -> None:
    facts["identity"]["source"] = {"set": "physics:astro-ph", "from": "2020-01-01", "until": None}
    facts["decontamination"] = [
        {"benchmark": "mmlu.jsonl.gz", "sha256": "ef" * 32, "items": 14327, "items_too_short": 0, "removed": 12},
        {"benchmark": "test split", "sha256": None, "items": 2, "items_too_short": 0, "removed": 0},
    ]
    text = write_and_read(tmp_path, facts)
    assert table_with(text, "left out") == [
        ["of_tomorrow", "1", ""],
        ["too_short", "2", "fewer words than min_words"],
    ]
    assert table_with(text, "parameter") == [["set", '"physics:astro-ph"'], ["from", '"2020-01-01"']]
    assert table_with(text, "input") == [["papers.jsonl", "ab" * 32]]
    assert table_with(text, "compared with") == [
        ["mmlu.jsonl.gz", "14,327", "0", "12", "ef" * 32],
        ["test split", "2", "0", "0", ""],
    ]
    assert table_with(text, "file") == [["train.parquet", "1,234,567", "cd" * 32]]
    assert table_with(text, "made with") == [["astrollama", "0.1.0"]]
    assert ["near_duplicate_threshold", "0.5"] in table_with(text, "setting")
    assert "12 records were read; 9 became documents and 3 were left out." in text
    assert "papers from 2026-03 on are for the test, those from 2026-02 until then for validation" in text
    assert "astrollama corpus import 'my papers.jsonl' --out corpus" in text


def test_a_random_split_is_told_as_one(tmp_path: Path, facts: dict[str, Any]) -> None:
    facts["split"] = {"kind": "random", "validation_from": None, "held_out_from": None}
    text = write_and_read(tmp_path, facts)
    assert "The split is random" in text
    assert "The split is by date" not in text


def test_the_same_corpus_gives_the_same_files(tmp_path: Path, facts: dict[str, Any]) -> None:
    names = write_card(tmp_path, facts, CardSection(), LETTERS)
    assert names == ["README.md", *PICTURES, "plots/lengths-in-tokens.png"]
    first = {name: (tmp_path / name).read_bytes() for name in names}
    write_card(tmp_path, facts, CardSection(), LETTERS)
    assert {name: (tmp_path / name).read_bytes() for name in names} == first
    for name in names[1:]:
        assert f"]({name})" in first["README.md"].decode()
        height, width, _ = matplotlib.image.imread(tmp_path / name).shape
        assert width == 900
        assert height > 200


def test_text_from_outside_breaks_neither_yaml_nor_tables_nor_html(tmp_path: Path) -> None:
    document_ = document(1, primary=NASTY, title=NASTY, licence=NASTY)
    facts = write_corpus(tmp_path, [Dropped(document_, NASTY, "")], train=[document_], test=[document(2)])
    facts["identity"]["inputs"] = [[NASTY, "ab" * 32], ["````", "|"]]
    facts["identity"]["source"] = {NASTY: NASTY}
    facts["command"] = ["astrollama", NASTY, "```"]
    facts["versions"] = {NASTY: NASTY}
    facts["files"] = {NASTY: {"bytes": 1, "sha256": NASTY}}
    facts["decontamination"] = [{"benchmark": NASTY, "sha256": NASTY, "items": 1, "items_too_short": 0, "removed": 0}]
    text = write_and_read(
        tmp_path, facts, title=NASTY, description=f"{NASTY}\n\n{NASTY}", citation=f"```\n{NASTY}", tags=(NASTY,)
    )
    one_line = " ".join(NASTY.replace("\x1b", " ").split())
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == " ".join(NASTY.split())
    assert DatasetCard(text).data.tags == [NASTY]
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "<script" not in rendered
    assert "href" not in rendered
    for rows in tables(text):
        assert {len(row) for row in rows} == {len(rows[0])}
    assert table_with(text, "input") == [[one_line, "ab" * 32], ["````", "|"]]
    assert table_with(text, "parameter")[0][0] == one_line
    assert [one_line, "1", ""] in table_with(text, "left out")
    assert [one_line, "1"] in table_with(text, "licence of the paper")
    headings = re.findall(r"<h2>(.*?)</h2>", rendered)
    assert headings[0] == "Splits"
    assert headings[-1] == "Citation"


def test_one_paper_without_date_category_and_title_has_a_card(tmp_path: Path) -> None:
    only = document(1, date="", primary="unknown", title="")
    text = write_and_read(tmp_path, write_corpus(tmp_path, train=[only]), LETTERS)
    data = DatasetCard(text).data
    assert data.task_categories == ["text-generation"]
    assert data.annotations_creators == ["no-annotation"]
    assert data.configs[0]["data_files"] == [{"split": "train", "path": "train.parquet"}]
    assert not (tmp_path / PICTURES[0]).exists()
    assert PICTURES[0] not in text
    assert "**No date.** 1 paper (100.0 %)" in text
    assert table_with(text, "split")[1] == ["validation", "0", "0", "", "0", "", "", ""]


def test_300_categories_share_one_bar_beyond_the_largest(tmp_path: Path) -> None:
    papers = [document(i, primary=f"数.{i}") for i in range(300)]
    text = write_and_read(tmp_path, write_corpus(tmp_path, train=papers, test=[document(1)]))
    height, _, _ = matplotlib.image.imread(tmp_path / PICTURES[1]).shape
    assert height == 630
    assert "301 of 301 primary categories have fewer than 50 papers (301 papers in all)" in text


def test_a_damaged_corpus_gets_no_card(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "test.parquet").write_bytes((tmp_path / "test.parquet").read_bytes()[:-20])
    with pytest.raises(RunError, match=r"test\.parquet cannot be read .*: it is damaged"):
        write_card(tmp_path, facts, CardSection(), None)
    assert not (tmp_path / "README.md").exists()


def test_skews_are_told_with_their_figures_where_they_hold(tmp_path: Path) -> None:
    def year(number: int, count: int, **more: Any) -> list[Document]:
        return [document(1000 * number + i, date=f"{number}-05-01", **more) for i in range(count)]

    write_corpus(
        tmp_path,
        train=[
            *year(2015, 100, primary="hep-ph"),
            *year(2016, 100, licence=""),
            *year(2018, 3),
            *[document(i, date="2019-01") for i in range(90)],
            *year(2023, 100, text="We delve into an intricate disc."),
            *year(2024, 300),
            *year(2025, 6, text="A star. (Abridged)\n\nby NAME (Name Name).\n\n2025-05-01"),
            *year(2025, 5, text=r"We use {\em Gaia} as in \cite{key}."),
        ],
        test=year(2025, 20, text="word " * 99 + "word"),
    )
    found = skews(tmp_path)
    assert found["Mostly recent"] == f"{percent(431 / 724)} of the dated papers are from 2023 to 2025, 3 of 11 years."
    assert "2017 to 2018 (3 papers; 100 in 2015, 300 in 2024)" in found["Years nearly empty"]
    assert "2020 to 2022 (0 papers; 100 in 2015, 300 in 2024)" in found["Years nearly empty"]
    assert found["Cross-listed papers"].startswith("13.8 % of the papers have a primary category outside astro-ph")
    assert "14.2 % of train, 0.0 % of test" in found["Cross-listed papers"]
    assert "2015 to 2019 34.1 % of 293; 2020 to 2024 0.0 % of 400" in found["Cross-listed papers"]
    assert found["Month only"].startswith("Of 90 papers (12.4 %)")
    assert found["Long texts"] == "20 papers (2.8 %) are longer than three times the median of 8 words."
    assert found["Words that chatbots like"].startswith(
        "0.0 % of 293 papers before 2023 and 23.2 % of 431 papers since (2023 100.0 %; 2024 0.0 %)"
    )
    assert found["Abridged texts"].startswith("6 papers (0.8 %)")
    assert found["Markup"].startswith("5 papers (0.7 %)")
    assert found["Licence not stated"] == "100 papers (13.8 %) state no licence."
    assert found["Small splits"] == "test has 20 papers: expect wide intervals."
    assert found["One large category"] == "86.2 % of the papers are of astro-ph.GA."


def test_an_even_corpus_has_no_skews(tmp_path: Path) -> None:
    def part(number: int) -> list[Document]:
        primaries = ("astro-ph.GA", "astro-ph.SR")
        return [document(i, date=f"{2010 + i % 10}-05-01", primary=primaries[i % 4 // 2]) for i in range(number)]

    facts = write_corpus(tmp_path, train=part(400), validation=part(100), test=part(100))
    assert skews(tmp_path) == {}
    assert "None of those that are looked for." in write_and_read(tmp_path, facts)


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "0.0 %"), (0.0001, "under 0.1 %"), (0.5, "50.0 %"), (0.99999, "over 99.9 %"), (1, "100.0 %")],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, told: str) -> None:
    assert percent(share) == told
