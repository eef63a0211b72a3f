"""What a run can do besides training: averages, validation, general text, longer budgets, and stopping in time."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from astrollama.errors import InterruptedRunError, RecipeError, RunError, TrainingError
from astrollama.evaluation.subject import describe_subject
from astrollama.models.load import load_model
from astrollama.training import checkpoint, loop
from astrollama.training.run import train
from tests.conftest import tiny_recipe
from tests.training.conftest import records_of

Losses = Callable[[Path], list[float]]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make the loop get SIGTERM, twice as schedulers do, before this step; returns what undoes it."""
    real, calls = loop.learning_rate, 0

    def interrupting(*arguments):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        if calls == step:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(loop, "learning_rate", interrupting)
    return lambda: monkeypatch.setattr(loop, "learning_rate", real)


def test_general_text_average_and_validation_are_exact_over_an_interruption(
    tokens: Path, general_tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(
        tiny_model,
        "replay.share=0.3",
        "train.ema_decay=0.95",
        "train.schedule=wsd",
        "validation.every_steps=3",
        "validation.num_documents=10",
        "validation.patience=4",
        'train.budget="5_000 tokens"',
    )
    manifest = train(recipe, tokens, tmp_path / "straight", resume=False, replay=general_tokens)
    assert manifest["counts"]["replay_tokens"] == pytest.approx(0.3 * manifest["counts"]["tokens"], abs=64)

    for step in (4, 5):
        undo = interrupted_at(step, monkeypatch)
        with pytest.raises(InterruptedRunError):
            train(recipe, tokens, tmp_path / "stopped", resume=True, replay=general_tokens)
        undo()
    train(recipe, tokens, tmp_path / "stopped", resume=True, replay=general_tokens)

    clocks = {"tokens_per_second", "mfu", "memory_gib", "seconds"}
    straight, stopped = (
        [{key: value for key, value in record.items() if key not in clocks} for record in records_of(tmp_path / name)]
        for name in ("straight", "stopped")
    )
    assert stopped == straight
    assert sum("validation_nll" in record for record in straight) >= 6
    for name, tensor in weights(tmp_path / "straight").items():
        assert torch.equal(weights(tmp_path / "stopped")[name], tensor), name


def test_the_saved_model_is_the_running_average(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ['train.budget="1_500 tokens"', "train.ema_decay=0.5"]
    history = []
    real = loop.State.step

    def recording(state, *arguments):  # type: ignore[no-untyped-def]
        real(state, *arguments)
        history.append({name: p.detach().clone() for name, p in state.parameters.items()})

    monkeypatch.setattr(loop.State, "step", recording)
    train(tiny_recipe(tiny_model, *settings), tokens, tmp_path / "run", resume=False)
    expected = dict(load_model(str(tiny_model)).model.named_parameters())
    for step, now in enumerate(history, start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = {name: decay * expected[name].detach() + (1 - decay) * now[name] for name in now}
    saved = weights(tmp_path / "run")
    assert saved.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(saved[name], tensor, rtol=1e-5, atol=1e-7)


def test_validation_stops_a_run_that_gets_worse_and_keeps_the_best_weights(
    tokens: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = ["train.peak_lr=0.3", "train.warmup_fraction=0.5", 'train.budget="40_000 tokens"']
    settings += ["validation.every_steps=2", "validation.patience=2", "validation.num_documents=8"]
    manifest = train(tiny_recipe(tiny_model, *settings), tokens, tmp_path / "run", resume=False)
    validations = [record for record in records_of(tmp_path / "run") if "validation_nll" in record]
    values = [record["validation_nll"] for record in validations]
    best = min(range(len(values)), key=values.__getitem__)
    assert len(values) == best + 3, "two measurements after the best, and no more"
    assert manifest["counts"]["best_step"] == validations[best]["step"]
    assert manifest["counts"]["tokens"] < 40_000

    assert _validation_nll(tmp_path / "run", tokens) == pytest.approx(values[best], rel=1e-5)


def _validation_nll(run: Path, tokens: Path) -> float:
    """The loss of the saved model on the run's validation documents, computed plainly."""
    import numpy as np

    from astrollama.tokens.packing import Packer
    from astrollama.tokens.shards import TokenShards

    shards = TokenShards.open(tokens, "validation")
    order = np.random.default_rng(0).permutation(len(shards)).tolist()[:8]
    model = load_model(str(run)).model
    nll, count = 0.0, 0
    for piece in (piece for row in Packer(shards, 64, "document", 0).sequences_of(order) for piece in row):
        text = torch.from_numpy(shards.tokens(*piece))[None]
        with torch.no_grad():
            picked = model(text).logits.double().log_softmax(-1)[0, :-1].gather(-1, text[0, 1:, None])
        nll, count = nll - picked.sum().item(), count + len(picked)
    return nll / count


def test_an_unfinished_run_goes_on_with_a_longer_budget(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: Losses
) -> None:
    undo = interrupted_at(3, monkeypatch)
    with pytest.raises(InterruptedRunError):
        train(tiny_recipe(tiny_model, 'train.budget="2_000 tokens"'), tokens, tmp_path / "run", resume=False)
    undo()
    before = losses(tmp_path / "run")
    longer = tiny_recipe(tiny_model, 'train.budget="3_000 tokens"')
    with pytest.raises(RunError, match=r'train\.budget is "2_000 tokens", now "3_000 tokens"'):
        train(longer, tokens, tmp_path / "run", resume=False)
    manifest = train(longer, tokens, tmp_path / "run", resume=True)
    assert manifest["counts"]["tokens"] >= 3_000
    assert losses(tmp_path / "run")[: len(before)] == before
    with pytest.raises(
        RunError,
        match=r"train\.budget = '3_000 tokens', which cannot become '2_000 tokens': a budget may only become longer",
    ):
        train(tiny_recipe(tiny_model, 'train.budget="2_000 tokens"'), tokens, tmp_path / "run", resume=True)


def test_a_complete_run_that_kept_its_checkpoint_goes_on(
    tokens: Path, tiny_model: Path, tmp_path: Path, losses: Losses
) -> None:
    # a constant rate does not know where it ends, so that two parts are one run
    flat = ["train.warmup_fraction=0", "train.min_lr_ratio=1"]
    short, longer = (tiny_recipe(tiny_model, *flat, f'train.budget="{n} tokens"') for n in ("1_000", "2_000"))
    kept = short.model_copy(update={"train": short.train.model_copy(update={"keep_checkpoint": True})})
    train(kept, tokens, tmp_path / "run", resume=False)
    assert len(checkpoint.checkpoints(tmp_path / "run")) == 1
    train(longer, tokens, tmp_path / "run", resume=True)
    assert not (tmp_path / "run" / "checkpoints").exists()
    train(longer, tokens, tmp_path / "whole", resume=False)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "run")[name], tensor), name


def test_a_complete_run_without_a_checkpoint_cannot_go_on(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"'), tokens, tmp_path / "run", resume=False)
    with pytest.raises(
        RunError, match=r"complete after 600 tokens and has no checkpoint to go on from: .* train\.keep_checkpoint"
    ):
        train(tiny_recipe(tiny_model, 'train.budget="900 tokens"'), tokens, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "manifest.json").is_file()


def test_the_state_before_a_step_that_is_not_finite_is_kept(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: Losses
) -> None:
    recipe = tiny_recipe(tiny_model, 'train.budget="2_000 tokens"')
    train(recipe, tokens, tmp_path / "straight", resume=False)
    real, calls = loop.clip_gradients, 0

    def exploding(*arguments):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        return float("inf") if calls == 4 else real(*arguments)

    monkeypatch.setattr(loop, "clip_gradients", exploding)
    with pytest.raises(TrainingError, match=r"gradient norm inf at step 4 \(documents sample:\d+"):
        train(recipe, tokens, tmp_path / "run", resume=False)
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path / "run")] == ["step-00000003"]
    train(recipe, tokens, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")


# torch's compiler looks at gradients of what is no leaf where attention interrupts it
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("setting", ["train.activation_checkpointing=true", "train.compile=true"])
def test_what_saves_memory_or_time_changes_nothing(
    tokens: Path, tiny_model: Path, tmp_path: Path, losses: Losses, setting: str
) -> None:
    settings = ['train.budget="1_000 tokens"', "train.method=lora", "lora.dropout=0.2", "train.peak_lr=0.01"]
    if setting.startswith("train.compile"):
        settings[2] = "lora.dropout=0"  # compiled dropout draws other numbers
    train(tiny_recipe(tiny_model, *settings), tokens, tmp_path / "plain", resume=False)
    train(tiny_recipe(tiny_model, *settings, setting), tokens, tmp_path / "other", resume=False)
    assert losses(tmp_path / "other") == pytest.approx(losses(tmp_path / "plain"), abs=2e-6)


def test_replay_without_its_tokens_is_refused(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"replay\.share = 0\.1 needs general text: give its tokens with --replay"):
        train(tiny_recipe(tiny_model, "replay.share=0.1"), tokens, tmp_path / "run", resume=False)


def test_validation_without_its_documents_is_refused(sample_corpus: Path, tiny_model: Path, tmp_path: Path) -> None:
    from astrollama.corpus.build import import_corpus
    from astrollama.models.load import load_tokenizer
    from astrollama.sections import CorpusSection
    from astrollama.sources.files import FileSource
    from astrollama.sources.sample import SAMPLE
    from astrollama.tokens.shards import pack_corpus

    import_corpus(FileSource([SAMPLE]), CorpusSection(validation_fraction=0.0), tmp_path / "corpus")
    pack_corpus(tmp_path / "corpus", load_tokenizer(tiny_model), "tiny", tmp_path / "tokens")
    recipe = tiny_recipe(tiny_model, "validation.every_steps=2")
    with pytest.raises(RunError, match="holds no validation documents"):
        train(recipe, tmp_path / "tokens", tmp_path / "run", resume=False)


def test_a_step_record_says_what_is_to_be_seen(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"'), tokens, tmp_path / "run", resume=False)
    for record in records_of(tmp_path / "run"):
        assert 0 < record["mfu"] < 1
        assert record["memory_gib"] > 0.05
        assert record["tokens_per_second"] > 0
        assert record["grad_norm"] > 0
        assert record["num_replay_tokens"] == 0


def test_a_longer_budget_leaves_a_complete_run_alone_whose_checkpoint_is_damaged(
    tokens: Path, tiny_model: Path, tmp_path: Path
) -> None:
    kept = ["train.keep_checkpoint=true"]
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"', *kept), tokens, tmp_path / "run", resume=False)
    (folder,) = checkpoint.checkpoints(tmp_path / "run")
    (folder / "state.json").write_text((folder / "state.json").read_text().replace('"step": ', '"step": 1'))
    with pytest.raises(RunError, match="has no checkpoint to go on from"):
        train(tiny_recipe(tiny_model, 'train.budget="900 tokens"'), tokens, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "manifest.json").is_file()
    # the same command without the wish to keep it takes nothing away either
    train(tiny_recipe(tiny_model, 'train.budget="600 tokens"'), tokens, tmp_path / "run", resume=False)
    assert folder.is_dir()


def test_a_full_disk_in_a_checkpoint_is_told_in_one_line(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(tiny_recipe(tiny_model).to_toml())
    command = f"{sys.executable} -m astrollama.cli train {tmp_path}/recipe.toml --tokens {tokens} --out {tmp_path}/run"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 400; exec {command}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"error: the disk that holds {tmp_path / 'run'}" in done.stderr.splitlines()[-1]


def test_a_validation_loss_without_an_exponential_is_no_end(
    tokens: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.Validation, "measure", lambda *_: 2_000.0)
    recipe = tiny_recipe(tiny_model, "validation.every_steps=4", 'train.budget="600 tokens"')
    train(recipe, tokens, tmp_path / "run", resume=False)
    (record,) = [record for record in records_of(tmp_path / "run") if "validation_nll" in record]
    assert record == {"step": 3, "validation_nll": 2000.0, "validation_perplexity": None}


def test_replayed_documents_are_recorded_as_trained_on(
    tokens: Path, general_tokens: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    recipe = tiny_recipe(tiny_model, "replay.share=0.2", 'train.budget="600 tokens"')
    train(recipe, tokens, tmp_path / "run", resume=False, replay=general_tokens)
    recorded, corpus, general = (
        pq.read_table(path / "documents.parquet", columns=["id", "content_hash"]).to_pylist()
        for path in (tmp_path / "run", tokens, general_tokens)
    )
    both = corpus + general
    assert recorded == [own for number, own in enumerate(both) if own not in both[:number]], "each once, in their order"


def test_what_the_base_was_trained_on_is_recorded_too(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    earlier = shutil.copytree(tiny_model, tmp_path / "earlier")
    pq.write_table(pa.table({"id": ["2301.00001"], "content_hash": ["a"]}), earlier / "documents.parquet")
    train(tiny_recipe(earlier, 'train.budget="600 tokens"'), tokens, tmp_path / "run", resume=False)
    assert describe_subject(str(tmp_path / "run")).trained_papers() > {"2301.00001"}
