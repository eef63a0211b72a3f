"""Plans beside what a run of the same recipe and tokens then does."""

from __future__ import annotations

from pathlib import Path

import pytest

from astrollama.errors import RecipeError, RunError, UserInputError
from astrollama.models.load import load_tokenizer
from astrollama.recipe import load_recipe
from astrollama.tokens.shards import pack_corpus
from astrollama.training.plan import Data, Machines, assume_data, describe_plan, make_plan, plan_run, read_data
from tests.conftest import tiny_recipe

PAPERS_TOKENS = 77_000_000
FOUR_A100 = Machines("a100-40gb", num_devices=4, price_per_hour=2.0)


@pytest.fixture(scope="module")
def tokens(sample_corpus: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "tokens"
    pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", out)
    return out


@pytest.mark.parametrize("attention", ["document", "packed"])
@pytest.mark.parametrize("budget", ["0.2 epochs", "2_000 tokens"])
def test_a_plan_tells_what_the_run_then_does(
    tokens: Path, tiny_model: Path, tmp_path: Path, attention: str, budget: str
) -> None:
    from astrollama.training.run import train

    recipe = tiny_recipe(tiny_model, f"pack.attention={attention}", f"train.budget={budget}")
    plan = make_plan(recipe, tokens, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    counts = train(recipe, tokens, tmp_path / "run", resume=False)["counts"]
    assert plan["state"] == "new"
    assert plan["num_steps"] == pytest.approx(counts["steps"], abs=1)
    assert plan["num_tokens"] == pytest.approx(counts["tokens"], rel=0.05)
    assert (plan["parameters"], plan["parameters_trained"]) == (counts["parameters"], counts["parameters_trained"])
    again = make_plan(recipe, tokens, tmp_path / "run")
    assert again["state"] == "complete"
    assert f"{tmp_path / 'run'}: this run, complete" in describe_plan(again)


def test_tokens_are_counted_as_packed(tokens: Path, tiny_model: Path) -> None:
    recipe = tiny_recipe(tiny_model)
    data = read_data(recipe, tokens)
    assert not data.assumed
    assert 0.9 < data.fill <= 1.0
    # longer sequences show a token more of its document, packed ones about half a sequence
    longer = read_data(tiny_recipe(tiny_model, "pack.sequence_length=256", "train.micro_batch_size=1"), tokens)
    assert longer.context > data.context
    assert read_data(tiny_recipe(tiny_model, "pack.attention=packed"), tokens).context == 32.5


def test_the_papers_run_without_weights_or_tokens() -> None:
    recipe = load_recipe("llama2-7b-paper")
    plan = plan_run(recipe, assume_data(recipe, PAPERS_TOKENS), FOUR_A100)
    assert plan["parameters"] == 6_738_415_616
    assert plan["parameters_trained"] == 39_976_960
    assert plan["num_tokens"] == pytest.approx(230e6, rel=0.002)
    assert plan["num_steps"] == pytest.approx(230e6 / 16384, rel=0.002)
    assert plan["fits"]
    assert plan["flops"] == pytest.approx(
        plan["num_tokens"] * (plan["flops_a_token"] + plan["flops_a_token_recomputed"])
    )
    expected_seconds = plan["flops"] / (4 * 312e12 * 0.4)
    assert plan["seconds"] == pytest.approx(expected_seconds)
    assert plan["cost"] == pytest.approx(8 * expected_seconds / 3600)
    text = describe_plan(plan)
    for expected in (
        "6,738,415,616 parameters",
        "39,976,960 parameters trained",
        "312 TFLOP/s in bfloat16 (datasheet)",
    ):
        assert expected in text
    assert "output" not in text


def test_what_does_not_fit_is_told() -> None:
    recipe = load_recipe("llama2-7b-full")
    plan = plan_run(recipe, assume_data(recipe, PAPERS_TOKENS), Machines("a100-40gb"))
    assert not plan["fits"]
    assert "DOES NOT FIT: try train.activation_checkpointing" in describe_plan(plan)
    sharded = plan_run(recipe, assume_data(recipe, PAPERS_TOKENS), Machines("a100-40gb", num_devices=8))
    assert sharded["fits"]
    assert sharded["seconds"] == pytest.approx(plan["seconds"] / 8)


def test_a_budget_in_minutes_takes_that_long() -> None:
    recipe = load_recipe("smollm2-135m-cpu", ['train.budget="45 minutes"'])
    plan = plan_run(recipe, assume_data(recipe), Machines("a100-40gb"))
    assert plan["seconds"] == pytest.approx(45 * 60, rel=0.01)
    faster = plan_run(recipe, assume_data(recipe), Machines("a100-40gb", utilisation=0.8))
    assert faster["num_tokens"] == pytest.approx(2 * plan["num_tokens"], rel=0.01)


def test_replay_lengthens_an_epoch_and_repeats_what_there_is() -> None:
    recipe = load_recipe("llama2-7b-full")
    alone = load_recipe("llama2-7b-full", ["replay.share=0.0"])
    data = Data(264_604, PAPERS_TOKENS, 0.98, 146.0, num_replay_tokens=1_000_000, assumed=True)
    plan, without = (plan_run(given, data, Machines("h200")) for given in (recipe, alone))
    assert plan["num_tokens"] * 0.95 == pytest.approx(without["num_tokens"], rel=0.002)
    assert plan["num_tokens_replayed"] == pytest.approx(0.05 * plan["num_tokens"])
    assert plan["replay_passes"] == pytest.approx(plan["num_tokens_replayed"] / 1e6)
    assert "general text, 12 times all that was given" in describe_plan(plan)
    assert "general text" not in describe_plan(without)


def test_what_cannot_be_planned_is_refused(tokens: Path, tiny_model: Path, tmp_path: Path) -> None:
    recipe = load_recipe("llama2-7b-paper")
    with pytest.raises(UserInputError, match="give --tokens DIR, or --num-tokens N"):
        plan_run(recipe, assume_data(recipe), FOUR_A100)
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        read_data(recipe, tmp_path)
    encoder = load_recipe("astrosmol-135m-encoder")
    with pytest.raises(UserInputError, match="no plan of an encoder's training"):
        plan_run(encoder, assume_data(encoder, 100_000), FOUR_A100)
    # a dry run checks what a run checks
    with pytest.raises(RecipeError, match="longer than the context"):
        make_plan(
            tiny_recipe(tiny_model, "pack.sequence_length=1024", "train.global_batch_tokens=2048"), tokens, tmp_path
        )
