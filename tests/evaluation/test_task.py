from __future__ import annotations

import numpy as np
import pytest

from astrollama.errors import UserInputError
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.task import TASKS, Better, MetricInfo, compare, compare_all, find_task, known_tasks


def info(better: Better = "lower", *, relative: bool = False) -> MetricInfo:
    return MetricInfo("loss", better, "The mean.", relative=relative)


def mean(shift: float, number: int = 40) -> Estimate:
    noise_N = np.random.default_rng(0).normal(10, 3, 40)[:number]
    return estimate_mean(noise_N + shift, 500, seed=0)


@pytest.mark.parametrize(
    ("better", "shift", "verdict"),
    [
        ("lower", -0.5, "better"),
        ("lower", 0.5, "worse"),
        ("higher", 0.5, "better"),
        ("higher", -0.5, "worse"),
        ("neither", 0.5, "undecided"),
        ("lower", 0.0, "undecided"),
        ("higher", 0.0, "undecided"),
    ],
)
def test_the_verdict_follows_the_paired_interval(better: Better, shift: float, verdict: str) -> None:
    own = compare("loss", info(better), mean(shift), "base", mean(0.0))
    assert own.verdict == verdict
    assert own.difference == pytest.approx(shift)
    # far narrower than the interval of either: only what differs is left
    assert own.ci95 == pytest.approx([shift, shift])
    assert (own.metric, own.against) == ("loss", "base")


def test_a_difference_that_may_be_chance_is_undecided() -> None:
    generator = np.random.default_rng(1)
    first, second = (estimate_mean(generator.normal(0, 1, 50), 500, seed=0) for _ in range(2))
    own = compare("loss", info(), first, "base", second)
    assert own.ci95 is not None
    assert own.ci95[0] < 0 < own.ci95[1]
    assert own.verdict == "undecided"


def test_a_relative_difference_is_a_share_of_the_other_s_value() -> None:
    base, subject = mean(0.0), mean(0.0)
    assert base.values_R is not None
    half = Estimate(base.value / 2, base.values_R / 2, base.num_samples)
    own = compare("loss", info(relative=True), half, "base", subject)
    assert own.difference == pytest.approx(-0.5)
    assert own.ci95 == pytest.approx([-0.5, -0.5])


def test_without_an_interval_nothing_is_decided() -> None:
    own = compare("loss", info(), mean(-5.0, number=3), "base", mean(0.0, number=3))
    assert own.difference == pytest.approx(-5.0)
    assert own.ci95 is None
    assert own.verdict == "undecided"


def test_the_subject_is_compared_with_every_other_in_what_both_have() -> None:
    infos = {"loss": info(), "accuracy": info("higher")}
    estimates = {
        "base": {"loss": mean(0.0), "accuracy": mean(0.0)},
        "adapted": {"loss": mean(-1.0), "accuracy": mean(-1.0)},
        "gpt-4": {"accuracy": mean(1.0)},
        "short": {"loss": mean(0.0, number=20)},
    }
    comparisons = compare_all(infos, estimates, "adapted")
    assert [(own.metric, own.against, own.verdict) for own in comparisons] == [
        ("loss", "base", "better"),
        ("accuracy", "base", "worse"),
        ("accuracy", "gpt-4", "worse"),
    ]
    assert compare_all(infos, estimates, "absent") == []


def test_tasks_are_known_in_their_own_order_and_once() -> None:
    assert known_tasks(["calibration", "perplexity", "calibration"]) == ["perplexity", "calibration"]
    assert known_tasks(TASKS) == list(TASKS)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("perplexty", "there is no task 'perplexty': did you mean perplexity? choose from perplexity, completion, "),
        ("xyz", "there is no task 'xyz': choose from perplexity, "),
    ],
)
def test_an_unknown_task_is_refused_with_the_nearest_name(name: str, said: str) -> None:
    with pytest.raises(UserInputError) as caught:
        known_tasks(["perplexity", name])
    assert str(caught.value).startswith(said)
    with pytest.raises(UserInputError):
        find_task(name)


def test_no_task_at_all_is_refused() -> None:
    with pytest.raises(UserInputError, match="choose from"):
        known_tasks([])


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_a_module_that_keeps_the_contract(name: str) -> None:
    task = find_task(name)
    assert name == task.NAME
    assert task.TITLE
    assert task.VERSION >= 1
    assert task.PRIMARY_METRIC
    assert task.NEEDS
    assert task.FILES.issubset({"questions", "general", "citations"})
    assert all(callable(function) for function in (task.missing, task.measure, task.summarise))
