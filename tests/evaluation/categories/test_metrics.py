import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score, precision_recall_fscore_support

from astrollama.evaluation.categories.labels import one_hot
from astrollama.evaluation.categories.metrics import category_scores, confusion_matrix, estimate_macro_f1, macro_f1
from astrollama.evaluation.intervals import resampled_indices


@pytest.fixture
def numbers() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    truth_N = generator.integers(0, 5, 80)
    return truth_N, np.where(generator.random(80) < 0.6, truth_N, generator.integers(0, 5, 80))


def test_of_one_category_a_document_they_are_scikit_learns(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    truth_N, predicted_N = numbers
    truth_NC, predicted_NC = one_hot(truth_N, 5), one_hot(predicted_N, 5)
    assert macro_f1(truth_NC, predicted_NC) == pytest.approx(f1_score(truth_N, predicted_N, average="macro"))
    assert (confusion_matrix(truth_N, predicted_N, 5) == sklearn_confusion(truth_N, predicted_N)).all()
    expected = zip(*precision_recall_fscore_support(truth_N, predicted_N), strict=True)
    for score, own in zip(category_scores(truth_NC, predicted_NC), expected, strict=True):
        assert (score.precision, score.recall, score.f1, score.num_documents) == pytest.approx(own)


def test_of_several_categories_a_document_too() -> None:
    generator = np.random.default_rng(4)
    truth_NC, predicted_NC = generator.random((60, 4)) < 0.4, generator.random((60, 4)) < 0.5
    assert macro_f1(truth_NC, predicted_NC) == pytest.approx(f1_score(truth_NC, predicted_NC, average="macro"))


def test_the_interval_is_that_of_scikit_learns_values_over_the_same_resamples(
    numbers: tuple[np.ndarray, np.ndarray],
) -> None:
    truth_N, predicted_N = numbers
    estimate = estimate_macro_f1(one_hot(truth_N, 5), one_hot(predicted_N, 5), 200, seed=1)
    values = [f1_score(truth_N[own], predicted_N[own], average="macro") for own in resampled_indices(80, 200, seed=1)]
    assert estimate.values_R == pytest.approx(np.array(values))
    assert estimate.num_samples == 80


def test_a_category_that_no_document_has_does_not_count() -> None:
    truth_N, predicted_N = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    expected = f1_score(truth_N, predicted_N, labels=[0, 1], average="macro")
    assert macro_f1(one_hot(truth_N, 3), one_hot(predicted_N, 3)) == pytest.approx(expected)
    absent = category_scores(one_hot(truth_N, 3), one_hot(predicted_N, 3))[2]
    assert (absent.precision, absent.recall, absent.f1, absent.num_documents) == (0, None, 0, 0)


def test_a_resample_counts_the_categories_that_its_true_documents_have() -> None:
    """One of forty documents is rare, and another is wrongly taken for such: a third of the resamples lacks the first."""
    truth_N, predicted_N = np.zeros(40, int), np.zeros(40, int)
    truth_N[0] = predicted_N[0] = predicted_N[1:5] = 1
    estimate = estimate_macro_f1(one_hot(truth_N, 2), one_hot(predicted_N, 2), 300, seed=1)
    values = []
    for own in resampled_indices(40, 300, seed=1):
        occurring = np.unique(truth_N[own]).tolist()
        values.append(f1_score(truth_N[own], predicted_N[own], labels=occurring, average="macro"))
    assert estimate.values_R == pytest.approx(np.array(values))


def test_one_document_has_a_value_and_no_interval() -> None:
    estimate = estimate_macro_f1(one_hot(np.array([1]), 2), one_hot(np.array([1]), 2), 100, seed=0)
    assert (estimate.value, estimate.ci95, estimate.num_samples) == (1, None, 1)
