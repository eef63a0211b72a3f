"""Texts in groups of their likes: by the words that they use, another way each time.

The groups are the leaves of a random projection tree (Dasgupta and Freund 2008, doi:10.1145/1374376.1374452) over latent
semantic vectors (Deerwester et al. 1990): TF-IDF of tokens, and its first singular directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NUM_DIRECTIONS = 64
# Coordinates are rounded to it, and all that follows is of whole numbers: no order hangs on the last bit of a sum.
_STEPS = 1000


def word_vectors(texts: Sequence[np.ndarray]) -> np.ndarray:
    """Where texts lie by the tokens that they have, of shape (T, K), int64; K is `NUM_DIRECTIONS`, or less of few texts.

    Args:
        texts: tokens of each, two texts at least.
    """
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    tokens_N = np.concatenate(texts)
    offsets_T = np.cumsum([0, *map(len, texts)])
    shape = len(texts), int(tokens_N.max()) + 1
    counts_TV = csr_matrix((np.ones(len(tokens_N)), tokens_N, offsets_T), shape=shape)
    counts_TV.sum_duplicates()
    tfidf_TV = TfidfTransformer(sublinear_tf=True).fit_transform(counts_TV)
    directions = min(NUM_DIRECTIONS, *shape)
    vectors_TK = TruncatedSVD(directions, n_iter=3, random_state=0).fit_transform(tfidf_TV)
    rounded_TK: np.ndarray = np.rint(_STEPS * normalize(vectors_TK)).astype(np.int64)
    return rounded_TK


def groups_of_neighbours(
    numbers: np.ndarray, vectors_TK: np.ndarray, size: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Divide texts into groups of `size`, of which one may be smaller.

    A group too large is cut in two across a random direction, again and again, at a multiple of `size` near the middle.

    Args:
        numbers: which texts, in an order that decides between equals.
        vectors_TK: of all texts.
    """
    import numpy as np

    if len(numbers) <= size:
        yield numbers
        return
    direction_K = np.rint(_STEPS * generator.normal(size=vectors_TK.shape[1])).astype(np.int64)
    along = numbers[np.argsort(vectors_TK[numbers] @ direction_K, kind="stable")]
    cut = size * max(1, len(numbers) // size // 2)
    yield from groups_of_neighbours(along[:cut], vectors_TK, size, generator)
    yield from groups_of_neighbours(along[cut:], vectors_TK, size, generator)
