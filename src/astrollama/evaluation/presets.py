"""The two ways of measuring that are not the default: the paper's, and a quick look."""

from __future__ import annotations

from math import sqrt

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
    "num_train_labelled": 24,
    "num_test_labelled": 24,
    "num_zero_shot": 0,
    "head_epochs": 0,
    "num_builtin_questions": 16,
    "num_astronomy_questions": 16,
    "num_questions": 1,
    "num_general_tokens": 3_500,
    "num_conviction": 0,
}
QUICK_RESAMPLES = 2_000
# of these the number of samples decides an interval's width
_COUNTED = (
    "num_documents",
    "num_calibration",
    "num_choices",
    "num_embeddings",
    "num_test_labelled",
    "num_builtin_questions",
)


def published(settings: EvaluateSection) -> EvaluateSection:
    """The settings with the paper's in place of defaults; what a recipe or `--set` gives stands."""
    return settings.model_copy(
        update={name: value for name, value in _PUBLISHED.items() if name not in settings.model_fields_set}
    )


def quick(settings: EvaluateSection) -> tuple[EvaluateSection, str]:
    """Settings that answer within minutes, none above those given, and how much wider their intervals are.

    An interval narrows as the square root of the number of samples. What takes no few samples is left out: conviction,
    zero-shot categories, trained heads, citations.
    """
    fewer = {name: min(value, getattr(settings, name)) for name, value in _QUICK.items()}
    chosen = settings.model_copy(update=fewer | {"num_resamples": min(QUICK_RESAMPLES, settings.num_resamples)})
    widths = [sqrt(getattr(settings, name) / fewer[name]) for name in _COUNTED if fewer[name]]
    return chosen, (
        f"A quick look: perplexity on {chosen.num_documents} documents instead of {settings.num_documents}, so that its "
        f"interval is about {widths[0]:.1f} times as wide as that of a whole evaluation with these settings; the other "
        f"tasks' are {min(widths):.1f} to {max(widths):.1f} times as wide (an interval narrows as the square root of the "
        "number of samples). Conviction, zero-shot categories, trained heads and citations are left out."
    )
