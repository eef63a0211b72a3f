"""Conviction and creativity over temperature: do statements keep to the evidence, and how varied and new are they?

A statement is a sentence of a continuation; one without an end counts without its last word, which may be cut, if
`LEAST_WORDS` are left, so that text without a full stop is judged too. A statement keeps to the evidence if it invents no
number and no named object, and if it agrees with the paper: its MiniLM cosine with the closest sentence of prompt or true
continuation is `SUPPORT` at least. That is a proxy. It tells what a statement is about, not whether it follows: a sentence
and its denial agree. Entailment needs a model for natural language inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrollama.corpus.sentences import sentences
from astrollama.evaluation.continuations.facts import find_facts
from astrollama.evaluation.continuations.meaning import Meaning
from astrollama.evaluation.continuations.openings import PROMPT_WORDS, openings
from astrollama.evaluation.continuations.repetition import grams
from astrollama.evaluation.continuations.texts import estimate_share, facts_of_paper, repeated_samples, seeds
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.figures import Figure, Series, Table, bounds
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all
from astrollama.sections import EvaluateSection

NAME = "conviction"
TITLE = "Conviction and creativity"
VERSION = 1
PRIMARY_METRIC = "conviction"
NEEDS: frozenset[SystemAbility] = frozenset({"generate"})
FILES: frozenset[DataFile] = frozenset()

NUM_SAMPLES = 2  # of a prompt at each temperature: the fewest that can differ
MAX_NEW_TOKENS = 80
LEAST_WORDS = 10  # of a sentence without an end: fewer hardly tell what it is about
# Of 1,228 sentences of 150 held-out abstracts 83 % are so close to another one of their abstract; of 3,912 sentences of other
# papers of the same category 9 % are (benchmarks/statement_support.py).
SUPPORT = 0.45
_SEEDS = 2  # of the sampling, apart from other tasks'


@dataclass(frozen=True)
class _Scores:
    """Of each paper at one temperature: its statements and what they are, and how varied and new its samples are."""

    num_statements: list[int]
    num_kept: list[int]
    num_inventing: list[int]
    num_unlike: list[int]
    novelty: list[float]
    variety: list[float]


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """It needs held-out documents with more sentences than the opening has."""
    if not settings.num_conviction:
        return "evaluate.num_conviction is 0"
    if not openings(data.test):
        return f"no held-out document has a sentence left behind its first {PROMPT_WORDS} words"
    return None


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Continue the first documents that can be divided at each temperature.

    Returns:
        One record a document: `id`, `title`, `prompt`, `truth`, and `texts`, `NUM_SAMPLES` by the temperature.
    """
    chosen = openings(data.test)[: settings.num_conviction]
    generator = system.generator()
    drawn = {
        _name(temperature): repeated_samples(
            generator,
            [opening.prompt for opening in chosen],
            max_new_tokens=_max_new_tokens(settings),
            temperature=temperature,
            seeds=seeds(settings, _SEEDS, NUM_SAMPLES),
        )
        for temperature in _temperatures(settings)
    }
    return Measurement(
        [
            {
                "id": opening.document.id,
                "title": opening.document.title,
                "prompt": opening.prompt,
                "truth": opening.truth,
                "texts": {name: texts[index] for name, texts in drawn.items()},
            }
            for index, opening in enumerate(chosen)
        ]
    )


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Conviction and creativity of every system at each temperature, and their means over the range."""
    del data
    meaning = Meaning()
    estimates: dict[str, dict[str, Estimate]] = {}
    rows: list[list[Any]] = []
    for key, measurement in measurements.items():
        scores = {
            temperature: _score(
                [(sample, sample["texts"][_name(temperature)]) for sample in measurement.samples], meaning
            )
            for temperature in _temperatures(settings)
        }
        estimates[key] = _estimates(scores, settings)
        rows += [[key, temperature, *_row(own)] for temperature, own in scores.items()]
    infos = _infos(settings)
    num_documents = max(len(measurement.samples) for measurement in measurements.values())
    notes = [
        f"{NUM_SAMPLES} samples of up to {_max_new_tokens(settings)} new tokens of each of {num_documents} abstracts at "
        f"each temperature; a sentence that the limit cut counts if {LEAST_WORDS} words of it are whole. Agreement with the "
        f"paper is a proxy: a cosine of {SUPPORT} at least with its closest sentence, which tells what a statement is about "
        "and not whether it follows."
    ]
    if num_documents < settings.num_conviction:
        notes.append(f"Only {num_documents} held-out abstracts can be divided, not {settings.num_conviction}.")
    return TaskResult(
        primary_metric=PRIMARY_METRIC,
        infos=infos,
        estimates=estimates,
        comparisons=compare_all(infos, estimates, subject),
        figures=_figures(estimates, settings, num_documents),
        tables=[_table(rows)],
        notes=notes,
    )


def _temperatures(settings: EvaluateSection) -> list[float]:
    return sorted(set(settings.temperatures))


def _max_new_tokens(settings: EvaluateSection) -> int:
    """A few sentences are enough, for they are drawn at every temperature."""
    return min(MAX_NEW_TOKENS, settings.max_new_tokens)


def _name(temperature: float) -> str:
    """JSON has no numbers for keys."""
    return f"{temperature:g}"


def _infos(settings: EvaluateSection) -> dict[str, MetricInfo]:
    infos = {
        "conviction": MetricInfo(
            "conviction, mean over temperature",
            "higher",
            "Share of statements that keep to the evidence: the area under the curve over temperature, divided by its range.",
            "percent",
        ),
        "creativity": MetricInfo(
            "creativity, mean over temperature",
            "neither",
            "Likewise. At a temperature it is the mean of novelty (the share of runs of four words that stand neither in the "
            "prompt nor in the paper) and variety (one minus the cosine of the MiniLM vectors of two samples of a prompt).",
            "percent",
        ),
    }
    for name in map(_name, _temperatures(settings)):
        infos[f"conviction_at_{name}"] = MetricInfo(
            f"conviction at temperature {name}", "higher", "Share of statements that keep to the evidence.", "percent"
        )
        infos[f"creativity_at_{name}"] = MetricInfo(
            f"creativity at temperature {name}", "neither", "The mean of novelty and variety.", "percent"
        )
    return infos


def _score(drawn: Sequence[tuple[Mapping[str, Any], Sequence[str]]], meaning: Meaning) -> _Scores:
    scores = _Scores([], [], [], [], [], [])
    for sample, texts in drawn:
        statements = [statement for text in texts for statement in statements_of(text)]
        known = facts_of_paper(sample)
        invents = [bool(len(find_facts(statement).beyond(known))) for statement in statements]
        unlike = _unlike(statements, [*sentences(sample["prompt"]), *sentences(sample["truth"])], meaning)
        scores.num_statements.append(len(statements))
        scores.num_kept.append(sum(not (a or b) for a, b in zip(invents, unlike, strict=True)))
        scores.num_inventing.append(sum(invents))
        scores.num_unlike.append(sum(unlike))
        scores.novelty.append(_novelty(texts, f"{sample['prompt']} {sample['truth']}"))
        scores.variety.append(1 - meaning.mutual_similarity(texts))
    return scores


def statements_of(text: str) -> list[str]:
    """The sentences of a continuation; the last, if it has no end, without its last word, and if it is long enough."""
    parts = sentences(text)
    if not parts or parts[-1].rstrip("\"'”)").endswith((".", "!", "?")):
        return parts
    *whole, cut = parts
    words = cut.split()[:-1]
    return [*whole, " ".join(words)] if len(words) >= LEAST_WORDS else whole


def _unlike(statements: Sequence[str], evidence: Sequence[str], meaning: Meaning) -> list[bool]:
    """Whether each statement is far from every sentence of the evidence."""
    if not statements:
        return []
    cosines_NM = meaning.vectors(statements) @ meaning.vectors(evidence).T
    return [bool(closest < SUPPORT) for closest in cosines_NM.max(axis=1)]


def _novelty(texts: Sequence[str], evidence: str) -> float:
    """The share of 4-grams that the evidence does not have; nothing is new in texts too short for any."""
    known = set(grams(evidence, 4))
    found = [gram for text in texts for gram in grams(text, 4)]
    return sum(gram not in known for gram in found) / len(found) if found else 0.0


def _estimates(scores: Mapping[float, _Scores], settings: EvaluateSection) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for temperature, own in scores.items():
        conviction = estimate_share(own.num_kept, own.num_statements, settings)
        if conviction is not None:
            found[f"conviction_at_{_name(temperature)}"] = conviction
        creativity_N = (np.array(own.novelty) + np.array(own.variety)) / 2
        found[f"creativity_at_{_name(temperature)}"] = estimate_mean(
            creativity_N, settings.num_resamples, settings.seed
        )
    for metric in ("conviction", "creativity"):
        curve = [found.get(f"{metric}_at_{_name(temperature)}") for temperature in scores]
        whole = [point for point in curve if point is not None]
        if len(whole) == len(curve):
            found[metric] = _mean_over(list(scores), whole)
    return found


def _mean_over(temperatures: Sequence[float], curve: Sequence[Estimate]) -> Estimate:
    """The area under a curve by trapezoids over its range, in each resample; of a single point its value."""
    if len(curve) == 1:
        return curve[0]
    widths = np.diff(temperatures)
    weights_T = (np.append(widths, 0) + np.insert(widths, 0, 0)) / 2 / (temperatures[-1] - temperatures[0])
    values = [point.values_R for point in curve if point.values_R is not None]
    return Estimate(
        float(weights_T @ [point.value for point in curve]),
        weights_T @ np.stack(values) if values else None,
        curve[0].num_samples,
    )


def _row(scores: _Scores) -> list[float | int | None]:
    total = sum(scores.num_statements)
    shares = [
        sum(part) / total if total else None for part in (scores.num_kept, scores.num_inventing, scores.num_unlike)
    ]
    return [total, *shares, float(np.mean(scores.novelty)), float(np.mean(scores.variety))]


def _table(rows: Sequence[Sequence[Any]]) -> Table:
    columns = ["system", "temperature", "statements", "kept", "invent a fact", "unlike the paper", "novelty", "variety"]
    note = "Kept are statements that neither invent a fact nor are unlike the paper."
    return Table("statements", "What statements do", columns, rows, note)


def _figures(
    estimates: Mapping[str, Mapping[str, Estimate]], settings: EvaluateSection, num_documents: int
) -> list[Figure]:
    note = f"{num_documents} documents; 95 % intervals."
    against_temperature = [
        Figure(
            metric,
            f"{metric.capitalize()} over temperature",
            "lines",
            "temperature",
            f"{metric}, %",
            [_series(key, own, metric, settings) for key, own in estimates.items()],
            note=note,
        )
        for metric in ("conviction", "creativity")
    ]
    curve = Figure(
        "curve",
        "Conviction against creativity",
        "lines",
        "creativity, %",
        "conviction, %",
        [_series(key, own, "conviction", settings, over="creativity") for key, own in estimates.items()],
        note=f"One point a temperature, from {min(settings.temperatures):g} to {max(settings.temperatures):g}. {note}",
    )
    return [figure for figure in (curve, *against_temperature) if any(len(series.x) for series in figure.series)]


def _series(
    key: str, own: Mapping[str, Estimate], metric: str, settings: EvaluateSection, over: str | None = None
) -> Series:
    points = []
    for temperature in _temperatures(settings):
        point = own.get(f"{metric}_at_{_name(temperature)}")
        if point is not None:
            x = 100 * own[f"{over}_at_{_name(temperature)}"].value if over else temperature
            points.append((x, point))
    lows, highs = bounds(point.ci95 for _, point in points)
    return Series(
        key,
        [x for x, _ in points],
        [100 * point.value for _, point in points],
        [100 * low for low in lows],
        [100 * high for high in highs],
    )
