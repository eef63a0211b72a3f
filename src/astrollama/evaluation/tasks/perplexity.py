"""How well each system predicts held-out documents.

Perplexity is exp(summed negative log-likelihood / number of tokens) over all documents, never a mean of means. It depends on
the tokenizer; the same sum in bits over the bytes of the text, or over its words, does not, so that models with other
tokenizers compare. Intervals come from resampling documents, all systems on the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrollama.evaluation.candidates import ADAPTED, BASE
from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.figures import Figure, Series, Table
from astrollama.evaluation.intervals import Estimate, estimate, estimate_by_index
from astrollama.evaluation.likelihoods.groups import document_groups, reductions_by_group
from astrollama.evaluation.likelihoods.likelihoods import Samples, likelihood_estimates, reduction, same_tokens
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all
from astrollama.sections import EvaluateSection

NAME = "perplexity"
TITLE = "Perplexity of held-out documents"
VERSION = 2
PRIMARY_METRIC = "perplexity"
NEEDS: frozenset[SystemAbility] = frozenset({"score"})
FILES: frozenset[DataFile] = frozenset()

BETWEEN_TOKENIZERS = "bits_per_byte"  # the primary metric where tokenizers differ
_OF_THE_TEXT = ("bits_per_byte", "bits_per_word")  # metrics that no tokenizer decides


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Perplexity needs held-out documents."""
    del settings
    return None if data.test else "the corpus holds no document out"


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Score the first `num_documents` held-out documents, each alone and all packed.

    Returns:
        One record a document; `details["packed"]` has the `nll` and `num_tokens` of each piece.
    """
    documents = data.test[: settings.num_documents]
    texts = [document.text for document in documents]
    scorer = system.scorer()
    samples = [
        {
            "id": document.id,
            "content_hash": document.content_hash,
            "date": document.date,
            "primary_category": document.primary_category,
            "nll": likelihood.nll,
            "num_tokens": likelihood.num_tokens,
            "num_bytes": likelihood.num_bytes,
            "num_words": len(document.text.split()),
        }
        for document, likelihood in zip(documents, scorer.loglikelihood_rolling(texts), strict=True)
    ]
    pieces = [
        {"nll": piece.nll, "num_tokens": piece.num_tokens}
        for piece in scorer.loglikelihood_packed(texts, settings.packed_length)
    ]
    return Measurement(samples, {"packed": pieces})


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Metrics of every system, the subject against the others, and by year, category and length against the base."""
    del data
    samples = {key: measurement.samples for key, measurement in measurements.items()}
    estimates = {key: _estimates(measurement, settings) for key, measurement in measurements.items()}
    infos = _infos(settings.packed_length)
    reference = subject if subject in samples else next(iter(samples))
    alike = [key for key in samples if same_tokens(samples[reference], samples[key])]
    others = [key for key in samples if key not in alike]
    metric = BETWEEN_TOKENIZERS if others else PRIMARY_METRIC
    notes = []
    if others:
        notes.append(
            f"{', '.join(others)} and {reference} divide texts into different tokens, so that their perplexities are not "
            "compared: bits per byte are, which depend on no tokenizer."
        )
    figures = [_bars(metric, infos, estimates)]
    tables: list[Table] = []
    if subject in samples and BASE in samples:
        metric_of_groups = PRIMARY_METRIC if BASE in alike else BETWEEN_TOKENIZERS
        by_group, tables = reductions_by_group(
            subject, samples[subject], BASE, samples[BASE], metric_of_groups, settings
        )
        figures += by_group
    return TaskResult(
        primary_metric=metric,
        infos=infos,
        estimates=estimates,
        comparisons=[
            comparison
            for comparison in compare_all(infos, estimates, subject)
            if comparison.metric in _OF_THE_TEXT or comparison.against in alike
        ],
        figures=figures,
        tables=tables,
        notes=notes,
    )


def headline(
    measurements: Mapping[str, Measurement], settings: EvaluateSection, subject: str = ADAPTED, base: str = BASE
) -> dict[str, Any]:
    """The subject beside the base under the keys of the report's first schema, in all and `by_year` and `by_category`.

    Both must have been measured. `relative_reduction` and its interval are None where their tokens differ.
    """
    own, theirs = measurements[subject].samples, measurements[base].samples
    comparable = same_tokens(own, theirs)

    def pair(indices: Sequence[int]) -> dict[str, Any]:
        of_subject, of_base = ([samples[index] for index in indices] for samples in (own, theirs))
        return _pair(of_subject, of_base, settings, comparable=comparable)

    groups = {
        f"by_{grouping}": {name: pair(indices) for name, indices in document_groups(own, grouping).items()}
        for grouping in ("year", "category")
    }
    return pair(range(len(own))) | {"version": VERSION, "primary_metric": "relative_reduction"} | groups


def _pair(subject: Samples, base: Samples, settings: EvaluateSection, *, comparable: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "num_documents": len(subject),
        "num_tokens": sum(sample["num_tokens"] for sample in subject),
        "num_bytes": sum(sample["num_bytes"] for sample in subject),
    }
    of_subject, of_base = likelihood_estimates(subject, settings), likelihood_estimates(base, settings)
    for suffix, metric in (("", "perplexity"), ("_bits_per_byte", "bits_per_byte")):
        for name, estimates in (("base", of_base), ("adapted", of_subject)):
            record[f"{name}{suffix}"] = estimates[metric].value
            record[f"{name}{suffix}_ci95"] = estimates[metric].ci95
    share = reduction(of_subject["perplexity"], of_base["perplexity"]) if comparable else (None, None)
    return record | {"relative_reduction": share[0], "relative_reduction_ci95": share[1]}


def _estimates(measurement: Measurement, settings: EvaluateSection) -> dict[str, Estimate]:
    samples, pieces = measurement.samples, measurement.details["packed"]
    perplexity_N = np.exp([sample["nll"] / sample["num_tokens"] for sample in samples])
    pieces_2P = np.array([[piece["nll"] for piece in pieces], [piece["num_tokens"] for piece in pieces]], dtype=float)
    return likelihood_estimates(samples, settings) | {
        "median_document_perplexity": estimate_by_index(
            lambda drawn_N: float(np.median(perplexity_N[drawn_N])), len(samples), settings.num_resamples, settings.seed
        ),
        "packed_perplexity": estimate(
            lambda sums_2: np.exp(sums_2[0] / sums_2[1]), pieces_2P, settings.num_resamples, settings.seed
        ),
    }


def _infos(packed_length: int) -> dict[str, MetricInfo]:
    return {
        "perplexity": MetricInfo(
            "perplexity",
            "lower",
            "exp of the summed negative log-likelihood over the number of tokens, of all documents; each is scored alone, from "
            "BOS on, and its end is not scored.",
            relative=True,
        ),
        "bits_per_byte": MetricInfo(
            "bits per byte",
            "lower",
            "The same sum in bits over the bytes of the texts in UTF-8; it depends on no tokenizer.",
        ),
        "bits_per_word": MetricInfo(
            "bits per word", "lower", "The same sum in bits over the words, counted between spaces."
        ),
        "median_document_perplexity": MetricInfo(
            "perplexity of the median document",
            "lower",
            "The median of the perplexities that single documents have; short ones count as much as long ones.",
            relative=True,
        ),
        "packed_perplexity": MetricInfo(
            f"perplexity, packed in pieces of {packed_length} tokens",
            "lower",
            "As the AstroLLaMA paper packed its texts (recalled): BOS and EOS around each document, end to end, cut into "
            "equal pieces; BOS and EOS are scored too. Its interval is over pieces.",
            relative=True,
        ),
    }


def _bars(metric: str, infos: Mapping[str, MetricInfo], estimates: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    label = infos[metric].label
    series = []
    for key, own in estimates.items():
        low, high = own[metric].ci95 or (None, None)
        bounds = ((), ()) if low is None or high is None else ((low,), (high,))
        series.append(Series(key, [label], [own[metric].value], *bounds))
    num_documents = next(iter(estimates.values()))[metric].num_samples
    note = f"{num_documents} documents; 95 % intervals over documents. Lower is better."
    return Figure(metric, label.capitalize(), "bars", "", label, series, note=note)
