"""The two ways of measuring that are not the default: the paper's, and a quick look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import sqrt

from astrollama.evaluation.questions.questions import EXAMPLES_SPLIT, builtin_questions
from astrollama.evaluation.task import TaskResult
from astrollama.sections import EvaluateSection

# recalled of Nguyen et al. 2023 (arXiv:2309.06126): experiments 1 to 3
_PUBLISHED = {"packed_length": 512, "temperature": 0.3, "max_new_tokens": 1024, "num_embeddings": 10_000}

# under three minutes for two models of 135 million parameters on two cores: docs/benchmarks.md
_QUICK = {
    "num_documents": 8,
    "num_calibration": 6,
    "num_choices": 6,
    "num_completions": 6,
    "num_repeats": 1,
    "max_new_tokens": 40,
    "num_embeddings": 24,
    "num_poolings": 0,
    "num_title_queries": 24,
    "num_distractors": 0,
    "num_half_queries": 6,
    "num_citing": 0,
    "num_train_labelled": 20,
    "num_words_labelled": 1_000,
    "num_test_labelled": 20,
    "num_zero_shot": 0,
    "head_epochs": 0,
    "num_builtin_questions": 16,
    "num_astronomy_questions": 12,
    "num_subjects": 16,
    "num_questions": 1,
    "num_general_tokens": 6_000,  # passages of up to 4,000 bytes are six then, which an interval needs
    "num_conviction": 0,
}
QUICK_RESAMPLES = 2_000
# what takes no few samples: the amount that is 0 then, the task that it is part of, and what it is called
_LEFT_OUT = (
    ("num_conviction", "conviction", "conviction"),
    ("num_zero_shot", "categorisation", "zero-shot categories"),
    ("head_epochs", "categorisation", "trained heads"),
    ("num_citing", "retrieval", "citations"),
)
# the amounts that a primary metric's samples are no more than; of what users' files hold nothing is known beforehand
_DOCUMENTS = {
    "perplexity": ("num_documents",),
    "bits_per_byte": ("num_documents",),
    "choice_accuracy": ("num_choices",),
    "neighbour_same_category": ("num_embeddings",),
    "title_ndcg_at_10": ("num_title_queries", "num_embeddings"),
    "macro_f1": ("num_test_labelled",),
    "conviction": ("num_conviction",),
    "ece": ("num_calibration",),
}
_BUILTIN = ("builtin_answer_accuracy", "builtin_general_accuracy")


def published(settings: EvaluateSection) -> EvaluateSection:
    """The settings with the paper's in place of defaults; what a recipe or `--set` gives stands."""
    return settings.model_copy(
        update={name: value for name, value in _PUBLISHED.items() if name not in settings.model_fields_set}
    )


def quick(settings: EvaluateSection, given: Collection[str] = ()) -> tuple[EvaluateSection, dict[str, str]]:
    """Settings that answer within minutes, none above those of the recipe.

    Args:
        given: what the command itself sets, which stands, be it more or less.

    Returns:
        The settings; and the amounts that are 0 only because the look is quick, by the name of what is left out.
    """
    few = _QUICK | {"num_resamples": QUICK_RESAMPLES}
    fewer = {name: min(value, getattr(settings, name)) for name, value in few.items() if name not in given}
    chosen = settings.model_copy(update=fewer)
    left_out = {
        words: amount for amount, _, words in _LEFT_OUT if getattr(settings, amount) and not getattr(chosen, amount)
    }
    return chosen, left_out


def quick_note(
    settings: EvaluateSection,
    chosen: EvaluateSection,
    left_out: Collection[str],
    results: Mapping[str, TaskResult],
    subject: str,
    num_held_out: int,
) -> str:
    """How much wider a quick look's intervals are than those of the whole evaluation, and what it leaves out.

    An interval narrows as the square root of the number of samples.

    Args:
        settings, chosen, left_out: what `quick` was given, and what it gave.
        num_held_out: held-out documents of the corpus, of which there are no more to be had.
    """
    wider, without = [], []
    for name, result in results.items():
        estimate = result.estimates.get(subject, {}).get(result.primary_metric)
        if estimate is None:
            continue
        if estimate.ci95 is None:
            without.append(name)
            continue
        few, many = (_num_samples(result.primary_metric, own, num_held_out) for own in (chosen, settings))
        if few < many:
            wider.append(f"{sqrt(many / few):.1f} times in {name} ({few:,} samples instead of {many:,})")
    told = ["A quick look."]
    if wider:
        told.append(
            "Its intervals are wider than those of the whole evaluation, since an interval narrows as the square root of the "
            f"number of samples: about {', '.join(wider)}."
        )
    if without:
        told.append(f"There are too few samples for an interval in {', '.join(without)}.")
    parts = [words for _, task, words in _LEFT_OUT if words in left_out and task in results]
    if parts:
        told.append(f"Left out: {', '.join(parts)}.")
    return " ".join(told)


def _num_samples(metric: str, settings: EvaluateSection, num_held_out: int) -> int:
    """How many samples a primary metric has with some settings; 0 where that is not known."""
    if metric in _DOCUMENTS:
        return min(num_held_out, *(int(getattr(settings, amount)) for amount in _DOCUMENTS[metric]))
    if metric in _BUILTIN:
        asked = [question for question in builtin_questions("astronomy") if question.split != EXAMPLES_SPLIT]
        return min(settings.num_builtin_questions, len(asked))
    return 0
