"""An encoder: what it learns, that its gradients are exact, and that it is the same after an interruption."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from astrollama.backends.hf import HFLanguageModel
from astrollama.corpus.build import import_corpus
from astrollama.corpus.store import read_documents
from astrollama.errors import InterruptedRunError, ModelError, RecipeError, RunError, UnsupportedError, UserInputError
from astrollama.models.folder import EncoderRecord
from astrollama.models.load import first_layers, load_model, load_tokenizer
from astrollama.models.merge import merge
from astrollama.models.parallel import Parallel
from astrollama.recipe import Recipe
from astrollama.release.export import ExportSettings, export
from astrollama.sections import CorpusSection, EncoderSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.pairs import PairPacker, PairTexts, read_pairs
from astrollama.training import contrastive
from astrollama.training.contrastive import Contrastive, summed_loss
from astrollama.training.run import train
from tests.conftest import tiny_recipe
from tests.training.conftest import records_of
from tests.training.test_features import interrupted_at


def encoder_recipe(base: Path, *settings: str) -> Recipe:
    return tiny_recipe(
        base,
        'train.objective="contrastive"',
        'train.method="lora"',
        "train.peak_lr=5e-3",
        'train.budget="20_000 tokens"',
        "encoder.pairs_a_step=8",
        "encoder.max_tokens=32",
        *settings,
    )


@pytest.fixture(scope="module")
def corpus(tokens: Path) -> Path:
    """The corpus that `tokens` was packed from, with documents for validation."""
    return tokens.parent / "corpus"


@pytest.fixture(scope="module")
def pairs(corpus: Path, tiny_model: Path) -> PairTexts:
    return read_pairs(corpus, "train", load_tokenizer(tiny_model), EncoderSection(max_tokens=32))


@pytest.fixture(scope="module")
def few_papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus so small that an encoder can learn it by heart."""
    home = tmp_path_factory.mktemp("few")
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()[:10]
    (home / "papers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    import_corpus(
        FileSource([home / "papers.jsonl"]), CorpusSection(split="random", test_fraction=0.2), home / "corpus"
    )
    return home / "corpus"


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("encoder.attention=bidirectional", "encoder.layers_share=0.5"),
        ("encoder.pooling=last",),
        ("encoder.final_norm=false",),
        ('lora.targets=["q_proj", "down_proj", "embed_tokens"]',),
    ],
    ids=["mean", "bidirectional half", "last", "without final norm", "embeddings too"],
)
def test_it_learns_which_texts_belong_together(
    settings: tuple[str, ...], few_papers: Path, tiny_model: Path, tmp_path: Path
) -> None:
    recipe = encoder_recipe(tiny_model, 'encoder.pairs=["title"]', 'train.budget="60 epochs"', *settings)
    train(recipe, few_papers, tmp_path / "run", resume=False)
    losses = [record["loss"] for record in records_of(tmp_path / "run")]
    assert losses[-1] < 0.25 * losses[0]
    documents = list(read_documents(few_papers / "train.parquet"))
    encoder = HFLanguageModel(load_model(str(tmp_path / "run")))
    titles_ND = encoder.embed([document.title for document in documents])
    texts_ND = encoder.embed([first_tokens(encoder, document.text) for document in documents])
    nearest = (normalised(titles_ND) @ normalised(texts_ND).T).argmax(axis=1)
    assert np.mean(nearest == np.arange(len(documents))) > 0.9


def first_tokens(encoder: HFLanguageModel, text: str) -> str:
    """What training reads of a text."""
    tokenizer = encoder.loaded.tokenizer
    return tokenizer.decode(tokenizer.encode([text])[0][:32])


def normalised(vectors_ND: np.ndarray) -> np.ndarray:
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


def test_a_saved_encoder_says_how_it_makes_vectors(corpus: Path, tiny_model: Path, tmp_path: Path) -> None:
    settings = ("encoder.attention=bidirectional", "encoder.layers_share=0.5", "encoder.final_norm=false")
    recipe = encoder_recipe(tiny_model, *settings, 'train.budget="600 tokens"')
    train(recipe, corpus, tmp_path / "run", resume=False)
    loaded = load_model(str(tmp_path / "run"))
    assert loaded.encoder == EncoderRecord("mean", "bidirectional", num_layers=1, final_norm=False)
    assert len(loaded.model.model.layers) == 1
    assert isinstance(loaded.model.model.norm, torch.nn.Identity)
    model = HFLanguageModel(loaded)
    assert model.abilities == {"embed"}
    first, second = model.embed(["a star that ends", "a star that begins"])
    assert not np.allclose(first, second)
    with pytest.raises(UnsupportedError, match="cannot pool by 'echo'"):
        model.embed(["a star"], pooling="echo")
    with pytest.raises(UnsupportedError, match="is an encoder and cannot generate"):
        model.generate(["a star"], max_new_tokens=2, temperature=0.0, seed=0)
    with pytest.raises(ModelError, match="is an encoder"):
        merge(str(tmp_path / "run"), tmp_path / "merged", None, 1.0)
    before = load_model(str(tmp_path / "run")).digest
    record = tmp_path / "run" / "model" / "encoder.json"
    (tmp_path / "copy").mkdir()
    for path in record.parent.iterdir():
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "copy" / "encoder.json").write_text(record.read_text().replace("bidirectional", "causal"))
    assert load_model(str(tmp_path / "copy")).digest != before, "another way to make vectors is another encoder"
    for right, wrong in (("mean", "median"), ("false", '"no"')):
        (tmp_path / "copy" / "encoder.json").write_text(record.read_text().replace(right, wrong))
        with pytest.raises(ModelError, match=wrong.strip('"')):
            load_model(str(tmp_path / "copy"))


def test_a_whitened_encoder_has_the_same_vectors_wherever_it_lies(
    corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = ("encoder.attention=bidirectional", "encoder.final_norm=false", 'train.budget="2_000 tokens"')
    for name, whitening in (("plain", 0.0), ("run", 1.0)):
        recipe = encoder_recipe(tiny_model, *settings, f"encoder.whitening={whitening}")
        train(recipe, corpus, tmp_path / name, resume=False)
    texts = [document.text for document in read_documents(corpus / "train.parquet")]

    def vectors(name: str) -> np.ndarray:
        return HFLanguageModel(load_model(str(tmp_path / name))).embed(texts)

    plain_ND, whitened_ND = vectors("plain"), vectors("run")
    spread = [np.linalg.eigvalsh(np.cov(own_ND.T)) for own_ND in (plain_ND, whitened_ND)]
    assert spread[1][-1] / spread[1][32] < 0.2 * spread[0][-1] / spread[0][32]
    export(str(tmp_path / "run"), tmp_path / "export", ExportSettings("adapter"))
    assert np.array_equal(vectors("export"), whitened_ND)
    before = load_model(str(tmp_path / "export")).digest
    for damaged, match in ((b"none", "whitening.safetensors is damaged"), (None, "has no whitening.safetensors")):
        file = tmp_path / "export" / "whitening.safetensors"
        file.unlink() if damaged is None else file.write_bytes(damaged)
        with pytest.raises(ModelError, match=match):
            load_model(str(tmp_path / "export"))
    assert before == load_model(str(tmp_path / "run")).digest != load_model(str(tmp_path / "plain")).digest


def test_an_adapter_is_a_base_too(corpus: Path, tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    train(
        tiny_recipe(tiny_model, 'train.method="lora"', "train.peak_lr=1e-2"), tokens, tmp_path / "adapted", resume=False
    )
    recipe = encoder_recipe(tmp_path / "adapted", 'train.budget="600 tokens"')
    train(recipe, corpus, tmp_path / "encoder", resume=False)
    loaded = load_model(str(tmp_path / "encoder"))
    assert loaded.base_digest == load_model(str(tmp_path / "adapted")).digest
    folded = first_layers(load_model(str(tmp_path / "adapted")), 1.0)
    inputs = torch.arange(2, 30)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            folded.model(inputs).logits, load_model(str(tmp_path / "adapted")).model(inputs).logits
        )
    moved = shutil.copytree(tiny_model, tmp_path / "moved")
    assert load_model(str(tmp_path / "encoder"), base=str(moved)).digest == loaded.digest, "of its base, too"
    listed = pq.read_table(tmp_path / "encoder" / "documents.parquet")["id"].to_pylist()
    assert set(pq.read_table(tokens / "documents.parquet")["id"].to_pylist()) <= set(listed), "its base's are told too"


def test_gradients_in_parts_are_those_of_the_whole(
    pairs: PairTexts, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row(False, pieces) for pieces in PairPacker(pairs, 0).sequences(0)[:8]]

    def gradients(tokens_a_part: int) -> tuple[float, list[torch.Tensor]]:
        model = load_model(str(tiny_model)).model
        monkeypatch.setattr(contrastive, "TOKEN_LAYERS_A_PART", tokens_a_part * model.config.num_hidden_layers)
        objective = Contrastive.of(model, pairs, encoder_recipe(tiny_model), Parallel(0, 1, "cpu"))
        loss, count = objective.accumulate(Mixture(PairPacker(pairs, 0)), rows, step=0)
        assert count == 8
        return loss, [p.grad for p in model.parameters() if p.grad is not None]

    def plain() -> list[torch.Tensor]:
        model = load_model(str(tiny_model)).model
        objective = Contrastive.of(model, pairs, encoder_recipe(tiny_model), Parallel(0, 1, "cpu"))
        texts = [piece.document for row in rows for piece in row.pieces]
        vectors = objective.module([pairs.tokens[text] for text in texts])
        (summed_loss(vectors, [pairs.papers[text] for text in texts], 0.05) / 8).backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    (whole_loss, whole), (parts_loss, parts) = gradients(10_000), gradients(60)
    assert parts_loss == pytest.approx(whole_loss, rel=1e-5)
    for one, other, straight in zip(whole, parts, plain(), strict=True):
        torch.testing.assert_close(one, straight, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(other, straight, rtol=1e-3, atol=1e-5)


def test_the_loss_is_that_of_the_equation_and_papers_are_no_negatives_of_themselves() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(6, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    a, b = vectors[::2], vectors[1::2]

    def expected(left_out: set[tuple[int, int]]) -> float:
        logits = a @ b.T / 0.1
        total = 0.0
        for i in range(3):
            forth = [logits[i, j] for j in range(3) if (i, j) not in left_out]
            back = [logits[j, i] for j in range(3) if (j, i) not in left_out]
            total += np.log(np.exp(forth).sum()) + np.log(np.exp(back).sum()) - 2 * logits[i, i]
        return total / 2

    tensor = torch.from_numpy(vectors)
    assert summed_loss(tensor, [0, 0, 1, 1, 2, 2], 0.1).item() == pytest.approx(expected(set()))
    assert summed_loss(tensor, [0, 0, 1, 1, 0, 0], 0.1).item() == pytest.approx(expected({(0, 2), (2, 0)}))


@pytest.mark.parametrize("negatives", ["random", "near"])
def test_an_interrupted_run_ends_as_one_that_was_not(
    negatives: str, corpus: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = encoder_recipe(
        tiny_model,
        f"encoder.negatives={negatives}",
        "lora.dropout=0.1",
        'train.budget="4_000 tokens"',
        "validation.every_steps=2",
        "validation.num_documents=12",
    )
    train(recipe, corpus, tmp_path / "straight", resume=False)
    undo = interrupted_at(4, monkeypatch)
    with pytest.raises(InterruptedRunError):
        train(recipe, corpus, tmp_path / "twice", resume=False)
    undo()
    train(recipe, corpus, tmp_path / "twice", resume=True)
    for name in ("loss", "validation_nll"):
        one, other = (
            [record[name] for record in records_of(tmp_path / run) if name in record] for run in ("straight", "twice")
        )
        assert one == other
        assert one
    one, other = (load_file(tmp_path / run / "model" / "adapter_model.safetensors") for run in ("straight", "twice"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_pairs_are_titles_halves_and_citations(
    corpus: Path, tiny_model: Path, write_jsonl: Callable[..., Path]
) -> None:
    documents = list(read_documents(corpus / "train.parquet"))
    tokenizer = load_tokenizer(tiny_model)
    citations = write_jsonl(
        {"id": documents[0].id, "refs": [documents[1].id, documents[2].id, "absent"]},
        {"id": "elsewhere", "refs": ["x"]},
    )

    def read(*kinds: Any) -> PairTexts:
        return read_pairs(corpus, "train", tokenizer, EncoderSection(pairs=kinds, max_tokens=16), citations)

    titles, cited = read("title"), read("citations")
    assert len(titles) == len(documents)
    first, second = titles.pairs_P2[0]
    assert tokenizer.decode(titles.tokens[first].tolist()[1:]) == documents[0].title[: len(documents[0].title)][
        :400
    ] or (len(titles.tokens[first]) == 17)
    assert titles.ids[first] == titles.ids[second] == documents[0].id
    assert max(map(len, titles.tokens)) == 17, "BOS and 16 tokens"
    assert [[cited.ids[text] for text in pair] for pair in cited.pairs_P2] == [
        [documents[0].id, documents[1].id],
        [documents[0].id, documents[2].id],
    ]
    assert len(read("title", "halves")) > len(titles)
    assert titles.hashes != cited.hashes


def test_the_order_of_pairs_is_the_seed_s(pairs: PairTexts) -> None:
    assert PairPacker(pairs, 0).sequences(0) == PairPacker(pairs, 0).sequences(0)
    assert PairPacker(pairs, 0).sequences(0) != PairPacker(pairs, 0).sequences(1)
    assert PairPacker(pairs, 0).sequences(0) != PairPacker(pairs, 1).sequences(0)
    assert sorted(PairPacker(pairs, 0).sequences(0)) == sorted(PairPacker(pairs, 1).sequences(3))


def test_near_pairs_share_their_steps_across_epochs(pairs: PairTexts) -> None:
    """Steps are cut from the epochs as they follow each other: the last of one may end in the next."""
    size, num_epochs = 7, 3
    packer = PairPacker(pairs, 0, near=size)
    epochs = [packer.sequences(epoch) for epoch in range(num_epochs)]
    assert epochs[0] == PairPacker(pairs, 0, near=size).sequences(0)
    assert len(pairs) % size, "or nothing would lap over"
    for epoch in epochs:
        assert sorted(epoch) == sorted(PairPacker(pairs, 0).sequences(0))

    def mean_cosine(epochs: list[list[Any]]) -> float:
        sequences = list(chain.from_iterable(epochs))
        steps = [sequences[start : start + size] for start in range(0, len(sequences) - size + 1, size)]
        numbers = {first: number for number, (first, _) in enumerate(pairs.pairs_P2.tolist())}
        vectors = [packer._word_vectors[[numbers[pair[0].document] for pair in step]] / 1000 for step in steps]
        return float(np.mean([(own @ own.T)[~np.eye(size, dtype=bool)].mean() for own in vectors]))

    by_chance = [PairPacker(pairs, 0).sequences(epoch) for epoch in range(num_epochs)]
    assert mean_cosine(epochs) > mean_cosine(by_chance) + 0.05
    misplaced = [sequences[1:] for sequences in epochs]
    assert mean_cosine(epochs) > mean_cosine(misplaced)


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        (['train.method="full"'], RecipeError, "set train.method = 'lora'"),
        (["encoder.max_tokens=512"], RecipeError, "set encoder.max_tokens = 511 or less"),
        (['encoder.pairs=["citations"]'], UserInputError, "give --citations"),
    ],
)
def test_what_cannot_be_trained_is_told_first(
    settings: list[str], error: type[Exception], match: str, corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=match):
        train(encoder_recipe(tiny_model, *settings), corpus, tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def test_an_encoder_is_no_base(corpus: Path, tiny_model: Path, tmp_path: Path) -> None:
    train(encoder_recipe(tiny_model, 'train.budget="600 tokens"'), corpus, tmp_path / "run", resume=False)
    with pytest.raises(ModelError, match="is an encoder"):
        train(encoder_recipe(tmp_path / "run"), corpus, tmp_path / "again", resume=False)


def test_too_few_pairs_are_not_whitened_by(
    few_papers: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ('encoder.pairs=["title"]', "encoder.whitening=0.5", 'train.budget="600 tokens"')
    train(encoder_recipe(tiny_model, *settings), few_papers, tmp_path / "run", resume=False)
    told = "encoder.whitening = 0.5 has no effect: 8 pairs tell too little of 64 dimensions, 128 are needed"
    assert told in capsys.readouterr().err
    loaded = load_model(str(tmp_path / "run"))
    assert loaded.encoder is not None
    assert not loaded.encoder.whitened


def test_a_corpus_without_pairs_is_told(few_papers: Path, tiny_model: Path, tmp_path: Path) -> None:
    recipe = encoder_recipe(tiny_model, "validation.every_steps=1")
    with pytest.raises(RunError, match=r"validation\.parquet has no pairs of texts: choose other encoder\.pairs"):
        train(recipe, few_papers, tmp_path / "run", resume=False)
