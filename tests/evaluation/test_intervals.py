import numpy as np
import pytest

from astrollama.evaluation import intervals
from astrollama.evaluation.intervals import bootstrap_sums, interval_95


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        (sums,) = bootstrap_sums(generator.normal(3.0, 2.0, (1, 60)), 400, seed)
        low, high = interval_95(sums / 60)
        hits += low <= 3.0 <= high
    assert 180 <= hits <= 198


def test_columns_stay_paired() -> None:
    noise = np.random.default_rng(1).normal(0, 50, 40)
    first, second = bootstrap_sums(np.stack([noise + 1.0, noise]), 1000, seed=0)
    assert interval_95((first - second) / 40) == pytest.approx([1.0, 1.0])


def test_the_resamples_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(2).normal(size=(2, 30))
    first = bootstrap_sums(columns, 1234, seed=7)
    monkeypatch.setattr(intervals, "_DRAWS_AT_ONCE", 900)
    assert np.array_equal(bootstrap_sums(columns, 1234, seed=7), first), "however many are drawn at once"
    assert not np.array_equal(bootstrap_sums(columns, 1234, seed=8), first)
