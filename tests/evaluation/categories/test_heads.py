"""Heads that are trained on a real tiny LLaMA, kept, and used again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import ModelError, UserInputError
from astrollama.evaluation.categories.classify import classify, find_head
from astrollama.evaluation.categories.heads import Head, load_head, save_head
from astrollama.evaluation.categories.labels import find_labels, label_documents
from astrollama.evaluation.categories.logistic import Linear, fused
from astrollama.evaluation.categories.lora_head import START_STRENGTH, LoraHead, train_head
from astrollama.evaluation.categories.outcome import FINE_TUNED, FULL, PROBED
from astrollama.evaluation.categories.probe import Probe, fit_probe
from astrollama.evaluation.categories.trained import Words, train_heads
from astrollama.evaluation.categories.words import learn_words
from astrollama.evaluation.systems import System
from astrollama.files import TEMPORARY_PREFIX
from astrollama.models.adapters import make_trainable
from astrollama.models.folder import BaseRecord
from astrollama.models.load import LoadedModel, load_model
from astrollama.models.registry import find_model
from astrollama.sections import EvaluateSection, LoraSection
from tests.evaluation.labelled import separable

SETTINGS = EvaluateSection(head_epochs=2, head_length=16)
MEASURED = {"macro_f1": 0.5, "macro_f1_ci95": [0.4, 0.6], "num_test": 9}
LABELS = find_labels(separable(3, 0))
TRAIN, TEST = (label_documents(separable(number, seed), LABELS, number) for number, seed in ((48, 0), (30, 1)))
TEXTS = TEST.texts[:5]
SHARE = 0.3
WORDS = learn_words(TRAIN.texts, TRAIN.targets_N, len(LABELS), pairs=True)


@pytest.fixture
def loaded(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model))


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> str:
    """An adapter that changes what the tiny model says."""
    torch.manual_seed(0)
    trainable = make_trainable(load_model(str(tiny_model)), "lora", LoraSection(rank=4, alpha=8.0))
    weights = {name: own + 0.05 * torch.randn_like(own) for name, own in trainable.parameters().items()}
    trainable.save(tmp_path / "adapter", weights)
    return str(tmp_path / "adapter")


def probe_of(loaded: LoadedModel) -> Probe:
    vectors_ND = HFLanguageModel(loaded).embed(TRAIN.texts)
    return fit_probe(vectors_ND, TRAIN.targets_N, len(LABELS), [START_STRENGTH])[0]


def trained(loaded: LoadedModel, settings: EvaluateSection = SETTINGS) -> LoraHead:
    return train_head(loaded, TRAIN.texts, TRAIN.targets_N, probe_of(loaded), settings)


def kept(
    folder: Path, loaded: LoadedModel, classifier: Probe | LoraHead, *, words: bool = False, **measured: Any
) -> Path:
    base = BaseRecord(loaded.name, loaded.digest, None)
    head = Head(LABELS, base, classifier, MEASURED | measured, {"num_train": 48}, WORDS if words else None, SHARE)
    save_head(folder, head)
    return folder


def state_of(loaded: LoadedModel) -> dict[str, Any]:
    """Every weight's name, bytes and whether it is trainable, and every layer's kind."""
    weights = {
        name: (hashlib.sha256(own.detach().numpy().tobytes()).hexdigest(), own.requires_grad)
        for name, own in loaded.model.named_parameters()
    }
    kinds = {name: type(module).__name__ for name, module in loaded.model.named_modules()}
    return {"weights": weights, "kinds": kinds, "adapters": sorted(getattr(loaded.model, "peft_config", {}))}


def test_a_head_learns_what_can_be_told_apart(loaded: LoadedModel) -> None:
    probe = probe_of(loaded)
    blank = replace(probe, linear=Linear(0 * probe.linear.weights_CD, 0 * probe.linear.bias_C))
    settings = SETTINGS.model_copy(update={"head_epochs": 12})
    head = train_head(loaded, TRAIN.texts, TRAIN.targets_N, blank, settings)
    assert np.mean(head.logits(loaded, TEST.texts).argmax(-1) == TEST.targets_N) > 0.9


def test_training_moves_the_low_rank_layers_and_the_linear_one(loaded: LoadedModel) -> None:
    before, head = probe_of(loaded), trained(loaded)
    assert all(bool(own.any()) for name, own in head.adapter.items() if "lora_B" in name)
    assert len(head.adapter) == 2 * 2 * 7
    assert np.abs(head.probe.linear.weights_CD - before.linear.weights_CD).max() > 1e-4


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_a_head_may_change_embeddings(kind: str, tiny_model: Path, adapter: str, tmp_path: Path) -> None:
    loaded = load_model(str(tiny_model) if kind == "model" else adapter)
    before = state_of(loaded)
    settings = SETTINGS.model_copy(update={"head_embeddings": True, "head_rank": 3, "head_lr": 1e-2})
    head = trained(loaded, settings)
    assert state_of(loaded) == before
    update = head.adapter["base_model.model.model.embed_tokens.lora_embedding_A"]
    assert update.shape == (3, loaded.model.config.vocab_size)
    assert bool(update.any())
    again = load_head(kept(tmp_path / "lora", loaded, head)).classifier
    assert isinstance(again, LoraHead)
    assert again.logits(loaded, TEXTS) == pytest.approx(head.logits(loaded, TEXTS), rel=1e-5)
    without = replace(head, adapter=head.adapter | {"base_model.model.model.embed_tokens.lora_embedding_A": 0 * update})
    assert np.abs(without.logits(loaded, TEXTS) - head.logits(loaded, TEXTS)).max() > 1e-4


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_the_model_is_afterwards_as_it_was(kind: str, tiny_model: Path, adapter: str) -> None:
    loaded = load_model(str(tiny_model) if kind == "model" else adapter)
    before, vectors_ND = state_of(loaded), HFLanguageModel(loaded).embed(TEXTS)
    head = trained(loaded)
    assert state_of(loaded) == before
    head.logits(loaded, TEXTS)
    assert state_of(loaded) == before
    assert (HFLanguageModel(loaded).embed(TEXTS) == vectors_ND).all()


def test_the_model_is_as_it_was_when_training_is_interrupted(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    before = state_of(loaded)
    monkeypatch.setattr(torch.optim.AdamW, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained(loaded)
    assert state_of(loaded) == before


def test_the_same_seed_gives_the_same_head_whatever_was_drawn_before(loaded: LoadedModel) -> None:
    first = trained(loaded)
    torch.rand(7)
    state = torch.random.get_rng_state()
    second = trained(loaded)
    assert (torch.random.get_rng_state() == state).all(), "torch's own generator is left alone"
    assert all(torch.equal(own, second.adapter[name]) for name, own in first.adapter.items())
    other = trained(loaded, EvaluateSection(head_epochs=2, head_length=16, seed=1))
    assert not all(torch.equal(own, other.adapter[name]) for name, own in first.adapter.items())


def test_a_head_on_an_adapter_reads_the_adapted_model(tiny_model: Path, adapter: str) -> None:
    base, adapted = load_model(str(tiny_model)), load_model(adapter)
    head = trained(adapted)
    assert np.abs(head.logits(adapted, TEXTS) - head.logits(base, TEXTS)).max() > 0.01


def test_a_text_longer_than_the_head_reads_counts_by_its_first_tokens(loaded: LoadedModel) -> None:
    head = trained(loaded)
    long = TEXTS[0] + " " + TRAIN.texts[1]
    longer = long + " " + TRAIN.texts[2]
    assert (head.logits(loaded, [long]) == head.logits(loaded, [longer])).all()


@pytest.mark.parametrize("kind", ["model", "adapter"])
@pytest.mark.parametrize("of", ["probe", "lora"])
@pytest.mark.parametrize("words", [False, True])
def test_a_kept_head_says_the_same(
    words: bool, of: str, kind: str, tiny_model: Path, adapter: str, tmp_path: Path
) -> None:
    loaded = load_model(str(tiny_model) if kind == "model" else adapter)
    classifier = probe_of(loaded) if of == "probe" else trained(loaded)
    before = (
        classifier.logits(HFLanguageModel(loaded).embed(TEXTS))
        if isinstance(classifier, Probe)
        else classifier.logits(loaded, TEXTS)
    )
    if words:
        before = fused(before, WORDS.logits(TEXTS), SHARE)
    head = load_head(kept(tmp_path / "heads" / of, loaded, classifier, words=words))
    assert (head.labels, head.measured, head.training) == (LABELS, MEASURED, {"num_train": 48})
    found = classify(head, TEXTS, 3)
    exp_NC = np.exp(before - before.max(axis=-1, keepdims=True))
    for suggestions, row_C in zip(found, exp_NC / exp_NC.sum(axis=-1, keepdims=True), strict=True):
        assert [own.category for own in suggestions] == [LABELS[index] for index in np.argsort(-row_C)]
        assert [own.probability for own in suggestions] == pytest.approx(
            sorted(row_C, reverse=True), rel=1e-3 if words else 1e-5
        )


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_the_heads_of_an_encoder_are_kept_and_used(pooling: str, adapter: str, tmp_path: Path) -> None:
    record = {"pooling": pooling, "attention": "bidirectional", "num_layers": 1, "final_norm": False}
    (Path(adapter) / "encoder.json").write_text(json.dumps(record))
    weights = load_file(Path(adapter) / "adapter_model.safetensors")
    save_file(
        {name: own for name, own in weights.items() if ".layers.0." in name},
        Path(adapter) / "adapter_model.safetensors",
    )
    encoder = HFLanguageModel(load_model(adapter))
    system = System(
        "other", "an encoder", adapter, "other", frozenset({"embed"}), "", tmp_path / "own", opener=lambda: encoder
    )
    outcome = train_heads(system, TRAIN, TEST, LABELS, Words(WORDS, 48, WORDS), SETTINGS)
    for method, name in ((PROBED, "probe"), (FINE_TUNED, "lora"), (FULL, "words")):
        found = classify(load_head(tmp_path / "own" / "heads" / name), TEXTS, 1)
        assert [own.category for (own,) in found] == [LABELS[i] for i in outcome.predictions[method].predicted_N[:5]]


def test_the_low_rank_layers_lie_in_pefts_layout_with_their_base(loaded: LoadedModel, tmp_path: Path) -> None:
    head = trained(loaded)
    folder = kept(tmp_path / "heads" / "lora", loaded, head)
    assert find_model(str(folder / "adapter")).kind == "adapter"
    stacked = load_model(str(folder / "adapter"))
    assert stacked.base_digest == loaded.digest
    mean_ND = HFLanguageModel(stacked).embed([" ".join(text.split()[:4]) for text in TEXTS])
    short = head.logits(loaded, [" ".join(text.split()[:4]) for text in TEXTS])
    assert head.probe.logits(mean_ND) == pytest.approx(short, abs=1e-3)


def test_another_model_is_refused(loaded: LoadedModel, other_tiny_model: Path, tmp_path: Path) -> None:
    head = load_head(kept(tmp_path / "probe", loaded, probe_of(loaded)))
    with pytest.raises(
        ModelError, match=r"the head was trained on .*, not on .*: give the model that it was trained on"
    ):
        classify(head, TEXTS, 1, model=str(other_tiny_model))


def test_a_model_that_has_gone_is_asked_for(loaded: LoadedModel, tmp_path: Path) -> None:
    gone = LoadedModel(str(tmp_path / "gone"), loaded.model, loaded.tokenizer, loaded.digest)
    head = load_head(kept(tmp_path / "probe", gone, probe_of(loaded)))
    with pytest.raises(
        ModelError, match=r"cannot be loaded \(there is no model .*\): say with --model where it is now"
    ):
        classify(head, TEXTS, 1)
    assert len(classify(head, TEXTS, 1, model=loaded.name)) == len(TEXTS)


@pytest.mark.parametrize(
    "name",
    ["head.safetensors", "adapter/adapter_model.safetensors", "adapter/base.json", "words.safetensors", "words.txt"],
)
def test_a_damaged_or_missing_file_is_one_line(name: str, loaded: LoadedModel, tmp_path: Path) -> None:
    folder = kept(tmp_path / "lora", loaded, trained(loaded), words=True)
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"is missing or damaged: make it again: astrollama evaluate"):
        load_head(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match="is missing or damaged"):
        load_head(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "holds no head that can be read"),
        ({"version": 2}, "holds a head of version 2, not 1"),
        ({"labels": ...}, "lacks 'labels'"),
    ],
)
def test_a_damaged_record_is_one_line(
    change: dict[str, Any] | None, message: str, loaded: LoadedModel, tmp_path: Path
) -> None:
    path = kept(tmp_path / "probe", loaded, probe_of(loaded)) / "head.json"
    record = json.loads(path.read_text()) | (change or {})
    text = json.dumps({name: value for name, value in record.items() if value is not ...})
    path.write_text(text if change else text[:-9])
    with pytest.raises(ModelError, match=message):
        load_head(path.parent)


def test_the_best_head_of_an_evaluation_is_found(loaded: LoadedModel, tmp_path: Path) -> None:
    probe = probe_of(loaded)
    runs = tmp_path / "runs"
    worse = kept(runs / "one" / "measurements" / "base" / "heads" / "probe", loaded, probe)
    better = kept(
        runs / "two" / "measurements" / "adapted" / "heads" / "probe", loaded, probe, macro_f1_ci95=[0.5, 0.7]
    )
    assert find_head(runs / "one") == worse == find_head(worse)
    assert find_head(runs) == better
    with pytest.raises(
        UserInputError,
        match=r"there is no folder .*nothing: give a head's or an evaluation's, or make one: astrollama ev",
    ):
        find_head(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserInputError, match=r"empty holds no trained head: give another folder, or make one: astro"):
        find_head(tmp_path / "empty")


def test_few_test_documents_make_no_head_the_best(loaded: LoadedModel, tmp_path: Path) -> None:
    probe = probe_of(loaded)
    kept(tmp_path / "single/heads/probe", loaded, probe, macro_f1=1.0, macro_f1_ci95=None)
    kept(tmp_path / "quick/heads/probe", loaded, probe, macro_f1=0.9, macro_f1_ci95=[0.4, 1.0])
    whole = kept(tmp_path / "whole/heads/probe", loaded, probe, macro_f1=0.7, macro_f1_ci95=[0.65, 0.75])
    assert find_head(tmp_path) == whole


def test_a_head_without_an_interval_is_found_where_there_is_no_other(loaded: LoadedModel, tmp_path: Path) -> None:
    probe = probe_of(loaded)
    worse, better = (
        kept(tmp_path / name / "heads/probe", loaded, probe, macro_f1=macro_f1, macro_f1_ci95=None)
        for name, macro_f1 in (("a", 0.5), ("b", 0.6))
    )
    assert find_head(tmp_path) == better
    assert find_head(tmp_path / "a") == worse


def test_what_a_crash_left_is_no_head(loaded: LoadedModel, tmp_path: Path) -> None:
    probe = probe_of(loaded)
    kept(tmp_path / "one/heads" / f"{TEMPORARY_PREFIX}probe", loaded, probe, macro_f1_ci95=[0.8, 0.9])
    with pytest.raises(UserInputError, match="holds no trained head"):
        find_head(tmp_path)
    whole = kept(tmp_path / "one/heads/probe", loaded, probe)
    assert find_head(tmp_path) == whole


def test_texts_are_repaired_and_empty_ones_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    head = load_head(kept(tmp_path / "probe", loaded, probe_of(loaded)))
    with pytest.raises(UserInputError, match="text 2 of 3 is empty"):
        classify(head, ["solar wind", " \u200b\n ", "dust"], 1)
    broken, whole = classify(head, ["solar wind \ud800&amp; dust\u200b", "solar wind ?& dust"], 2)
    assert broken == whole
    assert len(broken) == 2
