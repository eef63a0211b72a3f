"""Held-out documents by year, category and length, and how much lower the subject's perplexity is in each group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from astrollama.evaluation.figures import Figure, Series, Table
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL
from astrollama.evaluation.likelihoods.likelihoods import Samples, likelihood_estimates, reduction
from astrollama.records import UNKNOWN
from astrollama.sections import EvaluateSection

SMALL_GROUPS = "other"
MAX_CATEGORIES = 12
LENGTH_QUANTILES = (0.25, 0.5, 0.75)
GROUPINGS = ("year", "category", "length")

Groups = dict[str, list[int]]


def document_groups(samples: Samples, grouping: str) -> Groups:
    """The indices of the documents of each group, in the order in which groups are shown.

    Args:
        grouping: one of `GROUPINGS`. Categories beyond the `MAX_CATEGORIES` most frequent ones are one group; lengths
            are quarters by words, which are the same for every tokenizer.
    """
    if grouping == "year":
        return _groups([sample["date"][:4] or UNKNOWN for sample in samples])
    if grouping == "category":
        return _groups(_largest([sample["primary_category"] for sample in samples]))
    return _by_length([sample["num_words"] for sample in samples])


def reductions_by_group(
    subject: str, subject_samples: Samples, base: str, base_samples: Samples, metric: str, settings: EvaluateSection
) -> tuple[list[Figure], list[Table]]:
    """A figure and a table for each grouping: how much lower `metric` is for the subject than for the base.

    Args:
        metric: of `likelihood_estimates`.
    """
    figures, tables = [], []
    name = metric.replace("_", " ")
    for grouping in GROUPINGS:
        rows: list[list[str | float | int | None]] = []
        for group, indices in document_groups(base_samples, grouping).items():
            of_base, of_subject = (
                likelihood_estimates([samples[index] for index in indices], settings)[metric]
                for samples in (base_samples, subject_samples)
            )
            share, ci95 = reduction(of_subject, of_base)
            low, high = (100 * bound for bound in ci95) if ci95 else (None, None)
            rows.append([group, len(indices), of_base.value, of_subject.value, 100 * share, low, high])
        title = f"Reduction of {name} by {grouping}"
        columns = [grouping, "documents", base, subject, "reduction, %", "from", "to (95 %)"]
        small = f"Groups of fewer than {MIN_SAMPLES_FOR_INTERVAL} documents have no interval"
        tables.append(Table(f"by_{grouping}", title, columns, rows, f"{small}."))
        shown = [row for row in rows if row[5] is not None]
        if shown:
            names, _, _, _, heights, lows, highs = zip(*shown, strict=True)
            series = Series(subject, names, heights, lows, highs)
            note = f"Paired 95 % intervals over documents. {small} and stand in the table alone."
            figures.append(
                Figure(f"by_{grouping}", title, "bars", grouping, f"lower than {base}, %", [series], note=note)
            )
    return figures, tables


def _groups(keys: Sequence[str]) -> Groups:
    order = sorted(set(keys), key=lambda key: (key == SMALL_GROUPS, key))
    return {key: [index for index, own in enumerate(keys) if own == key] for key in order}


def _largest(keys: Sequence[str]) -> list[str]:
    """The keys, those beyond the `MAX_CATEGORIES` most frequent ones as `SMALL_GROUPS`."""
    kept = {key for key, _ in Counter(keys).most_common(MAX_CATEGORIES)}
    return [key if key in kept else SMALL_GROUPS for key in keys]


def _by_length(num_words: Sequence[int]) -> Groups:
    words_N = np.array(num_words)
    quarters_N = np.searchsorted(np.quantile(words_N, LENGTH_QUANTILES), words_N)
    groups = {}
    for quarter in np.unique(quarters_N):
        indices_G = np.flatnonzero(quarters_N == quarter)
        shortest, longest = words_N[indices_G].min(), words_N[indices_G].max()
        groups[f"{shortest} to {longest} words" if shortest < longest else f"{shortest} words"] = indices_G.tolist()
    return groups
