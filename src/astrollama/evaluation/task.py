"""The contract of an evaluation task, and what it gives.

A task is a module of `astrollama.evaluation.tasks`. It measures one system at a time, which is what takes long and is kept on
disk, and then makes metrics and comparisons from all that was measured, which takes seconds.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from astrollama.errors import UserInputError
from astrollama.evaluation.figures import Example, Figure, Table
from astrollama.evaluation.intervals import Estimate, interval_95

if TYPE_CHECKING:
    from astrollama.evaluation.data import DataFile, EvaluationData
    from astrollama.evaluation.systems import System, SystemAbility
    from astrollama.sections import EvaluateSection

Better = Literal["lower", "higher", "neither"]
Verdict = Literal["better", "worse", "undecided"]

ROUNDING = 1e-5

_DOES = {"score": "tell how likely a text is", "generate": "continue a text", "embed": "turn a text into a vector"}
TASKS = (
    "perplexity",
    "completion",
    "embeddings",
    "retrieval",
    "categorisation",
    "knowledge",
    "forgetting",
    "conviction",
    "calibration",
)


@dataclass(frozen=True)
class Measurement:
    """What one system did in a task; it is kept on disk as JSON.

    Attributes:
        samples: one record a sample, in the same order for every system, with the sample's `id`.
        details: what else `summarise` needs and is no matter of single samples.
        label: of the system, as a person reads it; the one thing that is not kept.
    """

    samples: list[dict[str, Any]]
    details: dict[str, Any] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True)
class MetricInfo:
    """What a metric is.

    Attributes:
        label: as a person reads it, for example `perplexity` or `recall@1, title to abstract`.
        better: which way is an improvement; `neither` for a property such as the mean cosine.
        style: how its values are printed.
        relative: a difference is told as the share by which the value changes, as for perplexity.
        about: one sentence: what is counted over what, with the equation or the paper where there is one.
    """

    label: str
    better: Better
    about: str
    style: Literal["number", "percent"] = "number"
    relative: bool = False


@dataclass(frozen=True)
class Comparison:
    """The subject against another system in one metric, on the same samples.

    Attributes:
        difference: subject minus other; of a `relative` metric, that divided by the other's value.
        verdict: what the interval allows to say of the subject; `undecided` reads "no difference shown".
    """

    metric: str
    against: str
    difference: float
    ci95: list[float] | None
    verdict: Verdict


@dataclass(frozen=True)
class TaskResult:
    """What a task tells of all systems.

    Attributes:
        infos: by the name of the metric, in the order of the report; a name is a field's term such as `recall_at_1`,
            with a prefix where there are several (`title_recall_at_1`).
        estimates: by the system's key, then by the metric's name.
        comparisons: of the subject with each other system in each metric that both have.
        figures, tables, examples: for the report.
        notes: sentences that a reader must know to read the numbers rightly, such as a leak.
        details: what else a program may want, JSON.
    """

    primary_metric: str
    infos: dict[str, MetricInfo]
    estimates: dict[str, dict[str, Estimate]]
    comparisons: list[Comparison]
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


class EvaluationTask(Protocol):
    """What a task's module has.

    Attributes:
        NAME: as in `TASKS`.
        TITLE: as a person reads it.
        VERSION: raised when the same system would get another number; older measurements are then made again.
        PRIMARY_METRIC: the one in the summary.
        NEEDS: a system is measured if it has one of these abilities.
        FILES: the files that it reads besides the corpus; with another of these it is measured again.
    """

    NAME: str
    TITLE: str
    VERSION: int
    PRIMARY_METRIC: str
    NEEDS: frozenset[SystemAbility]
    FILES: frozenset[DataFile]

    def missing(self, data: EvaluationData, settings: EvaluateSection) -> str | None:
        """Why the task cannot be run with this data at all (a file was not given), or None.

        It is asked before anything is measured, so this is where a task reads and checks its files.

        Raises:
            UserInputError: a file is damaged.
        """
        ...

    def measure(self, system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
        """Measure one system; what a task may use of the system is told by `NEEDS`."""
        ...

    def summarise(
        self,
        measurements: Mapping[str, Measurement],
        data: EvaluationData,
        settings: EvaluateSection,
        subject: str,
    ) -> TaskResult:
        """Metrics of all systems that were measured, one at least, and comparisons of `subject` with the others."""
        ...


def names_of(measurements: Mapping[str, Measurement]) -> dict[str, str]:
    """What sentences call the systems, by their keys."""
    return {key: own.label or key for key, own in measurements.items()}


def primary_of(metrics: Sequence[str], estimates: Mapping[str, Mapping[str, Estimate]]) -> str:
    """The first of some metrics that has samples enough for an interval; where none has, the first.

    Args:
        metrics: those that can be a task's primary metric, the preferred one first.
    """
    some = next(iter(estimates.values()))
    return next((name for name in metrics if name in some and some[name].values_R is not None), metrics[0])


def find_task(name: str) -> EvaluationTask:
    """The task of a name.

    Raises:
        UserInputError: there is none.
    """
    known_tasks([name])
    return cast("EvaluationTask", importlib.import_module(f"astrollama.evaluation.tasks.{name}"))


def needed_ability(task: EvaluationTask) -> str:
    """What a system must be able to do for a task, in words: `tell how likely a text is or continue a text`."""
    return " or ".join(words for ability, words in _DOES.items() if ability in task.NEEDS)


def known_tasks(names: Sequence[str]) -> list[str]:
    """The names in the tasks' own order, each once.

    Raises:
        UserInputError: a name is unknown, or there is none.
    """
    for name in names or [""]:
        if name not in TASKS:
            close = difflib.get_close_matches(name, TASKS, n=1)
            guess = f"did you mean {close[0]}? " if close else ""
            raise UserInputError(f"there is no task {name!r}", f"{guess}choose from {', '.join(TASKS)}")
    return [name for name in TASKS if name in names]


def compare_all(
    infos: Mapping[str, MetricInfo], estimates: Mapping[str, Mapping[str, Estimate]], subject: str
) -> list[Comparison]:
    """The subject against every other system, in every metric that both have of equally many samples.

    The estimates of two systems must come from the same samples in the same order and the same seed.
    """
    own = estimates.get(subject, {})
    return [
        compare(name, infos[name], own[name], key, theirs[name])
        for key, theirs in estimates.items()
        if key != subject
        for name in infos
        if name in own and name in theirs and own[name].num_samples == theirs[name].num_samples
    ]


def compare(name: str, info: MetricInfo, subject: Estimate, key: str, other: Estimate) -> Comparison:
    """One comparison; the verdict is `undecided` unless the interval excludes zero."""
    difference = subject.value - other.value
    if info.relative:
        difference /= other.value
    if subject.values_R is None or other.values_R is None:
        return Comparison(name, key, difference, None, "undecided")
    differences_R = subject.values_R - other.values_R
    ci95 = interval_95(differences_R / other.values_R if info.relative else differences_R, subject.num_samples)
    # what rounding can do on another device is no difference
    tells = abs(subject.value - other.value) > ROUNDING * max(abs(subject.value), abs(other.value))
    return Comparison(name, key, difference, ci95, _verdict(ci95, info.better) if tells else "undecided")


def _verdict(ci95: list[float], better: Better) -> Verdict:
    low, high = ci95
    if better == "neither" or not (low > 0 or high < 0):  # not a number is neither
        return "undecided"
    return "better" if (low > 0) == (better == "higher") else "worse"
