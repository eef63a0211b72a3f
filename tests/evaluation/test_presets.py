"""The paper's settings, and a quick look's."""

from __future__ import annotations

import numpy as np

from astrollama.evaluation.intervals import estimate_mean
from astrollama.evaluation.presets import published, quick, quick_note
from astrollama.evaluation.task import TaskResult
from astrollama.sections import EvaluateSection

HELD_OUT = 36
WHOLE = EvaluateSection()


def result(metric: str, num_samples: int) -> TaskResult:
    values_N = np.random.default_rng(0).normal(size=num_samples)
    return TaskResult(metric, {}, {"adapted": {metric: estimate_mean(values_N, 200, seed=0)}}, [])


def note(settings: EvaluateSection, results: dict[str, TaskResult], *given: str) -> str:
    chosen, left_out = quick(settings, given)
    return quick_note(settings, chosen, left_out, results, "adapted", HELD_OUT)


def test_the_papers_settings_stand_in_for_defaults_only() -> None:
    chosen = published(EvaluateSection(published=True, num_embeddings=500))
    assert (chosen.max_new_tokens, chosen.temperature, chosen.packed_length) == (1024, 0.3, 512)
    assert chosen.num_embeddings == 500
    assert published(EvaluateSection(published=True)).num_embeddings == 10_000


def test_a_quick_look_takes_less_of_everything() -> None:
    chosen, left_out = quick(WHOLE)
    smaller = {name for name, value in chosen if value != getattr(WHOLE, name)}
    assert smaller >= {"num_documents", "num_choices", "num_embeddings", "num_test_labelled", "num_builtin_questions"}
    assert all(getattr(chosen, name) < getattr(WHOLE, name) for name in smaller)
    assert left_out["conviction"] == "num_conviction"
    assert left_out["citations"] == "num_citing"


def test_a_quick_look_never_takes_more_than_the_recipe_does() -> None:
    chosen, left_out = quick(EvaluateSection(num_documents=3, num_embeddings=10, num_conviction=0))
    assert (chosen.num_documents, chosen.num_embeddings) == (3, 10)
    assert "conviction" not in left_out, "it was left out before"


def test_what_the_command_sets_stands() -> None:
    settings = EvaluateSection(num_documents=50, num_citing=4, num_embeddings=100)
    chosen, left_out = quick(settings, {"num_documents", "num_citing"})
    assert (chosen.num_documents, chosen.num_citing, chosen.num_embeddings) == (50, 4, 24)
    assert "citations" not in left_out


def test_how_much_wider_its_intervals_are_is_told_of_tasks_that_have_one() -> None:
    results = {"perplexity": result("perplexity", 8), "completion": result("choice_accuracy", 4)}
    told = note(WHOLE, results)
    assert "about 2.1 times in perplexity (8 samples instead of 36)" in told, "the corpus holds out no more than 36"
    assert "too few samples for an interval in completion" in told
    assert "times in completion" not in told
    assert "Left out" not in told, "conviction was not asked for"


def test_what_is_left_out_is_told_of_tasks_that_were_asked_for() -> None:
    told = note(WHOLE, {"categorisation": result("macro_f1", 24), "retrieval": result("title_ndcg_at_10", 24)})
    assert told.endswith("Left out: zero-shot categories, trained heads, citations.")


def test_nothing_is_said_to_be_wider_that_is_not() -> None:
    settings = EvaluateSection(num_documents=4)
    told = note(settings, {"perplexity": result("perplexity", 4)}, "num_documents")
    assert told == "A quick look. There are too few samples for an interval in perplexity."
    ours = {"knowledge": result("astronomy_answer_accuracy", 16)}
    assert note(WHOLE, ours) == "A quick look.", "how many a file has is not known"
    builtin = {"knowledge": result("builtin_answer_accuracy", 16)}
    assert "2.7 times in knowledge (16 samples instead of 120)" in note(
        EvaluateSection(num_builtin_questions=500), builtin
    )
