"""How often samples are drawn anew where each time takes long."""

from __future__ import annotations

from astrollama.sections import EvaluateSection

_LEAST = 100


def fewer_resamples(settings: EvaluateSection) -> int:
    """A tenth of the resamples, and 100 at least."""
    return max(_LEAST, settings.num_resamples // 10)
