import numpy as np
import pytest

from astrollama.evaluation.intervals import bootstrap_ci95


def mean(values: np.ndarray) -> np.ndarray:
    return values.mean(-1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_ci95(mean, [generator.normal(3.0, 2.0, 60)], 400, seed)
        hits += low <= 3.0 <= high
    assert 180 <= hits <= 198


def test_pairs_stay_together() -> None:
    noise = np.random.default_rng(1).normal(0, 50, 40)
    low, high = bootstrap_ci95(lambda a, b: (a - b).mean(-1), [noise + 1.0, noise], 1000, seed=0)
    assert low == pytest.approx(1.0)
    assert high == pytest.approx(1.0)


def test_the_interval_depends_on_the_seed_alone() -> None:
    values = np.random.default_rng(2).normal(size=30)
    assert bootstrap_ci95(mean, [values], 1234, seed=7) == bootstrap_ci95(mean, [values], 1234, seed=7)
    assert bootstrap_ci95(mean, [values], 1234, seed=7) != bootstrap_ci95(mean, [values], 1234, seed=8)
