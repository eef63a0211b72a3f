"""Whether a search finds what belongs together: title and abstract, two halves of an abstract, a paper and its references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from astrollama.console import progress
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.embeddings.figures import interval_series, variant_words
from astrollama.evaluation.embeddings.geometry import directions, transformations
from astrollama.evaluation.figures import Figure, Table
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.retrieval import lexical
from astrollama.evaluation.retrieval.ranking import fused, gold_ranks, ndcg_at, recall_at, reciprocal_rank
from astrollama.evaluation.retrieval.subtasks import SUBTASKS, Subtask, subtasks
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all
from astrollama.sections import EvaluateSection
from astrollama.sources.citations import read_citations

NAME = "retrieval"
TITLE = "Retrieval"
VERSION = 3
# nDCG@10 is what the literature compares (BEIR, Thakur et al. 2021, arXiv:2104.08663), and titles have the most queries.
PRIMARY_METRIC = "title_ndcg_at_10"
NEEDS: frozenset[SystemAbility] = frozenset({"embed", "bm25", "tfidf"})
FILES: frozenset[DataFile] = frozenset({"citations"})

RAW, FUSED = "raw", "fused"
_PREFIXES = {RAW: "{}", FUSED: "{}_fused"}
_ADDED = {RAW: "", FUSED: ", with BM25"}
_HOW = {
    RAW: "",
    FUSED: " By the mean of cosine and BM25's score, each stretched to 0 to 1 over the candidates (Bruch et al. 2022, "
    "arXiv:2210.11934), with the cosine's share as set; of BM25 its own.",
}
_MANY = 2000  # candidates from which on a search takes long
_RECALLS = (1, 10, 100)
_LABELS = {"ndcg_at_10": "nDCG@10", "mrr": "MRR", **{f"recall_at_{k}": f"recall@{k}" for k in _RECALLS}}
_ABOUT = {
    "ndcg_at_10": "Discounted gain of the right ones among the first ten over the most that can be had (Järvelin and "
    "Kekäläinen 2002).",
    "mrr": "One over the rank of the first right one.",
    **{f"recall_at_{k}": f"The share of the right ones that is among the first {k}." for k in _RECALLS},
}


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """There must be something to look for. The file of citations is read, to find what is wrong in it."""
    if data.citations is not None and not settings.num_citing:
        read_citations(data.citations)
    return (
        None if subtasks(data, settings) else "there is nothing to look for: too few held-out documents, or no queries"
    )


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Rank the pool for each query of each sub-task.

    Returns:
        One record a query: `subtask`, and the `ranks` of the right ones by variant of the vectors; `raw` is the ranking
        by cosine of the vectors as they are, and `fused` that by cosine and BM25's score together; BM25 and TF-IDF have no
        other. Ties count against the right ones.
        `details` has of each sub-task its pool's identifiers and its numbers.
    """
    samples = []
    details = {}
    for subtask in subtasks(data, settings):
        ranks = {variant: _ranks(system, scores, subtask) for variant, scores in _scorers(system, subtask, settings)}
        samples += [
            {
                "subtask": subtask.name,
                "id": document_id,
                "ranks": {variant: own[query] for variant, own in ranks.items()},
            }
            for query, document_id in enumerate(subtask.ids)
        ]
        details[subtask.name] = {"pool_ids": subtask.pool_ids, **subtask.about}
    return Measurement(samples, details)


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Metrics by sub-task of the vectors as they are; transformed ones stand in the tables."""
    details = next(iter(measurements.values())).details
    infos = {
        f"{_PREFIXES[ranking].format(subtask)}_{metric}": MetricInfo(
            f"{_LABELS[metric]}, {SUBTASKS[subtask]}{_ADDED[ranking]}",
            "higher",
            f"{_ABOUT[metric]} Mean over queries; {len(own['pool_ids']):,} candidates.{_HOW[ranking]}",
            style="percent" if metric.startswith("recall") else "number",
        )
        for ranking in (RAW, FUSED)
        for subtask, own in details.items()
        for metric in _metrics(len(own["pool_ids"]))
    }
    estimates = {
        key: {
            f"{_PREFIXES[ranking].format(subtask)}_{metric}": value
            for ranking in (RAW, FUSED)
            for subtask in details
            if ranking in own.samples[0]["ranks"]
            for metric, value in _estimates(own, subtask, ranking, settings).items()
        }
        for key, own in measurements.items()
    }
    return TaskResult(
        primary_metric=PRIMARY_METRIC if PRIMARY_METRIC in infos else next(iter(infos)),
        infos=infos,
        estimates=estimates,
        comparisons=compare_all(infos, estimates, subject),
        figures=[_figure(estimates, details)],
        tables=[_table(measurements, subtask, settings) for subtask in details],
        notes=_notes(details, data, settings),
        details={
            "num_candidates": {subtask: len(own["pool_ids"]) for subtask, own in details.items()},
            "num_seen_in_training": _num_seen(details, data),
        },
    )


def _scorers(system: System, subtask: Subtask, settings: EvaluateSection) -> Iterator[tuple[str, lexical.Scores]]:
    words = lexical.bm25(subtask.queries, subtask.pool)
    if "bm25" in system.abilities:
        yield RAW, words
        yield FUSED, words
        return
    if "tfidf" in system.abilities:
        yield RAW, lexical.tfidf(subtask.queries, subtask.pool)
        return
    pool_PD, query_QD = system.embed(subtask.pool), system.embed(subtask.queries)
    cosines = {
        variant: _cosines(directions(transformation(query_QD)), directions(transformation(pool_PD)))
        for variant, transformation in transformations(pool_PD).items()
    }
    yield from cosines.items()
    yield FUSED, _fused(cosines[RAW], words, settings.fused_share)


def _fused(first: lexical.Scores, second: lexical.Scores, share: float) -> lexical.Scores:
    return lambda query: fused(first(query), second(query), share)


def _cosines(query_QK: np.ndarray, pool_PK: np.ndarray) -> lexical.Scores:
    def scores(query: int) -> np.ndarray:
        cosine_P: np.ndarray = pool_PK @ query_QK[query]
        return cosine_P

    return scores


def _ranks(system: System, scores: lexical.Scores, subtask: Subtask) -> list[list[int]]:
    ranks = []
    right = zip(subtask.gold, subtask.excluded, strict=True)
    with progress(f"searching with {system.label}", len(subtask.queries), shown=len(subtask.pool) > _MANY) as bar:
        for query, (gold, excluded) in enumerate(right):
            ranks.append(gold_ranks(scores(query), gold, excluded))
            bar.update(query + 1)
    return ranks


def _metrics(num_candidates: int) -> list[str]:
    """The metrics that a pool is large enough for."""
    return [*("ndcg_at_10", "mrr"), *(f"recall_at_{k}" for k in _RECALLS if k < num_candidates)]


def _estimates(measurement: Measurement, subtask: str, variant: str, settings: EvaluateSection) -> dict[str, Estimate]:
    ranks = [sample["ranks"][variant] for sample in measurement.samples if sample["subtask"] == subtask]
    values = {
        "ndcg_at_10": [ndcg_at(own, 10) for own in ranks],
        "mrr": [reciprocal_rank(own) for own in ranks],
        **{f"recall_at_{k}": [recall_at(own, k) for own in ranks] for k in _RECALLS},
    }
    return {
        metric: estimate_mean(np.array(values[metric]), settings.num_resamples, settings.seed)
        for metric in _metrics(len(measurement.details[subtask]["pool_ids"]))
    }


def _figure(estimates: Mapping[str, Mapping[str, Estimate]], details: Mapping[str, Any]) -> Figure:
    return Figure(
        name="ndcg",
        title="nDCG@10",
        kind="bars",
        x_label="sub-task",
        y_label="nDCG@10",
        series=[
            interval_series(
                key,
                {
                    SUBTASKS[subtask]: (own[f"{subtask}_ndcg_at_10"].value, own[f"{subtask}_ndcg_at_10"].ci95)
                    for subtask in details
                },
            )
            for key, own in estimates.items()
        ],
        note="Candidates: "
        + ", ".join(f"{len(own['pool_ids']):,} ({SUBTASKS[subtask]})" for subtask, own in details.items())
        + ". A larger pool is harder: compare within a sub-task.",
    )


def _table(measurements: Mapping[str, Measurement], subtask: str, settings: EvaluateSection) -> Table:
    metrics: list[str] = []
    rows = []
    for key, measurement in measurements.items():
        first = next(sample for sample in measurement.samples if sample["subtask"] == subtask)
        for variant in first["ranks"]:
            own = _estimates(measurement, subtask, variant, settings)
            metrics = list(own)
            num_queries = own["ndcg_at_10"].num_samples
            low, high = own["ndcg_at_10"].ci95 or (None, None)
            values = [own[metric].value for metric in metrics]
            rows.append([key, variant_words(variant), num_queries, values[0], low, high, *values[1:]])
    primary, *others = [_LABELS[metric] for metric in metrics]
    return Table(
        name=subtask,
        title=SUBTASKS[subtask].capitalize(),
        columns=["system", "vectors", "queries", primary, "low", "high", *others],
        rows=rows,
        note=f"{len(next(iter(measurements.values())).details[subtask]['pool_ids']):,} candidates, to which transformations "
        "are fitted. Low and high are the 95 % interval of nDCG@10.",
    )


def _notes(details: Mapping[str, Any], data: EvaluationData, settings: EvaluateSection) -> list[str]:
    notes = ["Equal scores are ranked against the right one: a system that cannot tell texts apart finds nothing."]
    if "citation" in details:
        own = details["citation"]
        notes.append(_seen(_num_seen(details, data), len(own["pool_ids"]), data))
        notes.append(
            f"Citing papers were drawn from {own['num_citing']:,} that have a reference in the corpus; {own['num_absent']:,} "
            "references of those drawn are not in it, and are not looked for."
        )
    elif data.citations is not None and not settings.num_citing:
        notes.append(f"The citations of {data.citations.name} are not looked for: evaluate.num_citing is 0.")
    elif data.citations is not None:
        notes.append(
            f"Too few papers of {data.citations.name} are in the corpus with their references to look for these."
        )
    return notes


def _num_seen(details: Mapping[str, Any], data: EvaluationData) -> int:
    """How many citing and cited papers the models compared were trained on, as far as that is known."""
    if "citation" not in details:
        return 0
    return len(data.trained_on.intersection(details["citation"]["pool_ids"]))


def _seen(num_seen: int, num_papers: int, data: EvaluationData) -> str:
    if not data.trained_on:
        return "Seen in training: how many of the citing and cited papers were is not known."
    warning = ": what it gains on the references may be memory" if num_seen else ""
    return f"Seen in training: {num_seen:,} of {num_papers:,} citing and cited papers, by the models compared{warning}."
