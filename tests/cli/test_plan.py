"""`astrollama plan`: no weights, no network, one screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.models.load import load_tokenizer
from astrollama.tokens.shards import pack_corpus
from tests.conftest import tiny_recipe

PAPER = ["plan", "llama2-7b-paper", "--num-tokens", "77000000", "--hardware", "a100-40gb", "--devices", "4"]


def test_the_papers_run_is_planned_from_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*PAPER, "--price-per-hour", "2"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "base        meta-llama/Llama-2-7b-hf, 6,738,415,616 parameters"
    assert "\ncost " in text
    assert text.endswith("nothing was written\n")


@pytest.mark.parametrize(("budget", "told"), [("1 epochs", "1 epoch"), ("90 seconds", "90 seconds")])
def test_the_budget_is_told_in_words(budget: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*PAPER, "--set", f"train.budget={budget}"]) == 0
    assert f"\nbudget      {told}: about " in capsys.readouterr().out


def test_json_has_the_figures_that_the_lines_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*PAPER, "--json", "--set", "lora.rank=8"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["parameters_trained"] == 39_976_960 // 2
    assert sum(plan["memory_bytes"].values()) == plan["memory_bytes_total"]
    assert plan["cost"] is None


def test_tokens_are_read_and_this_machine_is_measured(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", tmp_path / "tokens")
    (tmp_path / "tiny.toml").write_text(tiny_recipe(tiny_model, "replay.share=0.1").to_toml())
    command = ["plan", str(tmp_path / "tiny.toml"), "--tokens", str(tmp_path / "tokens")]
    assert run([*command, "--replay", str(tmp_path / "tokens"), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert not plan["lengths_assumed"]
    assert plan["hardware"]["flops_source"] == "measured"
    assert plan["replay_passes"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.toml", "tokens"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["llama2-7b-paper", "--hardware", "a100-40gb"], "give --tokens DIR, or --num-tokens N"),
        (["llama2-7b-paper", "--hardware", "a100"], "there is no hardware 'a100': did you mean a100-80gb?"),
        (["smollm2-135m-cpu", "--replay", "general"], "--replay has no effect without --tokens"),
        (["smollm2-135m-cpu", "--tokens", "t", "--num-tokens", "5"], "have no effect with --tokens"),
        (["smollm2-135m-cpu", "--devices", "0"], "--devices"),
        (
            ["smollm2-135m-cpu", "--set", "model.base=nobody/nothing"],
            "the shape of the model 'nobody/nothing' is not known",
        ),
        (["smollm2-135m-cpu", "--set", "train.method=lora", "--set", 'lora.targets=["q"]'], "lora.targets names 'q'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
