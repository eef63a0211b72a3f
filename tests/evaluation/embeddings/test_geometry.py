import numpy as np
import pytest

from astrollama.evaluation.embeddings.geometry import (
    DOCUMENTS_A_COMPONENT,
    VARIANTS,
    directions,
    jackknife_terms,
    shape_statistics,
    transformations,
)
from astrollama.evaluation.intervals import interval_95

STATISTICS = ["mean_cosine", "cosine_std", "effective_rank", "first_component_share"]


def cloud(generator: np.random.Generator, num_documents: int, num_dimensions: int, cone: float = 0.0) -> np.ndarray:
    """Gaussian vectors about a point at the distance `cone` from the origin."""
    vectors = generator.normal(size=(num_documents, num_dimensions))
    vectors[:, 0] += cone
    return vectors


def plain_cosines(vectors: np.ndarray) -> np.ndarray:
    """Of all pairs, each once, one by one."""
    return np.array(
        [
            vectors[i] @ vectors[j] / (np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j]))
            for i in range(len(vectors))
            for j in range(i)
        ]
    )


def test_cosines_are_those_of_all_pairs_of_different_documents() -> None:
    vectors = cloud(np.random.default_rng(0), 30, 8, cone=2.0)
    found = shape_statistics(directions(vectors))
    assert list(found) == STATISTICS
    assert found["mean_cosine"] == pytest.approx(plain_cosines(vectors).mean())
    assert found["cosine_std"] == pytest.approx(plain_cosines(vectors).std())


def test_an_isotropic_cloud_uses_all_directions_and_a_cone_hardly_any() -> None:
    generator = np.random.default_rng(1)
    isotropic = shape_statistics(directions(cloud(generator, 3000, 32)))
    assert isotropic["mean_cosine"] == pytest.approx(0, abs=0.002)
    assert isotropic["cosine_std"] == pytest.approx(32**-0.5, rel=0.02)
    assert isotropic["effective_rank"] > 31.5
    assert isotropic["first_component_share"] == pytest.approx(1 / 32, rel=0.25)
    cone = shape_statistics(directions(cloud(generator, 3000, 32, cone=30.0)))
    assert cone["mean_cosine"] > 0.95
    assert cone["effective_rank"] < 20
    assert cone["first_component_share"] > 0.95


def test_the_effective_rank_of_equal_singular_values_is_their_number() -> None:
    assert shape_statistics(np.eye(7))["effective_rank"] == pytest.approx(7)
    assert shape_statistics(np.repeat(np.eye(3), 4, axis=0))["effective_rank"] == pytest.approx(3)


@pytest.mark.parametrize(("num_documents", "num_dimensions"), [(400, 20), (40, 20), (10, 20)])
def test_whitening_gives_identity_covariance(num_documents: int, num_dimensions: int) -> None:
    generator = np.random.default_rng(2)
    vectors = cloud(generator, num_documents, num_dimensions, cone=5.0) @ generator.normal(size=(num_dimensions,) * 2)
    whitening = transformations(vectors)["whitened"]
    whitened = whitening(vectors)
    assert whitening.dimensions == min(num_dimensions, num_documents // DOCUMENTS_A_COMPONENT)
    assert np.cov(whitened.T) == pytest.approx(np.eye(whitening.dimensions), abs=1e-9)
    assert whitened.mean(0) == pytest.approx(0, abs=1e-9)


def test_whitening_leaves_out_what_is_rounding() -> None:
    vectors = cloud(np.random.default_rng(3), 200, 4) @ np.eye(4, 10)
    whitening = transformations(vectors.astype(np.float32))["whitened"]
    assert whitening.dimensions == 4
    assert np.cov(whitening(vectors).T) == pytest.approx(np.eye(4), abs=1e-5)


def test_the_top_components_are_gone() -> None:
    generator = np.random.default_rng(4)
    strong = generator.normal(size=(200, 250))
    strong[:, :3] *= [100, 50, 40]
    strong[:, 0] += 500
    removal = transformations(strong)["top_removed"]
    assert removal.dimensions == 248, "a hundredth of 250, rounded, is removed"
    left = removal(strong)
    assert left.mean(0) == pytest.approx(0, abs=1e-9)
    assert left.std(0)[:2].max() < 20
    assert left.std(0)[2] > 30


def test_transformations_apply_to_vectors_that_they_were_not_fitted_on() -> None:
    generator = np.random.default_rng(5)
    maps = transformations(cloud(generator, 50, 6, cone=3.0))
    assert list(maps) == list(VARIANTS)
    queries = cloud(generator, 4, 6, cone=3.0)
    assert maps["raw"](queries) == pytest.approx(queries)
    assert maps["centred"](queries) == pytest.approx(queries - maps["centred"].mean_D)


@pytest.mark.parametrize("num_documents", [2, 3, 5, 40])
def test_an_encoder_that_gives_one_vector_has_one_direction_and_none_when_centred(num_documents: int) -> None:
    vectors = np.tile(np.random.default_rng(6).normal(size=16).astype(np.float32), (num_documents, 1))
    maps = transformations(vectors)
    raw = shape_statistics(directions(maps["raw"](vectors)))
    assert list(raw.values()) == pytest.approx([1, 0, 1, 1], abs=1e-7)
    for variant in ("centred", "whitened", "top_removed"):
        assert not maps[variant](vectors).any()
        assert list(shape_statistics(directions(maps[variant](vectors))).values()) == [0, 0, 0, 0]


@pytest.mark.parametrize("num_documents", [2, 3, 4, 5, 31, 59])
def test_few_documents_have_terms_whose_mean_is_the_statistic(num_documents: int) -> None:
    unit = directions(cloud(np.random.default_rng(7), num_documents, 12, cone=1.0))
    values, terms = shape_statistics(unit), jackknife_terms(unit)
    assert {name: own.mean() for name, own in terms.items()} == pytest.approx(values, abs=1e-6)
    assert {len(own) for own in terms.values()} <= ({1} if num_documents < 6 else set(range(6, 31)))


# more dimensions than documents, about as many, and fewer: the effective rank of such clouds differs widely
@pytest.mark.parametrize(("num_documents", "num_dimensions"), [(150, 16), (60, 56), (60, 120)])
def test_the_jackknife_interval_covers_the_truth_about_as_often_as_it_says(
    num_documents: int, num_dimensions: int
) -> None:
    generator = np.random.default_rng(8)
    scale = np.arange(1, num_dimensions + 1) ** -0.4

    def draw() -> np.ndarray:
        return directions(cloud(generator, num_documents, num_dimensions, cone=1.5) * scale)

    many = [shape_statistics(draw()) for _ in range(150)]
    truth = {name: np.mean([values[name] for values in many]) for name in STATISTICS}
    hits = dict.fromkeys(STATISTICS, 0)
    for seed in range(100):
        for name, terms_G in jackknife_terms(draw()).items():
            drawn = np.random.default_rng(seed).integers(0, len(terms_G), (300, len(terms_G)))
            low, high = interval_95(terms_G[drawn].mean(-1), len(terms_G))
            hits[name] += low <= truth[name] <= high
    assert all(84 <= own <= 100 for own in hits.values()), hits
    assert hits["mean_cosine"] < 100
