"""Real small parts for every test: the sample corpus, a real tokenizer trained on it, a real LLaMA with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astrollama.corpus.build import import_corpus
from astrollama.recipe import Recipe, load_recipe
from astrollama.sections import CorpusSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE

TINY_VOCABULARY = 1024


@pytest.fixture(autouse=True, scope="session")
def _own_cache_and_one_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests, and the tests out of the user's cache; tiny models want one thread.

    Several threads on a busy machine wait for each other far longer than they work.
    """
    import torch

    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def sample_texts() -> list[str]:
    return [json.loads(line)["abstract"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def sample_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "sample"
    import_corpus(FileSource([SAMPLE]), CorpusSection(test_fraction=0.15), out)
    return out


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, sample_texts: list[str]) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-llama", sample_texts, seed=0)


@pytest.fixture(scope="session")
def other_tiny_model(tmp_path_factory: pytest.TempPathFactory, sample_texts: list[str]) -> Path:
    """The same tokenizer and shape, other weights."""
    return make_tiny_model(tmp_path_factory.mktemp("other") / "tiny-llama", sample_texts, seed=1)


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write records (or raw bytes, as they are) to a JSONL file, one a line."""

    def write(*records: dict[str, object] | bytes, name: str = "papers.jsonl") -> Path:
        path = tmp_path / name
        lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write


def make_tiny_model(folder: Path, texts: list[str], seed: int) -> Path:
    """A LLaMA of 2 layers with grouped-query attention and a byte-level BPE tokenizer, saved as a model folder."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        texts, vocab_size=TINY_VOCABULARY, special_tokens=["<s>", "</s>"], show_progress=False, min_frequency=1
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_recipe(model: Path, *settings: str) -> Recipe:
    """A recipe that trains the tiny model in seconds."""
    return load_recipe(
        "smollm2-135m-cpu",
        [
            f'model.base="{model}"',
            "pack.sequence_length=64",
            "train.global_batch_tokens=256",
            "train.micro_batch_size=2",
            'train.budget="2_000 tokens"',
            "train.peak_lr=3e-3",
            *settings,
        ],
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest last, so that a mistake shows soon."""
    items.sort(key=lambda item: item.get_closest_marker("packaged_model") is not None)
