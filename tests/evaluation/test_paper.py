from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from astrollama.evaluation import paper
from astrollama.evaluation.intervals import Estimate
from astrollama.evaluation.task import Comparison, TaskResult

REFERENCE = Path(__file__).parents[3] / "shared" / "design" / "REFERENCE.md"


def estimate(value: float, *, interval: bool = True) -> Estimate:
    return Estimate(value, np.repeat([value - 1, value + 1], 50) if interval else None, 40)


def perplexity_result(difference: float, ci95: list[float] | None) -> TaskResult:
    own = {
        "base": {"perplexity": estimate(31.0), "packed_perplexity": estimate(33.0, interval=False)},
        "adapted": {"perplexity": estimate(22.0)},
    }
    comparisons = [Comparison("perplexity", "base", difference, ci95, "better")]
    return TaskResult("perplexity", {}, own, comparisons)


def test_ours_stands_beside_the_paper_s_and_comes_from_the_results_alone() -> None:
    table, settings = paper.paper_tables({"perplexity": perplexity_result(-0.29, [-0.31, -0.27])}, {}, {})
    assert table.rows == [
        ["perplexity, base", "about 9.7 (recalled)", "33", "31 [30, 32]"],
        ["perplexity, adapted", "6.55 (recalled)", None, "22 [21, 23]"],
        ["lower by", "32.5 % (seen)", None, "29.0 % [27.0, 31.0]"],
    ]
    assert {row[2] for row in settings.rows} == {None}, "what is not known of our run stays empty"


@pytest.mark.parametrize(
    ("difference", "ci95", "shown"),
    [(0.0, [0.0, 0.0], "0.0 % [0.0, 0.0]"), (0.05, [0.01, 0.09], "-5.0 % [-9.0, -1.0]"), (-0.1, None, "10.0 %")],
)
def test_the_reduction_has_its_sign_and_its_interval(difference: float, ci95: list[float] | None, shown: str) -> None:
    (table, _) = paper.paper_tables({"perplexity": perplexity_result(difference, ci95)}, {}, {})
    assert table.rows[2][3] == shown


def test_cosines_of_every_system_stand_below_the_paper_s_range() -> None:
    own = {
        "base": {"mean_cosine": Estimate(0.912, np.repeat([0.908, 0.915], 50), 600), "cosine_std": estimate(0.05)},
        "bm25": {"neighbours": estimate(0.5)},
    }
    (table, _) = paper.paper_tables({"embeddings": TaskResult("neighbours", {}, own, [])}, {}, {"base": "SmolLM2"})
    assert table.rows[0][1] == "0.7 to 0.9 (seen)"
    assert [row[0] for row in table.rows[2:]] == [
        "mean cosine of pairs, SmolLM2",
        "standard deviation of the cosines of pairs, SmolLM2",
    ]
    assert table.rows[2][2] == "0.912 [0.908, 0.915]"


def test_the_settings_of_our_run_stand_beside_the_paper_s() -> None:
    run = {"base": "smollm2-135m", "num_train_tokens": 313_000, "temperature": 0.3, "split": None}
    (table,) = paper.paper_tables({}, run, {})
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["base model"] == ["LLaMA-2-7B (seen)", "smollm2-135m"]
    assert rows["tokens trained on"] == ["about 230 million (recalled)", "313,000"]
    assert rows["temperature of completions"] == ["0.3 (recalled)", "0.3"]
    assert rows["held out"] == ["20 %, at random (recalled)", None]


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no folder 'shared' with the paper's figures beside the checkout")
def test_every_number_of_the_paper_is_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    known = text[text.index("## The paper") : text.index("What its own users")].replace("–", "-")
    figures = [*paper.PERPLEXITIES.values(), paper.REDUCTION, *paper.SETTINGS.values()]
    for figure in figures:
        for number in re.findall(r"\d[\d,.]*\d|\d", figure.value):
            assert number in known, f"{figure.what}: {number}"
    assert "GPT-3 (`text-embedding-ada-002`) lies at 0.7 to 0.9" in known
