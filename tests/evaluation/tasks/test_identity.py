"""What a harness that measures nothing would get wrong: a model against itself, and one whose weights know nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.task import TaskResult, find_task
from astrollama.models.load import load_model, load_tokenizer
from astrollama.sections import EvaluateSection
from astrollama.tokens.shards import pack_corpus
from astrollama.training.run import train
from tests.conftest import tiny_recipe
from tests.evaluation.scored import tiny_system

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SETTINGS = EvaluateSection(num_documents=20, num_calibration=20, packed_length=64, num_resamples=500)


@pytest.fixture(scope="module")
def trained(sample_corpus: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has seen enough to know which tokens are frequent."""
    home = tmp_path_factory.mktemp("trained")
    pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", home / "tokens")
    recipe = tiny_recipe(tiny_model, "train.peak_lr=1e-2", 'train.budget="12_000 tokens"')
    train(recipe, home / "tokens", home / "run", resume=False)
    return home / "run" / "model"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("identity")


@pytest.fixture(scope="module")
def shuffled(benchmark: ModuleType, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = benchmark.shuffled_copy(trained, tmp_path_factory.mktemp("shuffled") / "model", seed=0)
    return folder


def compared(task_name: str, corpus: Path, base: Path, adapted: Path) -> TaskResult:
    task, data = find_task(task_name), EvaluationData(corpus, seed=0)
    assert task.missing(data, SETTINGS) is None
    systems = tiny_system("base", base), tiny_system("adapted", adapted)
    measurements = {system.key: task.measure(system, data, SETTINGS) for system in systems}
    return task.summarise(measurements, data, SETTINGS, "adapted")


@pytest.mark.parametrize("task", ["perplexity", "calibration"])
def test_a_model_against_itself_shows_no_difference(task: str, sample_corpus: Path, tiny_model: Path) -> None:
    result = compared(task, sample_corpus, tiny_model, tiny_model)
    assert [comparison.metric for comparison in result.comparisons] == list(result.infos)
    for comparison in result.comparisons:
        assert comparison.difference == 0
        assert comparison.ci95 == [0, 0]
        assert comparison.verdict == "undecided"


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        (
            "perplexity",
            ["perplexity", "bits_per_byte", "bits_per_word", "median_document_perplexity", "packed_perplexity"],
        ),
        # of a low error alone nothing follows; but this model stays surer than it is right
        ("calibration", ["ece", "nll", "accuracy"]),
    ],
)
def test_shuffled_weights_are_far_worse(
    task: str, metrics: list[str], sample_corpus: Path, trained: Path, shuffled: Path
) -> None:
    result = compared(task, sample_corpus, trained, shuffled)
    verdicts = {comparison.metric: comparison.verdict for comparison in result.comparisons}
    assert {metric: verdicts[metric] for metric in metrics} == dict.fromkeys(metrics, "worse")
    assert result.primary_metric in metrics


def test_a_shuffled_copy_has_the_same_numbers_in_another_order(trained: Path, shuffled: Path) -> None:
    before, after = (dict(load_model(str(folder)).model.named_parameters()) for folder in (trained, shuffled))
    assert before.keys() == after.keys()
    for name, parameter in before.items():
        assert (parameter.flatten().sort().values == after[name].flatten().sort().values).all()
        assert bool((parameter == after[name]).all()) == (parameter.ndim == 1), name


def report(*comparisons: tuple[str, float, list[float] | None, str]) -> dict[str, Any]:
    """What the benchmark reads of a report: one task with these comparisons, `nll` its primary metric."""
    metrics = {"nll": {"value": 3.0, "ci95": None, "num_samples": 7}}
    names = ("metric", "difference", "ci95", "verdict")
    compared = [{**dict(zip(names, own, strict=True)), "against": "base"} for own in comparisons]
    systems = {key: {"metrics": metrics} for key in ("adapted", "base")}
    return {"tasks": {"calibration": {"primary_metric": "nll", "systems": systems, "comparisons": compared}}}


@pytest.mark.parametrize(
    ("comparisons", "check"),
    [
        ([("nll", 0.0, [0.0, 0.0], "undecided"), ("ece", 0.1, [-0.1, 0.2], "undecided")], "passed"),
        ([("nll", 0.0, None, "undecided")], "passed"),
        ([("nll", 0.0, [0.0, 0.0], "undecided"), ("ece", 0.1, [0.05, 0.2], "worse")], "FAILED"),
        ([("nll", 0.1, None, "undecided")], "FAILED"),
        ([], "FAILED"),
    ],
)
def test_the_benchmark_sees_a_difference_to_itself(
    benchmark: ModuleType, comparisons: list[tuple[str, float, list[float] | None, str]], check: str
) -> None:
    assert [row["check"] for row in benchmark.no_difference(report(*comparisons))] == [check]


@pytest.mark.parametrize(
    ("comparisons", "check"),
    [
        ([("nll", 5.0, [4.0, 6.0], "worse")], "passed"),
        ([("nll", -5.0, [-6.0, -4.0], "better")], "FAILED"),
        ([("nll", 0.1, [-0.1, 0.2], "undecided"), ("ece", 0.4, [0.3, 0.5], "worse")], "FAILED"),
        ([], "FAILED"),
    ],
)
def test_the_benchmark_wants_the_primary_metric_to_be_worse(
    benchmark: ModuleType, comparisons: list[tuple[str, float, list[float] | None, str]], check: str
) -> None:
    assert [row["check"] for row in benchmark.far_worse(report(*comparisons))] == [check]
