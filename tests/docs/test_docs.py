"""The docs are what the program does: reference pages up to date, commands run, links lead somewhere."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.recipe import load_recipe
from astrollama.sources.sample import SAMPLE
from tests.conftest import tiny_recipe
from tests.sources.latex.archives import PAPER, tar
from tests.sources.oai_server import Repository, read_papers, serve

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# in this order each page finds what those before it have made
RUN = ["README.md", "docs/tutorial.md", "docs/how-to/own-papers.md", "docs/how-to/not-forgetting.md"]
RUN += [
    "docs/how-to/adapters.md",
    "docs/how-to/merge.md",
    "docs/how-to/export.md",
    "docs/how-to/plan.md",
    "docs/how-to/paper-recipe.md",
]
RUN += ["docs/how-to/base-models.md", "docs/how-to/stop-and-resume.md", "docs/how-to/encoder.md"]
RUN += ["docs/how-to/evaluate.md", "docs/how-to/publish.md", "docs/how-to/classify.md", "docs/how-to/rate.md"]
RUN += ["docs/how-to/harvest.md", "docs/how-to/full-text.md", "docs/how-to/corpus.md", "docs/how-to/own-field.md"]
FEW = ["max_new_tokens=3", "num_resamples=200", "num_documents=8", "num_embeddings=20", "num_completions=2"]
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)?(#[^)\s]+)?\)")


def commands(page: Path) -> list[str]:
    """The lines that a reader would type."""
    text = page.read_text(encoding="utf-8")
    return [
        line.removeprefix("$ ")
        for block in _BLOCK.findall(text)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def test_the_reference_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "reference" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_reference_tells_types_in_words() -> None:
    page = (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    assert "| `temperatures` | list of number | `[0.1, 0.4, 0.7, 1.0, 1.3]` |" in page
    assert "| `prices` | object of [number, number] | `{}` |" in page
    assert not re.search(r"\| `\w+` \| [^|]*(Annotated|FieldInfo|tuple|Literal)", page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor[1:] in slugs, anchor


def test_make_targets_in_the_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {line.split()[1] for page in PAGES for line in commands(page) if line.startswith("make ")}
    assert named >= {"demo", "test", "check"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_says_beforehand_that_installing_takes_minutes(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ]\n')  # of a right version, and without venv
    python.chmod(0o755)
    command = ["make", "demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    home = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(command, cwd=ROOT, env=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert (
        done.stdout == f"installing astrollama and what it needs into {tmp_path / 'venv'}, once: this takes minutes\n"
    )


def test_every_page_with_commands_is_run() -> None:
    with_commands = {
        str(page.relative_to(ROOT)) for page in PAGES if any("astrollama " in line for line in commands(page))
    }
    assert with_commands <= {*RUN, "docs/benchmarks.md"}


def test_every_command_of_the_docs_works(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands in their order in one folder, with the tiny model for SmolLM2 and seconds for minutes."""
    monkeypatch.chdir(tmp_path)
    lines = SAMPLE.read_bytes().splitlines()
    texts = [json.loads(line)["abstract"] for line in lines]
    Path("encyclopaedia.txt.gz").write_bytes(gzip.compress("\n\n".join(texts).encode()))
    Path("papers.jsonl").write_bytes(b"\n".join(lines))
    Path("papers-with-mistakes.jsonl").write_bytes(b"\n".join([*lines, b"{broken"]))
    Path("questions.jsonl").write_text(
        '{"question": "Which star is nearest to the Sun?", "answer": "Proxima Centauri"}'
    )
    choices = {"question": "Which star is nearest to the Sun?", "choices": ["Vega", "Proxima Centauri"], "answer": "B"}
    Path("multiple-choice.jsonl").write_text(json.dumps(choices))
    Path("sources").mkdir()
    Path("sources/2309.00001.tar.gz").write_bytes(tar(("ms.tex", PAPER)))
    for method in ("full", "lora"):
        Path(f"tiny-{method}.toml").write_text(tiny_recipe(tiny_model, f"train.method={method}").to_toml())
    encoder = ["train.method=lora", "train.objective=contrastive", "encoder.max_tokens=32"]
    Path("tiny-encoder.toml").write_text(tiny_recipe(tiny_model, *encoder).to_toml())
    stand_ins = {
        "smollm2-135m": str(tiny_model),
        "smollm2-135m-cpu": "tiny-full.toml",
        "smollm2-135m-lora": "tiny-lora.toml",
        "astrosmol-135m-encoder": "tiny-encoder.toml",
        "corpus.test_fraction=0.15": "corpus.test_fraction=0.16",
    }
    with serve(Repository(read_papers(SAMPLE, 240))) as server:
        for page, line in ((name, line) for name in RUN for line in commands(ROOT / name)):
            words = [stand_ins.get(word, re.sub(r"\d minutes", "900 tokens", word)) for word in _words(line)]
            if words[0] == "printf":
                subprocess.run(line, shell=True, check=True)
            if words[0] != "astrollama":
                continue
            words = words[1:]
            if words[:2] == ["corpus", "harvest"]:
                words += ["--url", server.url, "--delay", "0"]
            if words[0] == "pack":
                words += ["--model", str(tiny_model)]
            if words[0] == "complete":
                words += ["--max-new-tokens", "3"]
            if words[0] in ("complete", "embed") and "--model" not in words:
                words += ["--model", str(tiny_model)]
            if words[0] == "classify" and "--head" not in words:
                continue  # the shipped head wants the packaged base: tests/models/test_shipped.py
            if words[0] in ("evaluate", "reproduce"):
                words += [part for setting in FEW for part in ("--set", f"evaluate.{setting}")]
            if page == "docs/tutorial.md" and "--out" in words:
                shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
            assert run(words) == 0, (page, line, capsys.readouterr().err)


def _words(line: str) -> list[str]:
    return shlex.split(line.replace('"$(astrollama corpus sample)"', str(SAMPLE)))


def test_the_recipe_keys_named_in_the_docs_exist() -> None:
    from astrollama.recipe import all_keys

    known = set(all_keys())
    for page in PAGES:
        for key in re.findall(
            r"`((?:model|corpus|pack|lora|encoder|replay|train|validation|evaluate)\.[a-z_0-9]+)",
            page.read_text(encoding="utf-8"),
        ):
            assert key in known or key in {
                "train.parquet",
                "validation.parquet",
                "encoder.json",
                "model.safetensors",
                "train.num_tokens",
                "train.tokens_per_second",
            }, (page, key)


def test_the_readme_names_recipes_that_exist() -> None:
    for name in re.findall(r"astrollama train ([\w.-]+)", (ROOT / "README.md").read_text()):
        load_recipe(name)


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"/(?:work|root|home/\w+)/", text), page
