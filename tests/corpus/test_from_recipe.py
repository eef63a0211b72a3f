"""`corpus build`: from a recipe, through a real OAI-PMH server, to a corpus with its card."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from astrollama.cli.main import run
from astrollama.corpus.split import SPLITS
from astrollama.runs import read_manifest, verify_files
from astrollama.sources.sample import SAMPLE
from tests.sources.oai_server import Repository, ServedPaper, read_papers, revised, serve

MONTHS = ["corpus.validation_from=2005-01", "corpus.test_from=2010-01"]


def build(out: Path, *more: str, recipe: str = "corpus/astro-ph", settings: list[str] = MONTHS) -> int:
    words = ["corpus", "build", recipe, *more, "--out", str(out)]
    return run([*words, *(word for setting in settings for word in ("--set", setting))])


def ids(corpus: Path) -> dict[str, set[str]]:
    return {split: set(pq.read_table(corpus / f"{split}.parquet")["id"].to_pylist()) for split in SPLITS}


def num_with_text(papers: list[ServedPaper]) -> int:
    return sum(not paper.deleted and bool(paper.texts.get("abstract", "").strip()) for paper in papers)


def test_a_recipe_is_harvested_imported_and_described_and_kept_current(tmp_path: Path, tiny_model: Path) -> None:
    papers = read_papers(SAMPLE, 200)
    with serve(Repository(papers[:150], limit=60)) as server:
        settings = [*MONTHS, f"source.url={server.url}", "source.delay=0"]
        out = tmp_path / "first"
        assert build(out, "--tokenizer", str(tiny_model), settings=settings) == 0
        first = ids(out)
        assert sum(map(len, first.values())) == num_with_text(papers[:150])
        card = (out / "README.md").read_text(encoding="utf-8")
        assert '| `set` | `"physics:astro-ph"` |' in card
        assert f"tokens of {tiny_model}" in card.replace("\\", "")
        assert (out / "plots" / "lengths-in-tokens.png").stat().st_size > 5_000
        manifest = read_manifest(out, "corpus")
        assert {"README.md", "plots/lengths-in-tokens.png"} <= set(manifest["files"])
        assert manifest["identity"]["source"]["set"] == "physics:astro-ph"

        server.repository.put([revised(papers[0], datetime(2030, 1, 1, tzinfo=UTC)), *papers[150:]])
        assert build(out, "--update", settings=settings) == 2  # a corpus is never changed
        assert build(tmp_path / "same", "--words-only", settings=settings) == 0
        assert ids(tmp_path / "same") == first
        assert build(tmp_path / "second", "--words-only", "--update", "--like", str(out), settings=settings) == 0
        second = ids(tmp_path / "second")
        assert sum(map(len, second.values())) == num_with_text(papers)
        assert all(first[split] <= second[split] for split in SPLITS)


def test_given_again_it_does_nothing_and_with_another_card_only_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert build(out, str(SAMPLE), "--words-only", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["records"] == 240
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert build(out, str(SAMPLE), "--words-only") == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert build(out, str(SAMPLE), "--words-only", settings=[*MONTHS, "card.title=Other"]) == 0
    changed = {path.name for path in out.rglob("*") if before.get(path) != path.stat().st_mtime_ns and path.is_file()}
    assert {"README.md", "manifest.json"} <= changed
    assert not {name for name in changed if name.endswith((".parquet", ".json"))} - {"manifest.json"}
    assert "# Other" in (out / "README.md").read_text(encoding="utf-8")
    assert verify_files(out, read_manifest(out, "corpus")) is None


def test_it_loads_as_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    out = tmp_path / "out"
    assert build(out, str(SAMPLE), "--words-only", recipe="corpus/hep-th") == 0
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: loaded[split].num_rows for split in loaded} == {s: len(own) for s, own in ids(out).items()}


def test_a_recipe_of_files_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.toml"
    head = 'name = "mine"\n[source]\nkind = "files"\n'
    recipe.write_text(head)
    assert build(tmp_path / "out", "--words-only", recipe=str(recipe), settings=[]) == 2
    assert "source.kind = 'files' without source.paths: name files there" in capsys.readouterr().err
    recipe.write_text(f'{head}paths = ["{SAMPLE}"]\n')
    assert build(tmp_path / "out", "--words-only", recipe=str(recipe), settings=[]) == 0


@pytest.mark.parametrize("name", ["astro-ph", "astro-ph-2023-07", "cs-cl", "hep-th"])
def test_the_built_in_recipes_name_a_set_and_describe_it(name: str) -> None:
    from astrollama.recipe import load_recipe

    recipe = load_recipe(f"corpus/{name}")
    values: list[Any] = [recipe.source.set, recipe.card.title, recipe.card.description, recipe.card.tags]
    assert all(values)
    assert recipe.name == name


def test_files_that_a_recipe_names_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "papers.jsonl").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "recipes" / "quiz.jsonl").write_text('{"question": "Why is the sky dark at night, and blue at noon?"}')
    recipe = tmp_path / "recipes" / "mine.toml"
    recipe.write_text(
        '[source]\nkind = "files"\npaths = ["papers.jsonl"]\n[corpus]\nbenchmarks = ["quiz.jsonl"]\nfrom_month = 1991-01-01\n'
    )
    monkeypatch.chdir(tmp_path)
    assert build(Path("out"), "--words-only", recipe="recipes/mine.toml", settings=["corpus.from_month="]) == 0
    (tmp_path / "recipes").rename(tmp_path / "elsewhere")
    # the same files from another place are the same corpus
    assert build(Path("out"), "--words-only", recipe="elsewhere/mine.toml", settings=["corpus.from_month="]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([str(SAMPLE), "--update"], "--harvest and --update have no effect where papers come from files"),
        ([str(SAMPLE), "--words-only", "--tokenizer", "x"], "--tokenizer has no effect with --words-only"),
    ],
)
def test_options_without_effect_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert build(tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err


def test_the_card_names_no_mail_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["astrollama", "--set", "source.contact=me.too@example.org"])
    assert build(tmp_path / "out", str(SAMPLE), "--words-only") == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "source.contact=ADDRESS" in card
    assert "example.org" not in card + (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
