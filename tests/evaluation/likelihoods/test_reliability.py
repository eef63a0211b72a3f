from __future__ import annotations

import numpy as np
import pytest

from astrollama.evaluation.likelihoods.reliability import (
    NUM_BINS,
    bin_sums,
    calibration_error,
    equal_mass_edges,
    equal_width_edges,
    error_if_calibrated,
    reliability,
)
from astrollama.sections import EvaluateSection

SETTINGS = EvaluateSection(num_resamples=500)


def sums(confidence: list[float], correct: list[bool], edges: np.ndarray | None = None) -> dict[str, list[float]]:
    return bin_sums(
        np.array(confidence), np.array(correct, dtype=bool), equal_width_edges() if edges is None else edges
    )


def clusters(num_clusters: int, size: int, seed: int, truth: float = 1.0) -> list[dict[str, list[float]]]:
    """Clusters of predictions of which a share of `truth` times the confidence comes true."""
    generator = np.random.default_rng(seed)
    confidence_NT = generator.uniform(0.05, 0.95, (num_clusters, size))
    correct_NT = generator.random(confidence_NT.shape) < truth * confidence_NT
    return [bin_sums(*own, equal_width_edges()) for own in zip(confidence_NT, correct_NT, strict=True)]


def test_the_error_is_the_one_computed_by_hand() -> None:
    # two bins: 0.62 and 0.66 lie in (0.6, 0.667], of which one in two is right: |1 - 1.28| = 0.28;
    # 0.91, 0.92 and 0.93 lie in (0.867, 0.933], all right: |3 - 2.76| = 0.24; over five predictions
    whole = sums([0.62, 0.91, 0.66, 0.92, 0.93], [True, True, False, True, True])
    assert calibration_error([whole], SETTINGS).value == pytest.approx((0.28 + 0.24) / 5)
    # and the same where the predictions belong to several documents, whose gaps of one bin cancel
    parts = [sums([0.62, 0.91], [True, True]), sums([0.66, 0.92, 0.93], [False, True, True])]
    assert calibration_error(parts, SETTINGS).value == pytest.approx((0.28 + 0.24) / 5)


def test_a_bin_has_its_upper_edge_and_not_its_lower() -> None:
    found = sums([0.0, 1 / NUM_BINS, np.nextafter(1 / NUM_BINS, 1), 1.0], [True, False, True, True])
    assert found["count"] == [2, 1, *[0] * (NUM_BINS - 3), 1]
    assert found["correct"] == [1, 1, *[0] * (NUM_BINS - 3), 1]
    assert sum(found["confidence"]) == pytest.approx(1 + 2 / NUM_BINS)


def test_a_text_without_tokens_has_empty_bins() -> None:
    assert sums([], []) == {"count": [0] * NUM_BINS, "confidence": [0.0] * NUM_BINS, "correct": [0] * NUM_BINS}


def test_bins_of_equal_mass_hold_equally_many_and_equal_confidences_stay_together() -> None:
    confidence_T = np.random.default_rng(0).beta(0.5, 3, 1500)
    counts = bin_sums(confidence_T, confidence_T > 2, equal_mass_edges(confidence_T))["count"]
    assert counts == pytest.approx([100] * NUM_BINS, abs=1)
    edges = equal_mass_edges(np.array([0.5] * 90 + [0.9] * 10))
    assert list(edges) == pytest.approx([0.0, 0.5, 0.9, 1.0])


def test_calibrated_predictions_show_what_chance_gives_and_others_their_gap() -> None:
    confidence_T = np.random.default_rng(1).uniform(0.05, 0.95, 20_000)
    bins_T = np.searchsorted(equal_width_edges()[1:-1], confidence_T)
    variance_B = np.bincount(bins_T, confidence_T * (1 - confidence_T), NUM_BINS)
    chance = error_if_calibrated(variance_B.tolist(), 20_000)
    errors = [calibration_error(clusters(200, 100, seed), SETTINGS).value for seed in range(20)]
    assert np.mean(errors) == pytest.approx(chance, rel=0.1)
    assert chance < 0.012
    exaggerated = calibration_error(clusters(200, 100, seed=2, truth=0.8), SETTINGS)
    assert exaggerated.value == pytest.approx(0.2 * 0.5, abs=0.012)
    assert exaggerated.ci95 is not None
    assert exaggerated.ci95[0] > max(errors)


def test_the_interval_of_the_error_lies_around_it_and_not_below_zero() -> None:
    for seed in range(5):
        own = calibration_error(clusters(40, 20, seed), SETTINGS)
        assert own.ci95 is not None
        assert 0 <= own.ci95[0] < own.value < own.ci95[1]
    assert calibration_error(clusters(4, 50, seed=0), SETTINGS).ci95 is None


def test_predictions_of_one_document_count_as_one_sample() -> None:
    """Ten documents that are twenty times as long, and no more varied, leave the interval as wide as it was."""
    short = clusters(10, 30, seed=3, truth=0.6)
    long = [{name: [20 * value for value in values] for name, values in own.items()} for own in short]
    first, second = calibration_error(short, SETTINGS), calibration_error(long, SETTINGS)
    assert first.ci95 == pytest.approx(second.ci95)


def test_points_of_the_diagram() -> None:
    documents = [*clusters(30, 40, seed=4), sums([0.99], [True])]
    points = reliability(documents, SETTINGS)
    assert sum(point["count"] for point in points) == 1201
    assert [point["bin"] for point in points] == list(range(NUM_BINS))
    for point in points:
        assert point["bin"] / NUM_BINS < point["confidence"] <= (point["bin"] + 1) / NUM_BINS
        assert point["ci95"][0] <= point["accuracy"] <= point["ci95"][1]
    (lone,) = reliability([sums([0.99], [True])], SETTINGS)
    assert (lone["accuracy"], lone["confidence"], lone["count"], lone["ci95"]) == (1.0, 0.99, 1, None)
