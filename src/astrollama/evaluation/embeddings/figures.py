"""Figures, tables and examples of the embeddings task, out of its records of clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.evaluation.embeddings.geometry import VARIANTS
from astrollama.evaluation.embeddings.neighbours import EDGES
from astrollama.evaluation.figures import Example, Figure, Series, Table
from astrollama.evaluation.task import MetricInfo
from astrollama.records import Document

Records = Sequence[Mapping[str, Any]]

_EXCERPT = 300  # characters of an abstract in an example


def cosine_histogram(variants: Mapping[str, Records], num_documents: int) -> Figure:
    """The paper's figure: the cosines of all pairs, of every system."""
    return Figure(
        name="cosines",
        title="Cosines of pairs of abstracts",
        kind="histogram",
        x_label="cosine",
        y_label="share of pairs in 0.01",
        series=_histogram_series({(key, ""): own[0]["histogram"] for key, own in variants.items()}),
        note=f"Mean pooling, vectors as they are, all pairs of {num_documents:,} held-out abstracts. Smaller cosines are "
        "no better ones.",
    )


def variant_histogram(subject: str, variants: Records) -> Figure:
    """The cosines of one system after each transformation."""
    return Figure(
        name="cosines_by_variant",
        title="The same pairs after simple transformations",
        kind="histogram",
        x_label="cosine",
        y_label="share of pairs in 0.01",
        series=_histogram_series({(subject, variant_words(own["variant"])): own["histogram"] for own in variants}),
        note="One system, mean pooling: how wide the cosines spread is a matter of choice.",
    )


def neighbour_bars(variants: Mapping[str, Records], metric: str) -> Figure:
    """The quality beside the geometry: of every system and variant, where there are documents enough for intervals."""
    return Figure(
        name="neighbours",
        title="Nearest neighbour of the same category",
        kind="bars",
        x_label="vectors",
        y_label="share of abstracts",
        series=[
            interval_series(
                key, {variant_words(own["variant"]): (own[metric], own[f"{metric}_ci95"]) for own in records}
            )
            for key, records in variants.items()
        ],
        note="Mean pooling. Transformations are fitted on the same abstracts, without their categories.",
    )


def interval_series(system: str, bars: Mapping[str, tuple[float, Sequence[float] | None]]) -> Series:
    """Bars by their names: value and interval; one without an interval is left out."""
    told = {name: (value, ci95) for name, (value, ci95) in bars.items() if ci95}
    return Series(
        system=system,
        x=list(told),
        y=[value for value, _ in told.values()],
        low=[ci95[0] for _, ci95 in told.values()],
        high=[ci95[1] for _, ci95 in told.values()],
    )


def space_table(name: str, title: str, records: Mapping[str, Records], infos: Mapping[str, MetricInfo]) -> Table:
    """A row a system, pooling and variant; the first of `infos` is the one with an interval."""
    primary, *statistics = infos
    return Table(
        name=name,
        title=title,
        columns=[
            *("system", "pooling", "vectors", "abstracts", "dimensions"),
            *(infos[metric].label for metric in (*statistics, primary)),
            *("low", "high"),
        ],
        rows=[
            [
                *(key, own["pooling"], variant_words(own["variant"]), own["num_documents"], own["dimensions"]),
                *(own[metric] for metric in (*statistics, primary)),
                *(own[f"{primary}_ci95"] or (None, None)),
            ]
            for key, spaces in records.items()
            for own in spaces
        ],
        note="; ".join(f"{variant_words(variant)}: {about}" for variant, about in VARIANTS.items())
        + ". Whitening keeps at most a quarter as many components as there are abstracts. Low and high are the 95 % "
        "interval of the share before them. Effective ranks compare at equal numbers of abstracts only.",
    )


def nearest_pair_examples(pairs: Mapping[str, Records], documents: Sequence[Document]) -> list[Example]:
    """The nearest pairs, those of all systems side by side."""
    by_id = {document.id: document for document in documents}
    return [
        Example(
            title=f"Nearest pair {place + 1}",
            text="",
            answers=[
                (
                    key,
                    "\n\n".join(
                        [f"cosine {own[place]['cosine']:.3f}", *(_excerpt(by_id[i]) for i in own[place]["ids"])]
                    ),
                )
                for key, own in pairs.items()
                if place < len(own)
            ],
        )
        for place in range(max(map(len, pairs.values())))
    ]


def variant_words(variant: str) -> str:
    """A variant as a person reads it."""
    return variant.replace("_", " ")


def _histogram_series(counts: Mapping[tuple[str, str], Sequence[int]]) -> list[Series]:
    """Shares of all pairs, from the first to the last bin that any of the histograms has a pair in."""
    filled = np.flatnonzero(np.sum(list(counts.values()), axis=0))
    first, last = int(filled[0]), int(filled[-1]) + 1
    return [
        Series(
            system=key,
            x=EDGES[first : last + 1],
            y=[count / sum(own) for count in own[first:last]],
            label=label,
        )
        for (key, label), own in counts.items()
    ]


def _excerpt(document: Document) -> str:
    text = document.text if len(document.text) <= _EXCERPT else f"{document.text[:_EXCERPT].rsplit(None, 1)[0]} …"
    return f"{document.title or document.id} [{document.primary_category}]\n{text}"
