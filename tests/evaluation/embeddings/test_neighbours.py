import numpy as np
import pytest

from astrollama.evaluation.embeddings import neighbours as module
from astrollama.evaluation.embeddings.geometry import directions
from astrollama.evaluation.embeddings.neighbours import EDGES, nearest_pairs, neighbours


def test_the_histogram_has_each_pair_once_whatever_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = directions(np.random.default_rng(0).normal(size=(50, 4)))
    labels = ["a", "b"] * 25
    cosines = (unit @ unit.T)[np.triu_indices(50, k=1)]
    plain, _ = np.histogram(cosines, EDGES)
    whole = neighbours(unit, labels)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    blocks = neighbours(unit, labels)
    for found in (whole, blocks):
        assert found.histogram_B.sum() == 50 * 49 / 2
        assert np.abs(found.histogram_B - plain).sum() <= 2, "float32 may move a cosine over an edge"
    assert blocks.nearest_N.tolist() == whole.nearest_N.tolist()
    assert blocks.same_N.tolist() == whole.same_N.tolist()


def test_the_nearest_is_another_document_and_its_label_counts() -> None:
    angles = np.radians([0, 10, 13, 90, 95])
    found = neighbours(np.stack([np.cos(angles), np.sin(angles)], axis=1), ["x", "x", "y", "z", "z"])
    assert found.nearest_N.tolist() == [1, 2, 1, 4, 3]
    assert found.same_N.tolist() == [1, 0, 0, 1, 1]
    assert found.cosine_N == pytest.approx(np.cos(np.radians([10, 3, 3, 5, 5])), abs=1e-6)
    assert [(left, right) for left, right, _ in nearest_pairs(found, 2)] == [(1, 2), (3, 4)]
    assert len(nearest_pairs(found, 10)) == 3, "a pair is there once"


def test_equally_near_neighbours_count_by_their_share() -> None:
    found = neighbours(np.tile(directions(np.ones((1, 3))), (5, 1)), ["x", "x", "x", "y", "y"])
    assert found.same_N == pytest.approx([2 / 4, 2 / 4, 2 / 4, 1 / 4, 1 / 4])
    assert found.histogram_B[-1] == 10


def test_opposite_vectors_are_in_the_first_bin() -> None:
    found = neighbours(np.array([[1.0, 0.0], [-1.0, 0.0]]), ["x", "x"])
    assert found.histogram_B[0] == found.histogram_B.sum() == 1
