"""Groups of texts that use the same words."""

from __future__ import annotations

import numpy as np
import pytest

from astrollama.tokens.neighbours import groups_of_neighbours, word_vectors

NUM_SUBJECTS, TEXTS_A_SUBJECT = 6, 16


@pytest.fixture(scope="module")
def subjects() -> np.ndarray:
    """Texts of six subjects in turn, each with thirty words of its own and ten that all have."""
    generator = np.random.default_rng(0)
    subjects_T = np.arange(NUM_SUBJECTS * TEXTS_A_SUBJECT) % NUM_SUBJECTS
    return word_vectors(
        [
            np.concatenate([generator.integers(0, 10, 20), 10 + 30 * subject + generator.integers(0, 30, 40)])
            for subject in subjects_T
        ]
    )


def test_texts_with_the_same_words_lie_together(subjects: np.ndarray) -> None:
    cosines_TT = (subjects @ subjects.T) / 1000**2
    subjects_T = np.arange(len(subjects)) % NUM_SUBJECTS
    same_TT = subjects_T[:, None] == subjects_T
    assert cosines_TT[same_TT].mean() > cosines_TT[~same_TT].mean() + 0.3
    assert np.allclose(np.diag(cosines_TT), 1, atol=0.01)


@pytest.mark.parametrize("num_texts", [96, 90, 16, 15, 1])
def test_every_text_is_in_one_group_and_one_group_at_most_is_small(subjects: np.ndarray, num_texts: int) -> None:
    numbers = np.random.default_rng(1).permutation(num_texts)
    groups = list(groups_of_neighbours(numbers, subjects, 16, np.random.default_rng(2)))
    assert sorted(np.concatenate(groups).tolist()) == list(range(num_texts))
    assert all(len(group) == 16 for group in groups[:-1])
    assert sum(len(group) < 16 for group in groups) == (num_texts % 16 > 0)


def test_groups_are_of_fewer_subjects_than_chance_would_have(subjects: np.ndarray) -> None:
    numbers = np.random.default_rng(1).permutation(len(subjects))
    groups = list(groups_of_neighbours(numbers, subjects, 16, np.random.default_rng(2)))

    def mean_subjects(parts: list[np.ndarray]) -> float:
        return float(np.mean([len(np.unique(part % NUM_SUBJECTS)) for part in parts]))

    assert mean_subjects(groups) < mean_subjects(np.split(numbers, len(groups))) - 1.5


def test_another_generator_makes_other_groups(subjects: np.ndarray) -> None:
    numbers = np.arange(len(subjects))

    def groups(seed: int) -> list[list[int]]:
        generator = np.random.default_rng(seed)
        return [sorted(group.tolist()) for group in groups_of_neighbours(numbers, subjects, 16, generator)]

    assert groups(3) == groups(3)
    assert groups(3) != groups(4)
