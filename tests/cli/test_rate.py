"""`astrollama rate` as a user meets it; the page itself is tried in tests/evaluation/test_rating_page.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.evaluation.rating.raters import read_pairs, save_vote
from tests.evaluation.rated import make_evaluation


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return make_evaluation(tmp_path / "evaluation", num_prompts=8)


def test_the_tally_is_told_and_is_json(evaluation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rate", str(evaluation), "--tally"]) == 0
    assert capsys.readouterr().out == "nobody has voted yet\n"
    for pair in read_pairs(evaluation):
        save_vote(evaluation, "anna", pair, "equal")
        save_vote(evaluation, "ben", pair, "both_bad")
    assert run(["rate", str(evaluation), "--tally"]) == 0
    told = capsys.readouterr().out
    assert (
        "adapted wins against base in 50 % (50 to 50 %, 95 % interval) of 8 prompts, judged by 2 people: 0 to 0" in told
    )
    assert "8 equal, 8 both bad; people agree in 0 %" in told
    assert run(["rate", str(evaluation), "--tally", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["win_rate"], found["ci95"], found["num_prompts"]) == (0.5, [0.5, 0.5], 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--systems", "adapted,gpt-5"], "there are no continuations by 'gpt-5': choose from adapted, base"),
        (
            ["--systems", "adapted"],
            "--systems names adapted alone, and two systems are compared: name two of adapted, base",
        ),
        (["--rater", ""], "'' is no name for a rater"),
        (["--json"], "add --tally"),
        (["--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_mistakes_are_one_line(
    evaluation: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rate", str(evaluation), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_folder_that_is_no_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rate", str(tmp_path)]) == 2
    assert "holds no continuations, and two systems are compared" in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rate", str(tmp_path / "nothere"), "--systems", "adapted"]) == 2
    assert f"there is no folder {tmp_path / 'nothere'}" in capsys.readouterr().err


def test_an_evaluation_of_one_system(evaluation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(evaluation / "measurements" / "base")
    assert run(["rate", str(evaluation)]) == 2
    assert "holds continuations by adapted alone, and two systems are compared" in capsys.readouterr().err
