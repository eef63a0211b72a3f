import math

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score

from astrollama.evaluation.retrieval.ranking import fused, gold_ranks, ndcg_at, recall_at, reciprocal_rank


def test_ranks_by_hand() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.7, 0.3])
    assert gold_ranks(scores, [1]) == [1]
    assert gold_ranks(scores, [4]) == [4]
    assert gold_ranks(scores, [0, 3, 2]) == [2, 3, 5], "best first"
    assert gold_ranks(scores, [4], excluded=[1, 0]) == [3]


def test_metrics_by_hand() -> None:
    ranks = [2, 5, 12]
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert ndcg_at(ranks, 10) == pytest.approx((1 / math.log2(3) + 1 / math.log2(6)) / ideal)
    assert ndcg_at([1, 2, 3], 2) == 1
    assert reciprocal_rank(ranks) == 0.5
    assert [recall_at(ranks, k) for k in (1, 10, 100)] == pytest.approx([0, 2 / 3, 1])


def test_metrics_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        scores = generator.permutation(40).astype(float)
        gold = generator.choice(40, generator.integers(1, 15), replace=False).tolist()
        relevance = np.isin(np.arange(40), gold).astype(float)
        ranks = gold_ranks(scores, gold)
        assert ndcg_at(ranks, 10) == pytest.approx(ndcg_score([relevance], [scores], k=10))
        best = max(gold, key=lambda place: scores[place])
        one = np.isin(np.arange(40), best).astype(int)
        assert reciprocal_rank(ranks) == pytest.approx(label_ranking_average_precision_score([one], [scores]))
        found = top_k_accuracy_score([best], [scores], k=5, labels=range(40))
        assert recall_at(gold_ranks(scores, [best]), 5) == found


@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_ties_count_against_the_right_one(noise: float) -> None:
    scores = 0.8 + noise * np.random.default_rng(1).normal(size=30)
    assert gold_ranks(scores, [4]) == [30]
    assert gold_ranks(scores, [4, 7]) == [29, 30]
    assert gold_ranks(np.zeros(30), [0], excluded=[1]) == [29]


def test_a_single_candidate_is_found() -> None:
    assert gold_ranks(np.array([0.2]), [0]) == [1]
    assert ndcg_at([1], 10) == reciprocal_rank([1]) == recall_at([1], 1) == 1


def test_fusion_by_hand() -> None:
    one, other = np.array([0.9, 0.5, 0.1]), np.array([2.0, 7.0, 3.0])
    np.testing.assert_allclose(fused(one, other), [0.5, 0.75, 0.1])
    np.testing.assert_allclose(fused(one, other, 1), [1, 0.5, 0])
    np.testing.assert_allclose(fused(one, other, 0.25), 0.25 * fused(one, other, 1) + 0.75 * fused(one, other, 0))
    all_but_equal = np.float32([0.9, 0.9, 0.9 + 1e-7])
    np.testing.assert_allclose(fused(all_but_equal, other), [0, 0.5, 0.1], err_msg="rounding tells nothing apart")
    np.testing.assert_array_equal(fused(np.zeros(3), np.zeros(3)), 0)
