from astrollama.evaluation.categories.labels import find_labels, label_documents
from tests.evaluation.labelled import document


def test_in_astronomy_the_subcategories_that_occur_are_labels() -> None:
    documents = [document(n, "", "astro-ph.SR") for n in range(3)] + [document(9, "", "astro-ph.CO")]
    documents += [document(n, "", "astro-ph") for n in range(2)] + [document(n, "", "gr-qc") for n in range(4)]
    assert find_labels(documents) == ("astro-ph.CO", "astro-ph.SR")


def test_elsewhere_the_frequent_categories_are_labels_twelve_at_most() -> None:
    documents = [document(n, "", f"cs.{number:02}") for number in range(14) for n in range(20 + number)]
    documents += [document(n, "", "cs.XX") for n in range(19)]
    assert find_labels(documents) == tuple(f"cs.{number:02}" for number in range(2, 14))


def test_documents_without_label_are_passed_over_and_counted_up_to_the_last_that_is_taken() -> None:
    documents = [
        document(0, "a", "astro-ph"),
        document(1, "b", "astro-ph.SR", "astro-ph.CO", "gr-qc"),
        document(2, "c", "gr-qc", "astro-ph.CO"),
        document(3, "d", "astro-ph.CO"),
        document(4, "e", "astro-ph"),
        document(5, "f", "astro-ph.CO"),
    ]
    found = label_documents(documents, ("astro-ph.CO", "astro-ph.SR"), 2)
    assert (found.ids, found.texts, found.num_left_out) == (["1", "3"], ["b", "d"], 2)
    assert found.targets_N.tolist() == [1, 0]
    assert found.categories_NC.tolist() == [[True, True], [True, False]]
