from __future__ import annotations

import numpy as np
import pytest

from astrollama.evaluation import intervals
from astrollama.evaluation.intervals import (
    MIN_SAMPLES_FOR_INTERVAL,
    bootstrap_sums,
    estimate,
    estimate_by_index,
    estimate_mean,
    interval_95,
    resampled_indices,
)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        (sums,) = bootstrap_sums(generator.normal(3.0, 2.0, (1, 60)), 400, seed)
        low, high = interval_95(sums / 60, 60)
        hits += low <= 3.0 <= high
    assert 180 <= hits <= 198


@pytest.mark.parametrize("num_samples", [6, 8, 16])
def test_the_interval_of_few_samples_covers_as_well(num_samples: int) -> None:
    generator = np.random.default_rng(num_samples)
    hits = 0
    for seed in range(400):
        (sums,) = bootstrap_sums(generator.normal(3.0, 2.0, (1, num_samples)), 2000, seed)
        low, high = interval_95(sums / num_samples, num_samples)
        hits += low <= 3.0 <= high
    assert 0.905 <= hits / 400 <= 0.98


def test_columns_stay_paired() -> None:
    noise = np.random.default_rng(1).normal(0, 50, 40)
    first, second = bootstrap_sums(np.stack([noise + 1.0, noise]), 1000, seed=0)
    assert interval_95((first - second) / 40, 40) == pytest.approx([1.0, 1.0])


def test_the_resamples_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(2).normal(size=(2, 30))
    first = bootstrap_sums(columns, 1234, seed=7)
    monkeypatch.setattr(intervals, "_DRAWS_AT_ONCE", 900)
    assert np.array_equal(bootstrap_sums(columns, 1234, seed=7), first), "however many are drawn at once"
    assert not np.array_equal(bootstrap_sums(columns, 1234, seed=8), first)


def test_a_ratio_of_sums_is_of_the_sums_and_no_mean_of_ratios() -> None:
    columns_2N = np.array([[1.0, 9.0, 2.0, 4.0, 4.0, 5.0], [1.0, 3.0, 2.0, 1.0, 3.0, 2.0]])
    own = estimate(lambda sums_2: sums_2[0] / sums_2[1], columns_2N, 200, seed=0)
    assert own.value == pytest.approx(25 / 12)
    assert own.num_samples == 6
    assert own.values_R is not None
    numerators_R, denominators_R = bootstrap_sums(columns_2N, 200, seed=0)
    assert np.array_equal(own.values_R, numerators_R / denominators_R)
    assert own.ci95 == interval_95(own.values_R, own.num_samples)


def test_the_interval_of_a_mean_narrows_with_the_square_root_of_the_samples() -> None:
    values = np.random.default_rng(3).normal(5.0, 1.0, 6400)
    widths = []
    for number in (100, 6400):
        own = estimate_mean(values[:number], 1000, seed=0)
        assert own.value == pytest.approx(values[:number].mean())
        assert own.ci95 is not None
        widths.append(own.ci95[1] - own.ci95[0])
    assert widths[0] / widths[1] == pytest.approx(8, rel=0.2)


def test_a_statistic_of_indices_agrees_with_the_one_of_sums() -> None:
    values = np.random.default_rng(4).normal(size=80)
    of_indices = estimate_by_index(lambda drawn: float(values[drawn].mean()), 80, 2000, seed=0)
    of_sums = estimate_mean(values, 2000, seed=0)
    assert of_indices.value == pytest.approx(of_sums.value)
    assert of_indices.ci95 == pytest.approx(of_sums.ci95, abs=0.03)
    assert of_indices.values_R is not None
    assert of_indices.values_R.shape == (2000,)


def test_resampled_indices_are_the_same_for_every_system() -> None:
    first, second = (list(resampled_indices(10, 5, seed=1)) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.shape(first) == (5, 10)
    assert set(np.ravel(first)) <= set(range(10))


@pytest.mark.parametrize("number", [1, MIN_SAMPLES_FOR_INTERVAL - 1])
def test_too_few_samples_have_a_value_and_no_interval(number: int) -> None:
    values = np.arange(number, dtype=float)
    for own in (
        estimate_mean(values, 200, seed=0),
        estimate_by_index(lambda drawn: float(values[drawn].mean()), number, 200, seed=0),
    ):
        assert own.value == values.mean()
        assert own.values_R is None
        assert own.ci95 is None
        assert own.num_samples == number
    assert estimate_mean(np.arange(MIN_SAMPLES_FOR_INTERVAL), 200, seed=0).ci95 is not None
