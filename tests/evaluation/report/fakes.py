"""A report as an evaluation of six systems gives it: every kind of figure, every verdict, and all that may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrollama.evaluation.figures import Example, Figure, Series, Table
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.report import plain_json, task_json
from astrollama.evaluation.task import MetricInfo, TaskResult, compare_all

HOSTILE = "<script>alert('x')</script> & $\\alpha_s$ of \"NGC_1234\""
SYSTEMS = [
    ("adapted", "SmolLM2-135M + 45 minutes of astro-ph abstracts", "adapted", None),
    ("base", "SmolLM2-135M", "base", None),
    ("llama", "a/very-long-name/of-a-local-model_with_underscores-and-$dollars$-in-it-7B", "other", None),
    ("gpt-4", "GPT-4", "other", "the environment has no OPENAI_API_KEY"),
    ("minilm", "MiniLM (all-minilm-l6-v2)", "baseline", None),
    ("bm25", "BM25", "baseline", None),
]
SUBJECT = "adapted"
METRICS = [{"num_tokens": 256 * step, "loss": 3.4 * step**-0.06} for step in range(1, 241)]


def fake_report(**changes: Any) -> dict[str, Any]:
    """The whole report, with some of its keys changed."""
    report = {
        "schema_version": 2,
        "created_at": "2026-11-22T17:16:38+00:00",
        "name": "smollm2-135m-cpu",
        "kind": "evaluate",
        "quick": None,
        "num_documents": 200,
        "num_documents_held_out": 8290,
        "num_tokens": 61_404,
        "systems": [
            {
                "key": key,
                "label": label,
                "role": role,
                "identity": f"sha256:{place:064x}",
                "digest": f"{place:064x}" if place < 2 else "",
                "unavailable": reason,
            }
            for place, (key, label, role, reason) in enumerate(SYSTEMS)
        ],
        "tasks": {name: task() for name, task in TASKS.items()},
        "tasks_left_out": {"forgetting": "no file of general text was given with --general"},
        "subject": SUBJECT,
        "leak": None,
        "paper": [],
        "perplexity": _group()
        | {"version": 2, "by_year": {"2026": _group()}, "by_category": {"astro-ph.GA": _group()}},
        "completions": [
            {
                "id": "2609.00001",
                "title": HOSTILE,
                "date": "2026-09-01",
                "primary_category": "astro-ph.GA",
                "prompt": "We show that",
                "truth": "galaxies rotate.",
                "adapted": "galaxies merge.",
                "base": "",
            }
        ],
        "trained_on": {"num_documents": 40_000, "num_of_corpus": 40_000, "num_in_corpus": 40_000},
        "train": {
            "method": "full",
            "num_tokens": 313_344,
            "tokens_per_second": 139.4,
            "seconds": 2702.0,
            "steps": 306,
            "parameters": 134_515_008,
            "parameters_trained": 134_515_008,
            "final_loss": 2.71,
            "hardware": {},
        },
        "models": {
            "base": {"name": "smollm2-135m", "digest": "b" * 64},
            "adapted": {"name": "run", "digest": "a" * 64},
        },
        "corpus": {
            "counts": {
                "records": 55_000,
                "train": 40_000,
                "test": 8290,
                "rejected": {"too short": 29, "duplicate": 112},
            },
            "split": {"held_out_from": "2026-07"},
            "inputs": [["papers.jsonl.gz", "c" * 64]],
            "files": {"train.parquet": "d" * 64, "test.parquet": "e" * 64},
        },
        "settings": {"num_documents": 200, "api": {"max_cost": 1.0, "input_price": None}, "temperatures": [0.1, 0.4]},
        "recipe": {"name": "smollm2-135m-cpu", "train": {"budget": "45 minutes", "patience": None}},
        "versions": {"astrollama": "0.1.0", "git_commit": "0123456789abcdef", "python": "3.12.1", "peft": None},
        "hardware": {"processor": "a processor", "cores": 2, "memory_gib": 15.5, "gpu": None},
        "seconds": 4210.0,
        "seed": 0,
    }
    return report | changes


def _group() -> dict[str, Any]:
    return {
        "num_documents": 200,
        "num_tokens": 61_404,
        "num_bytes": 280_000,
        "base": 31.1234,
        "base_ci95": [29.7, 32.6],
        "adapted": 21.8712,
        "adapted_ci95": [20.9, 22.8],
        "relative_reduction": 0.2973,
        "relative_reduction_ci95": [0.289, 0.305],
    }


def _estimates(means: Mapping[str, float], spread: float = 0.1, num_samples: int = 120) -> dict[str, Estimate]:
    """Estimates of a mean for each system, from samples that go up and down together as those of real systems do."""
    common_N = np.random.default_rng(1).normal(0, spread, num_samples)
    estimates = {}
    for place, (key, mean) in enumerate(means.items()):
        own_N = np.random.default_rng([2, place]).normal(0, 0.3 * spread, num_samples)
        values_N = common_N + own_N
        estimates[key] = estimate_mean(mean + values_N - values_N.mean(), 400, 0)
    return estimates


def _result(infos: dict[str, MetricInfo], by_metric: Mapping[str, Mapping[str, Estimate]], **more: Any) -> TaskResult:
    keys = list(dict.fromkeys(key for own in by_metric.values() for key in own))
    estimates = {key: {name: own[key] for name, own in by_metric.items() if key in own} for key in keys}
    return TaskResult(next(iter(infos)), infos, estimates, compare_all(infos, estimates, SUBJECT), **more)


def _bars(name: str, title: str, label: str, groups: list[str], means: Mapping[str, float]) -> Figure:
    series = []
    for key, mean in means.items():
        heights = [round(mean * (1 + 0.06 * np.sin(3 * place)), 4) for place in range(len(groups))]
        width = abs(0.05 * mean)
        series.append(Series(key, groups, heights, [own - width for own in heights], [own + width for own in heights]))
    return Figure(name, title, "bars", "", label, series, note="200 documents; 95 % intervals.")


def perplexity() -> dict[str, Any]:
    means = {"adapted": 21.87, "base": 31.12, "llama": 18.0}
    infos = {
        "perplexity": MetricInfo(
            "perplexity", "lower", "exp of the summed negative log-likelihood over the number of tokens.", relative=True
        ),
        "bits_per_byte": MetricInfo("bits per byte", "lower", "The same sum in bits over the bytes of the texts."),
    }
    years = [str(year) for year in range(2015, 2027)]
    result = _result(
        infos,
        {
            "perplexity": _estimates(means, 4.0),
            "bits_per_byte": _estimates({key: np.log2(mean) / 4.6 for key, mean in means.items()}, 0.05),
        },
        figures=[
            _bars("perplexity", "Perplexity", "perplexity", ["perplexity"], means),
            _bars("by-year", "Perplexity by year", "perplexity", years, {"adapted": 21.87, "base": 31.12}),
            _bars(
                "by-category",
                "Reduction by category",
                "reduction, %",
                [
                    "astro-ph.GA",
                    "astro-ph.CO",
                    HOSTILE,
                    "astro-ph.HE",
                    "a category with a very long name indeed, longer",
                ],
                {"adapted": -29.7},
            ),
        ],
        tables=[
            Table(
                "by-year",
                "Perplexity by year",
                ["year", "documents", "base", "adapted"],
                [[year, 20 + place, 31.1234, None if place == 3 else 21.8712] for place, year in enumerate(years)],
                "A dash: too few documents.",
            )
        ],
        notes=["gpt-4 and adapted divide texts into different tokens."],
    )
    seconds = {"adapted": 131.0, "base": 128.5, "llama": 1204.0}
    left_out = {"gpt-4": "no key", "minilm": "MiniLM cannot tell how likely a text is"}
    return task_json(result, "Perplexity", 2, seconds, left_out)


def completion() -> dict[str, Any]:
    means = {"adapted": 0.61, "base": 0.612, "llama": 0.64}
    result = _result(
        {"choice_accuracy": MetricInfo("choice of the true continuation", "higher", "Among four.", style="percent")},
        {"choice_accuracy": _estimates(means, 0.3)},
        examples=[
            Example(
                f"{HOSTILE} {place}",
                "We present new observations of the galaxy NGC 1234 with the VLT.",
                [
                    ("base", "It is a galaxy. " * 12),
                    ("adapted", f"We find {HOSTILE} " * 4),
                    ("llama", ""),
                    ("what the authors wrote", "Its rotation curve is flat to 30 kpc. " * 6),
                ],
            )
            for place in range(4)
        ],
    )
    return task_json(
        result, "Completion", 1, {"adapted": 300.0, "base": 290.0}, {"bm25": "BM25 cannot continue a text"}
    )


def embeddings() -> dict[str, Any]:
    edges = np.linspace(-0.2, 1, 61)
    generator = np.random.default_rng(0)
    series = [
        Series(key, edges.tolist(), np.histogram(generator.normal(mean, width, 4000), edges, density=True)[0].tolist())
        for key, mean, width in (
            ("adapted", 0.9, 0.04),
            ("base", 0.86, 0.05),
            ("minilm", 0.36, 0.13),
            ("llama", 0.5, 0.1),
        )
    ]
    kinds = [
        Series("adapted", edges.tolist(), np.histogram(generator.normal(0, 0.27, 4000), edges)[0].tolist(), label=label)
        for label in ("raw", "centred", "whitened")
    ]
    result = _result(
        {
            "mean_cosine": MetricInfo("mean cosine of pairs", "neither", "Of all pairs of abstracts."),
            "effective_rank": MetricInfo("effective rank", "neither", "exp of the entropy of the singular values."),
        },
        {
            "mean_cosine": _estimates({"adapted": 0.9, "base": 0.86, "minilm": 0.36}, 0.05),
            "effective_rank": _estimates({"adapted": 101.2, "base": 101.0}, 9),
        },
        figures=[
            Figure("cosines", "Cosines of pairs", "histogram", "cosine", "density", series, note="4,000 pairs."),
            Figure("variants", "The adapted model, treated", "histogram", "cosine", "pairs", kinds),
        ],
    )
    return task_json(result, "Embeddings", 1, {"adapted": 61.0, "base": 60.0, "minilm": 9.0}, {})


def retrieval() -> dict[str, Any]:
    means = {"adapted": 0.11, "base": 0.19, "minilm": 0.94, "bm25": 0.85}
    label = "recall@1, title to abstract"
    result = _result(
        {"title_recall_at_1": MetricInfo(label, "higher", "Titles whose abstract comes first.", style="percent")},
        {"title_recall_at_1": _estimates(means, 0.2)},
        figures=[
            _bars(
                "recall",
                "Recall at 1",
                "recall@1, %",
                ["title", "first half", "citations"],
                {k: 100 * v for k, v in means.items()},
            )
        ],
    )
    return task_json(result, "Retrieval", 1, {}, {"gpt-4": "no key"})


def categorisation() -> dict[str, Any]:
    names = ["astro-ph.CO", "astro-ph.EP", "astro-ph.GA", "astro-ph.HE", "astro-ph.IM", "astro-ph.SR"]
    counts = np.random.default_rng(0).poisson(4, (6, 6)) + np.diag([61, 40, 88, 70, 22, 49])
    rows = [Series("adapted", names, row.tolist(), label=name) for name, row in zip(names, counts, strict=True)]
    result = _result(
        {"macro_f1": MetricInfo("macro-F1, linear probe", "higher", "The mean of the F1 of the categories.")},
        {"macro_f1": _estimates({"adapted": 0.74, "base": 0.74}, 0.1)},
        figures=[
            Figure(
                "confusion", "Confusion, adapted", "matrix", "put into", "true category", rows, note="400 abstracts."
            )
        ],
        details={"classes": names, "counts": counts},
    )
    return task_json(result, "Text categorisation", 1, {"adapted": 10.0}, {})


def calibration() -> dict[str, Any]:
    x = np.linspace(0.05, 0.95, 10)
    series = [
        Series(key, x.tolist(), (x**power).tolist(), (x**power - 0.03).tolist(), (x**power + 0.03).tolist())
        for key, power in (("adapted", 1.1), ("base", 1.3))
    ]
    fine = np.linspace(0, 1, 101)
    curve = [
        Series(key, fine.tolist(), (fine**power).tolist(), (fine**power - 0.05).tolist(), (fine**power + 0.05).tolist())
        for key, power in (("adapted", 0.5), ("base", 0.8), ("llama", 1.5))
    ]
    few = _estimates({"adapted": 0.034, "base": 0.051}, num_samples=3)
    result = _result(
        {"ece": MetricInfo("expected calibration error", "lower", "Mean gap (Guo et al. 2017).", style="percent")},
        {"ece": few},
        figures=[
            Figure("reliability", "Reliability", "lines", "probability given", "share right", series, diagonal=True),
            Figure("curve", "Fidelity against novelty", "lines", "novelty", "fidelity", curve),
        ],
    )
    return task_json(result, "Calibration", 1, {"adapted": 1.0}, {})


def knowledge() -> dict[str, Any]:
    """The base is far better, and one value overflowed."""
    broken = Estimate(float("inf"), np.array([np.inf, np.nan]), 152)
    result = _result(
        {"accuracy": MetricInfo("accuracy, MMLU astronomy", "higher", "Questions answered right.", style="percent")},
        {"accuracy": _estimates({"adapted": 0.25, "base": 0.32}, 0.05) | {"llama": broken}},
    )
    return task_json(result, "Knowledge", 3, {"adapted": 5.0}, {})


TASKS = {
    task.__name__: task
    for task in (perplexity, completion, embeddings, retrieval, categorisation, knowledge, calibration)
}
PAPER = plain_json(
    [
        Table(
            "perplexity",
            "Perplexity",
            ["what", "the paper's (not measured here)", "here"],
            [["perplexity, base", "about 9.7 (recalled)", 31.1234], ["lower by", "32.5 % (seen)", "29.7 %"]],
            "LLaMA-2-7B there, SmolLM2-135M here.",
        )
    ]
)
