"""The shape of a cloud of vectors, and transformations that change it.

Only directions count: each vector is divided by its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL

VARIANTS = {
    "raw": "as the encoder gives them",
    "centred": "the mean subtracted",
    "whitened": "PCA whitening (Su et al. 2021, arXiv:2103.15316)",
    "top_removed": "all but the top (Mu and Viswanath 2018, arXiv:1702.01417)",
}
# Whitened to nearly as many components as there are documents, every encoder's documents lie at equal distances.
DOCUMENTS_A_COMPONENT = 4
# Mu and Viswanath remove a hundredth of the dimensions.
DIMENSIONS_A_REMOVED = 100
# Of the jackknife; each costs the eigenvalues of a D x D matrix. Few groups give narrow intervals: see its test.
MAX_GROUPS = 30
_ROUNDING = 1e-6  # float32 vectors differ by this much of their length without a reason


@dataclass(frozen=True)
class Transformation:
    """A linear map fitted on a set of vectors.

    Attributes:
        dimensions: how many directions are left to the result.
        least_length: what comes out shorter is rounding, and becomes zero.
    """

    mean_D: np.ndarray
    matrix_DK: np.ndarray | None
    dimensions: int
    least_length: float

    def __call__(self, vectors_ND: np.ndarray) -> np.ndarray:
        """The vectors after the map, in float64, of shape (N, K)."""
        moved_NK: np.ndarray = vectors_ND - self.mean_D
        if self.matrix_DK is not None:
            moved_NK = moved_NK @ self.matrix_DK
        moved_NK[np.linalg.norm(moved_NK, axis=1) <= self.least_length] = 0
        return moved_NK


def transformations(vectors_ND: np.ndarray) -> dict[str, Transformation]:
    """The `VARIANTS`, fitted on a set of N vectors.

    Whitening keeps the components with the largest variance, at most a `DOCUMENTS_A_COMPONENT`th as many as documents
    and none that is rounding; their covariance becomes the identity. `top_removed` subtracts the mean and takes out the
    first D / 100 components, one at least.
    """
    num_documents, num_dimensions = vectors_ND.shape
    vectors_ND = vectors_ND.astype(np.float64)
    total = float(np.linalg.norm(vectors_ND))
    mean_D = vectors_ND.mean(0)
    _, singular_K, components_KD = np.linalg.svd(vectors_ND - mean_D, full_matrices=False)
    num_real = int((singular_K > _ROUNDING * total).sum())
    num_whitened = min(num_real, max(1, num_documents // DOCUMENTS_A_COMPONENT))
    num_removed = min(num_real, max(1, round(num_dimensions / DIMENSIONS_A_REMOVED)))
    whitening_DK = components_KD[:num_whitened].T * (max(num_documents - 1, 1) ** 0.5 / singular_K[:num_whitened])
    removed_RD = components_KD[:num_removed]
    least = _ROUNDING * total / num_documents**0.5
    return {
        "raw": Transformation(np.zeros(num_dimensions), None, num_dimensions, 0.0),
        "centred": Transformation(mean_D, None, num_dimensions, least),
        "whitened": Transformation(mean_D, whitening_DK, num_whitened, _ROUNDING),
        "top_removed": Transformation(
            mean_D, np.eye(num_dimensions) - removed_RD.T @ removed_RD, num_dimensions - num_removed, least
        ),
    }


def directions(vectors_ND: np.ndarray) -> np.ndarray:
    """The vectors at length 1; zero stays zero, and has a cosine of 0 with everything."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    divided_ND: np.ndarray = np.divide(vectors_ND, lengths_N1, out=np.zeros_like(vectors_ND), where=lengths_N1 > 0)
    return divided_ND


def shape_statistics(directions_ND: np.ndarray) -> dict[str, float]:
    """Statistics of N directions, two at least.

    Returns:
        `mean_cosine` over all pairs of different documents, the anisotropy of Ethayarajh 2019 (arXiv:1909.00512);
        `cosine_std`, the standard deviation over the same pairs;
        `effective_rank`, exp of the entropy of the normalised singular values (Roy and Vetterli 2007), 0 of all zeros;
        `first_component_share`, the largest squared singular value over the sum of all (the same paper of Ethayarajh).
    """
    return _statistics(_moments(directions_ND))


def jackknife_terms(directions_ND: np.ndarray) -> dict[str, np.ndarray]:
    """Of each statistic terms whose mean is the statistic, and whose scatter gives its interval.

    It is the jackknife that leaves out one group of documents after the other (Shao and Wu 1989), at most `MAX_GROUPS`. A
    bootstrap would draw documents twice, and so find pairs with a cosine of 1 and fewer directions than there are.

    Returns:
        Arrays of shape (G,); of fewer than five documents one term, which tells no interval.
    """
    num_documents = len(directions_ND)
    inside_ND = _in_their_span(directions_ND)
    whole = _moments(inside_ND)
    values = _statistics(whole)
    if num_documents < MIN_SAMPLES_FOR_INTERVAL:
        return {name: np.array([value]) for name, value in values.items()}
    # groups of one size: statistics such as the effective rank depend on how many documents there are
    size = math.ceil(num_documents / MAX_GROUPS)
    num_groups = num_documents // size
    groups = [inside_ND[group * size : (group + 1) * size] for group in range(num_groups)]
    without = [_statistics(whole.less(_moments(group_ND))) for group_ND in groups]
    terms = {}
    for name, value in values.items():
        own_G = np.array([statistics[name] for statistics in without])
        terms[name] = value - (num_documents - size) / size * (own_G - own_G.mean())
    return terms


@dataclass(frozen=True)
class _Moments:
    """Sums over directions, on which alone all statistics depend.

    Attributes:
        first_D: of the directions.
        second_DD: of their outer products.
        num_nonzero: directions of length 1.
    """

    num_documents: int
    num_nonzero: int
    first_D: np.ndarray
    second_DD: np.ndarray

    def less(self, part: _Moments) -> _Moments:
        return _Moments(
            self.num_documents - part.num_documents,
            self.num_nonzero - part.num_nonzero,
            self.first_D - part.first_D,
            self.second_DD - part.second_DD,
        )


def _moments(directions_ND: np.ndarray) -> _Moments:
    num_nonzero = int((np.abs(directions_ND).max(axis=1, initial=0) > 0).sum())
    return _Moments(len(directions_ND), num_nonzero, directions_ND.sum(0), directions_ND.T @ directions_ND)


def _in_their_span(directions_ND: np.ndarray) -> np.ndarray:
    """The same directions in as few coordinates as hold them, with the same cosines."""
    left_NK, singular_K, _ = np.linalg.svd(directions_ND, full_matrices=False)
    coordinates_NK: np.ndarray = left_NK * singular_K
    return coordinates_NK


def _statistics(moments: _Moments) -> dict[str, float]:
    num_pairs = moments.num_documents * (moments.num_documents - 1)  # each in both orders
    mean = (float(moments.first_D @ moments.first_D) - moments.num_nonzero) / num_pairs
    square = (float((moments.second_DD**2).sum()) - moments.num_nonzero) / num_pairs
    squared_D = np.linalg.eigvalsh(moments.second_DD).clip(min=0)
    singular_D = np.sqrt(squared_D[squared_D > _ROUNDING**2 * squared_D.max(initial=0)])
    share_D = singular_D / singular_D.sum()
    return {
        "mean_cosine": mean,
        "cosine_std": max(square - mean**2, 0.0) ** 0.5,
        "effective_rank": float(np.exp(-(share_D * np.log(share_D)).sum())) if len(share_D) else 0.0,
        "first_component_share": float(squared_D.max(initial=0)) / max(moments.num_nonzero, 1),
    }
