import numpy as np
import pytest

from astrollama.evaluation.categories.keywords import classify_by_rules, count_terms, has_rules
from astrollama.evaluation.categories.terms import TERMS
from astrollama.records import ASTRO_PH_CATEGORIES

LABELS = tuple(sorted(ASTRO_PH_CATEGORIES))
EVEN = np.full(6, 1 / 6)


@pytest.mark.parametrize(
    ("sentence", "category"),
    [
        ("We constrain dark energy with baryon acoustic\noscillations and the CMB in $\\Lambda$CDM.", "astro-ph.CO"),
        ("A hot Jupiter transits its host star, and its atmosphere may escape.", "astro-ph.EP"),
        ("Star-forming galaxies have more molecular gas in their spiral arms.", "astro-ph.GA"),
        ("Gamma-ray bursts and their afterglows come from relativistic jets of black holes.", "astro-ph.HE"),
        ("A spectrograph with adaptive optics, its detectors and the data-reduction pipeline.", "astro-ph.IM"),
        ("Solar flares in active regions of the corona drive coronal mass ejections.", "astro-ph.SR"),
    ],
)
def test_sentences_go_where_their_terms_are(sentence: str, category: str) -> None:
    (first,), _ = classify_by_rules(count_terms([sentence], LABELS), EVEN)
    assert LABELS[first] == category


def test_different_terms_count_once_each_and_only_as_whole_words() -> None:
    texts = ["Dark energy, dark energies, DARK-ENERGY and more dark energy.", "darkenergy", ""]
    counts = count_terms(texts, ["astro-ph.CO"])
    assert counts.ravel().tolist() == [1, 0, 0]


def test_the_more_frequent_category_wins_between_equals() -> None:
    counts_NC = np.array([[2.0, 2.0, 0.0], [0.0, 0.0, 0.0], [3.0, 2.0, 2.0], [4.0, 1.0, 0.0]])
    first_N, all_NC = classify_by_rules(counts_NC, np.array([0.1, 0.6, 0.3]))
    assert first_N.tolist() == [1, 1, 0, 0]
    assert all_NC.tolist() == [[True, True, False], [False, True, False], [True, True, True], [True, False, False]]


def test_there_are_rules_for_astro_ph_alone() -> None:
    assert has_rules(LABELS)
    assert not has_rules(("astro-ph.CO", "hep-th"))
    assert all(40 <= len(set(terms)) == len(terms) for terms in TERMS.values())
