from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from astrollama.corpus.build import import_corpus
from astrollama.models.load import load_tokenizer
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE
from astrollama.tokens.shards import pack_corpus


@pytest.fixture(scope="session")
def tokens(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed sample, with a tenth of it for validation."""
    home = tmp_path_factory.mktemp("packed")
    import_corpus(FileSource([SAMPLE]), CorpusSection(test_fraction=0.15, validation_fraction=0.1), home / "corpus")
    pack_corpus(home / "corpus", load_tokenizer(tiny_model), "tiny", home / "tokens")
    return home / "tokens"


@pytest.fixture(scope="session")
def general_tokens(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed text of another kind: the sample's words in alphabetical order."""
    home = tmp_path_factory.mktemp("general")
    lines = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()[:80]]
    texts = [" ".join(sorted(line["abstract"].split())) for line in lines]
    (home / "general.txt").write_text("\n\n".join(texts), encoding="utf-8")
    source = FileSource([home / "general.txt"])
    import_corpus(source, CorpusSection(split="random", near_duplicate_threshold=1.0), home / "corpus")
    pack_corpus(home / "corpus", load_tokenizer(tiny_model), "tiny", home / "tokens")
    return home / "tokens"


@pytest.fixture(scope="session")
def losses() -> Callable[[Path], list[float]]:
    """The losses of a run, step by step."""

    def read(run: Path) -> list[float]:
        return [record["loss"] for record in records_of(run) if "loss" in record]

    return read


def records_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
