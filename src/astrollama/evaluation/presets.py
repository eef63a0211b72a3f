"""The two ways of measuring that are not the default: the paper's, and a quick look."""

from __future__ import annotations

from math import sqrt

from astrollama.sections import EvaluateSection

# recalled of Nguyen et al. 2023 (arXiv:2309.06126): experiments 1 to 3
_PUBLISHED = {"packed_length": 512, "temperature": 0.3, "max_new_tokens": 1024, "num_embeddings": 10_000}

# under three minutes for two models of 135 million parameters on two cores: docs/benchmarks.md
_QUICK = {
    "num_documents": 12,
    "num_calibration": 6,
    "num_choices": 8,
    "num_completions": 4,
    "num_repeats": 2,
    "max_new_tokens": 40,
    "num_embeddings": 40,
    "num_poolings": 0,
    "num_title_queries": 40,
    "num_half_queries": 12,
    "num_citing": 4,
    "num_train_labelled": 60,
    "num_test_labelled": 40,
    "num_zero_shot": 6,
    "head_epochs": 0,
    "num_builtin_questions": 24,
    "num_astronomy_questions": 24,
    "num_questions": 1,
    "num_general_tokens": 3_000,
    "num_conviction": 2,
    "temperatures": (0.3, 1.0),
}
QUICK_RESAMPLES = 2_000


def published(settings: EvaluateSection) -> EvaluateSection:
    """The settings with the paper's in place of defaults; what a recipe or `--set` gives stands."""
    return settings.model_copy(
        update={name: value for name, value in _PUBLISHED.items() if name not in settings.model_fields_set}
    )


def quick(settings: EvaluateSection) -> tuple[EvaluateSection, str]:
    """Settings that answer within minutes, lower than those given, and how much wider their intervals are.

    An interval narrows as the square root of the number of samples.
    """
    fewer = {name: value for name, value in _QUICK.items() if _is_less(value, getattr(settings, name))}
    chosen = settings.model_copy(update=fewer | {"num_resamples": min(QUICK_RESAMPLES, settings.num_resamples)})
    widths = {
        name: sqrt(getattr(settings, name) / value)
        for name, value in fewer.items()
        if isinstance(value, int) and value and name.startswith("num_") and name != "num_general_tokens"
    }
    if not widths:
        return chosen, "A quick look, which is no smaller than the settings given."
    least, most = min(widths.values()), max(widths.values())
    documents = (
        f"perplexity {widths['num_documents']:.1f} times ({chosen.num_documents} documents instead of "
        f"{settings.num_documents}), "
        if "num_documents" in widths
        else ""
    )
    return chosen, (
        f"A quick look: intervals are about {least:.1f} to {most:.1f} times as wide as those of a whole evaluation with "
        f"these settings; {documents}as an interval narrows with the square root of the number of samples."
    )


def _is_less(value: object, now: object) -> bool:
    if isinstance(value, int) and isinstance(now, int):
        return value < now
    return isinstance(value, tuple) and isinstance(now, tuple) and len(value) < len(now)
