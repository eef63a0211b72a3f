"""The loop on a tiny real LLaMA: learning, exactness over interruptions, refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from astrollama.errors import AstroLlamaError, InterruptedRunError, ModelError, RecipeError, RunError, TrainingError
from astrollama.models import adapters
from astrollama.models.load import load_model, load_tokenizer
from astrollama.recipe import load_recipe
from astrollama.runs import StageDirectory
from astrollama.tokens.shards import pack_corpus
from astrollama.training import checkpoint, loop, objective
from astrollama.training.run import train
from tests.conftest import tiny_recipe


def losses(run: Path) -> list[float]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "loss" in record]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_training_lowers_the_loss_and_the_saved_model_is_the_trained_one(
    tokens: Path, tiny_model: Path, tmp_path: Path, method: str
) -> None:
    settings = [f"train.method={method}", 'train.budget="8_000 tokens"', "train.peak_lr=1e-2", "lora.rank=8"]
    manifest = train(tiny_recipe(tiny_model, *settings), tokens, tmp_path / "run", resume=False)
    history = losses(tmp_path / "run")
    assert history[-1] < history[0] - 0.05
    assert manifest["counts"]["tokens"] >= 8_000
    loaded = load_model(str(tmp_path / "run"))
    assert (loaded.base_digest is not None) == (method == "lora")
    assert manifest["base"]["digest"] == load_model(str(tiny_model)).digest
    assert not (tmp_path / "run" / "checkpoints").exists()
    # the recipe beside the run is complete: it loads and says the same
    assert load_recipe(str(tmp_path / "run" / "recipe.toml")).model_dump(mode="json") == manifest["recipe"]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_interrupted_twice_ends_with_the_same_losses_and_weights(
    tokens: Path, tiny_model: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tiny_model, f"train.method={method}", "lora.dropout=0.1", 'train.budget="4_000 tokens"')
    train(recipe, tokens, tmp_path / "straight", resume=False)

    real = objective.accumulate_gradients
    calls = 0

    def interrupting(*arguments):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        if calls in (3, 8):
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(objective, "accumulate_gradients", interrupting)
    for _ in range(2):
        with pytest.raises(
            InterruptedRunError, match=r"stopped; .* has a checkpoint: give the same command with --resume to go on"
        ):
            train(recipe, tokens, tmp_path / "stopped", resume=True)
    train(recipe, tokens, tmp_path / "stopped", resume=True)

    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")
    for file in sorted((tmp_path / "straight" / "model").glob("*.safetensors")):
        assert (tmp_path / "stopped" / "model" / file.name).read_bytes() == file.read_bytes()


def test_a_killed_process_goes_on_from_its_checkpoint_to_the_same_weights(
    tokens: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = ['train.budget="6_000 tokens"', "train.checkpoint_minutes=0.0001"]
    recipe = tiny_recipe(tiny_model, *settings)
    train(recipe, tokens, tmp_path / "straight", resume=False)

    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    command = [sys.executable, "-m", "astrollama.cli", "train", str(tmp_path / "recipe.toml")]
    command += ["--tokens", str(tokens), "--out", str(tmp_path / "killed"), "--resume"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) >= 5):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()

    train(recipe, tokens, tmp_path / "killed", resume=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    weights = "model/model.safetensors"
    assert (tmp_path / "killed" / weights).read_bytes() == (tmp_path / "straight" / weights).read_bytes()


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe(tiny_model, 'train.budget="3_000 tokens"', "train.checkpoint_minutes=0.00001")
    train(recipe, tokens, tmp_path / "straight", resume=False)

    def fail(*_: object) -> None:
        raise OSError("the machine stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(adapters._Full, "save", fail)
        with pytest.raises(OSError, match="stopped here"):
            train(recipe, tokens, tmp_path / "run", resume=False)
    newest = checkpoint.checkpoints(tmp_path / "run")[-1]
    (file,) = newest.glob("*.safetensors")
    tensors = bytearray(file.read_bytes())
    tensors[-1] ^= 1
    file.write_bytes(tensors)

    train(recipe, tokens, tmp_path / "run", resume=True)
    assert f"{newest} is damaged ({file.name}); taking the checkpoint before it" in capsys.readouterr().err
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")


def test_gradient_accumulation_gives_the_losses_of_one_large_batch(
    tokens: Path, tiny_model: Path, tmp_path: Path
) -> None:
    for name, size in (("eight", 8), ("one", 1)):
        settings = [f"train.micro_batch_size={size}", "train.global_batch_tokens=512", 'train.budget="3_000 tokens"']
        train(tiny_recipe(tiny_model, *settings), tokens, tmp_path / name, resume=False)
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "eight"), abs=2e-5)


def test_the_loss_is_that_of_documents_alone(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The first step's loss, packed in rows, equals the sum over its documents one by one, over their tokens."""
    from astrollama.tokens.packing import Packer
    from astrollama.tokens.shards import TokenShards

    recipe = tiny_recipe(tiny_model, "pack.sequence_length=512", "train.global_batch_tokens=2048")
    train(recipe, tokens, tmp_path / "run", resume=False)
    model = load_model(str(tiny_model)).model
    shards = TokenShards.open(tokens)
    rows = Packer(shards, 512, "document", recipe.train.seed).sequences(0)[:4]
    nll, count = 0.0, 0
    for piece in (piece for row in rows for piece in row):
        text = torch.from_numpy(shards.tokens(*piece))[None]
        with torch.no_grad():
            picked = model(text).logits.double().log_softmax(-1)[0, :-1].gather(-1, text[0, 1:, None])
        nll -= picked.sum().item()
        count += len(picked)
    assert losses(tmp_path / "run")[0] == pytest.approx(nll / count, rel=1e-5)


def test_the_packed_loss_is_the_reference_implementations(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The first step's loss on cut streams equals transformers' own loss on the same rows."""
    from astrollama.tokens.packing import Packer
    from astrollama.tokens.shards import TokenShards

    settings = ["pack.attention=packed", "pack.sequence_length=128", "train.global_batch_tokens=512"]
    recipe = tiny_recipe(tiny_model, *settings)
    train(recipe, tokens, tmp_path / "run", resume=False)
    model = load_model(str(tiny_model)).model
    shards = TokenShards.open(tokens)
    rows = Packer(shards, 128, "packed", recipe.train.seed).sequences(0)[:4]
    rows_BT = torch.stack([torch.cat([torch.from_numpy(shards.tokens(*piece)) for piece in row]) for row in rows])
    with torch.no_grad():
        expected = model(rows_BT, labels=rows_BT).loss.item()
    assert losses(tmp_path / "run")[0] == pytest.approx(expected, rel=1e-5)


def test_a_complete_run_is_not_trained_again(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny_model, 'train.budget="600 tokens"')
    first = train(recipe, tokens, tmp_path / "run", resume=False)
    before = (tmp_path / "run" / "manifest.json").stat().st_mtime_ns
    assert train(recipe, tokens, tmp_path / "run", resume=False) == first
    assert (tmp_path / "run" / "manifest.json").stat().st_mtime_ns == before


def test_another_recipe_in_the_same_directory_is_refused_with_the_difference(
    tokens: Path, tiny_model: Path, tmp_path: Path
) -> None:
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"'), tokens, tmp_path / "run", resume=False)
    other = tiny_recipe(tiny_model, 'train.budget="600 tokens"', "train.seed=9")
    with pytest.raises(RunError, match=r"holds another run \(train\.seed is 0, now 9\)"):
        train(other, tokens, tmp_path / "run", resume=True)


def test_an_unfinished_run_wants_resume(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tiny_model)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda *_: signal.raise_signal(signal.SIGTERM) or 1e-4)
        with pytest.raises(InterruptedRunError):
            train(recipe, tokens, tmp_path / "run", resume=False)
    with pytest.raises(RunError, match="holds an unfinished run: add --resume"):
        train(recipe, tokens, tmp_path / "run", resume=False)


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_documents(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = objective.accumulate_gradients
    monkeypatch.setattr(objective, "accumulate_gradients", lambda *a: (float("nan"), real(*a)[1]))
    with pytest.raises(TrainingError, match=r"loss nan .* at step 1 \(documents sample:\d+"):
        train(tiny_recipe(tiny_model), tokens, tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def test_tokens_of_another_tokenizer_are_refused(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path, sample_texts: list[str]
) -> None:
    from tests.conftest import make_tiny_model

    other = make_tiny_model(tmp_path / "other", sample_texts[:50], seed=0)
    pack_corpus(sample_corpus, load_tokenizer(other), "other", tmp_path / "tokens")
    with pytest.raises(RunError, match=r"packed with the tokenizer of other, .* pack the corpus again"):
        train(tiny_recipe(tiny_model), tmp_path / "tokens", tmp_path / "run", resume=False)


def test_too_little_space_is_told_before_the_start(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(AstroLlamaError, match=r"0\.0 GB free, checkpoints and model need"):
        train(tiny_recipe(tiny_model), tokens, tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def test_bfloat16_trains_too(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    settings = ["train.precision=bfloat16", 'train.budget="4_000 tokens"']
    train(tiny_recipe(tiny_model, *settings), tokens, tmp_path / "run", resume=False)
    history = losses(tmp_path / "run")
    assert history[-1] < history[0]
    assert load_model(str(tmp_path / "run")).model.dtype == torch.float32


def test_ctrl_c_while_the_model_is_completed_loses_nothing(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tiny_model, 'train.budget="600 tokens"')
    with monkeypatch.context() as patch:
        patch.setattr(StageDirectory, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(InterruptedRunError, match="has a checkpoint"):
            train(recipe, tokens, tmp_path / "run", resume=False)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    before = losses(tmp_path / "run")
    train(recipe, tokens, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == before, "no step is done twice"


def test_an_adapter_is_no_base_to_train_from(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    train(
        tiny_recipe(tiny_model, "train.method=lora", 'train.budget="600 tokens"'),
        tokens,
        tmp_path / "lora",
        resume=False,
    )
    with pytest.raises(ModelError, match="is an adapter: train from a whole model"):
        train(tiny_recipe(tmp_path / "lora"), tokens, tmp_path / "run", resume=False)


def test_a_sequence_longer_than_the_context_is_refused(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny_model, "pack.sequence_length=1024", "train.global_batch_tokens=2048")
    with pytest.raises(RecipeError, match=r"pack.sequence_length = 1024 is longer than the context of .*, 512"):
        train(recipe, tokens, tmp_path / "run", resume=False)


def test_a_setting_without_effect_is_a_warning_and_no_other_run(
    tokens: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"'), tokens, tmp_path / "run", resume=False)
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"', "lora.rank=3"), tokens, tmp_path / "run", resume=False)
    error = capsys.readouterr().err
    assert "warning: lora.rank has no effect with train.method = 'full'" in error
    assert "already complete" in error
