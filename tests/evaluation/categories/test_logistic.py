import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from astrollama.evaluation.categories.labels import one_hot
from astrollama.evaluation.categories.logistic import choose_c, choose_share, fit_multi, fit_single, fused, softmax
from astrollama.evaluation.categories.probe import fit_probe


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    targets_N = generator.integers(0, 4, 60)
    return generator.normal(size=(60, 5)) + 2 * one_hot(targets_N, 5), targets_N


@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (1, 3)], ids=["four", "two"])
def test_probabilities_are_scikit_learns_and_none_falls_to_an_unseen_category(
    features: tuple[np.ndarray, np.ndarray], labels: tuple[int, ...]
) -> None:
    features_ND, targets_N = (own[np.isin(features[1], labels)] for own in features)
    probabilities_NC = softmax(fit_single(features_ND, targets_N, 6, 0.5).logits(features_ND))
    expected = LogisticRegression(C=0.5, max_iter=1000).fit(features_ND, targets_N).predict_proba(features_ND)
    assert probabilities_NC[:, labels] == pytest.approx(expected)
    assert (np.delete(probabilities_NC, labels, axis=1) == 0).all()


def test_sparse_features_give_the_same(features: tuple[np.ndarray, np.ndarray]) -> None:
    features_ND, targets_N = features
    dense, sparse = (fit_single(own, targets_N, 4, 1.0) for own in (features_ND, csr_matrix(features_ND)))
    assert sparse.logits(csr_matrix(features_ND)) == pytest.approx(dense.logits(features_ND), abs=1e-3)


def test_one_category_alone_is_always_predicted() -> None:
    linear = fit_single(np.ones((3, 2)), np.array([1, 1, 1]), 3, 1.0)
    assert softmax(linear.logits(np.zeros((1, 2)))).tolist() == [[0, 1, 0]]


def test_a_category_that_all_or_none_have_is_given_to_all_or_none() -> None:
    categories_NC = np.array([[True, False, True], [True, False, False], [True, False, True], [True, False, False]])
    features_ND = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    assert (fit_multi(features_ND, categories_NC, 10.0).logits(features_ND) > 0).tolist() == categories_NC.tolist()


def test_the_strength_is_chosen_by_cross_validation(features: tuple[np.ndarray, np.ndarray]) -> None:
    features_ND, targets_N = features
    assert choose_c(features_ND, targets_N, 4, (1e-9, 1.0)) == 1.0
    noise_ND = np.random.default_rng(1).normal(size=(60, 5))
    assert choose_c(noise_ND, np.zeros(60, dtype=int), 4, (0.1, 1.0)) == 0.1, "of equals the least"
    assert choose_c(features_ND[:4], targets_N[:4], 4, (0.1, 1.0)) == 0.1, "too few for folds"


def test_a_probe_does_not_mind_a_constant_feature_nor_the_scale_of_one(
    features: tuple[np.ndarray, np.ndarray],
) -> None:
    features_ND, targets_N = features
    probe, c = fit_probe(features_ND, targets_N, 4)
    scaled_ND = np.hstack([features_ND * [1, 1e4, 1, 1e-4, 1] + 7, np.full((60, 1), 3.0)])
    other, other_c = fit_probe(scaled_ND, targets_N, 4)
    assert other_c == c
    assert other.logits(scaled_ND) == pytest.approx(probe.logits(features_ND), abs=1e-3)


def test_two_classifiers_are_fused_by_the_geometric_mean_of_their_probabilities() -> None:
    first_NC, second_NC = np.random.default_rng(1).normal(0, 3, size=(2, 7, 4))
    product_NC = softmax(first_NC) ** 0.3 * softmax(second_NC) ** 0.7
    found_NC = softmax(fused(first_NC, second_NC + 5, 0.3))
    assert found_NC == pytest.approx(product_NC / product_NC.sum(-1, keepdims=True))
    assert softmax(fused(first_NC, first_NC, 0.5)) == pytest.approx(softmax(first_NC))


def test_the_share_is_the_one_with_which_most_is_right() -> None:
    generator = np.random.default_rng(0)
    targets_N = generator.integers(0, 3, 400)
    noise_NC = generator.normal(size=(400, 3))
    good_NC = 3 * one_hot(targets_N, 3) + generator.normal(size=(400, 3))
    assert choose_share(good_NC, 5 * noise_NC, targets_N) >= 0.8
    assert choose_share(5 * noise_NC, good_NC, targets_N) <= 0.2
    assert choose_share(good_NC, good_NC, targets_N) == 0.5
    assert choose_share(good_NC[:0], good_NC[:0], targets_N[:0]) == 0.5
