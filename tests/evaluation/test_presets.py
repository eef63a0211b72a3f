"""The paper's settings, and a quick look's."""

from __future__ import annotations

from math import sqrt

from astrollama.evaluation.presets import published, quick
from astrollama.sections import EvaluateSection


def test_the_papers_settings_stand_in_for_defaults_only() -> None:
    chosen = published(EvaluateSection(published=True, num_embeddings=500))
    assert (chosen.max_new_tokens, chosen.temperature, chosen.packed_length) == (1024, 0.3, 512)
    assert chosen.num_embeddings == 500
    assert published(EvaluateSection(published=True)).num_embeddings == 10_000


def test_a_quick_look_takes_less_of_everything_and_says_how_much_wider_its_intervals_are() -> None:
    whole = EvaluateSection()
    chosen, note = quick(whole)
    smaller = {name for name, value in chosen if value != getattr(whole, name)}
    assert smaller >= {"num_documents", "num_choices", "num_embeddings", "num_test_labelled", "num_builtin_questions"}
    assert all(getattr(chosen, name) < getattr(whole, name) for name in smaller)
    assert f"{sqrt(whole.num_documents / chosen.num_documents):.1f} times as wide" in note


def test_a_quick_look_never_takes_more_than_was_set() -> None:
    few = EvaluateSection(num_documents=3, num_embeddings=10)
    chosen, note = quick(few)
    assert (chosen.num_documents, chosen.num_embeddings) == (3, 10)
    assert "about 1.0 times as wide" in note
