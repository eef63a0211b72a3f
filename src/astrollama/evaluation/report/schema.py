"""The schema of `report.json`; docs/reference/report.md and report.schema.json are made from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from astrollama.evaluation.figures import Kind
from astrollama.evaluation.systems import Role
from astrollama.evaluation.task import Better, Verdict

SCHEMA_VERSION = 2

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
Cell = str | float | int | None


class Part(BaseModel):
    """Unknown keys are refused, so that no key goes without a description."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class OpenPart(BaseModel):
    """Further keys are allowed: they are described where the part comes from."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class MetricValue(Part):
    """A metric of a system."""

    value: float | None = Field(description="The metric over all samples; null where it is no finite number.")
    ci95: Interval | None = Field(
        description="Its 95 % interval [low, high], by bootstrap; null with too few samples for one."
    )
    num_samples: int = Field(ge=0, description="How many samples it is computed from.")


class TaskSystem(Part):
    """What a task tells of one system."""

    metrics: dict[str, MetricValue] = Field(description="By the metric's name; empty where the system was left out.")
    left_out: str | None = Field(description="Why the system was not measured in this task.")
    seconds: float | None = Field(ge=0, description="How long measuring took; null where it was not measured.")


class MetricAbout(Part):
    """What a metric is."""

    label: str = Field(description="Its name as a person reads it.")
    better: Better = Field(description="Which way is an improvement; `neither` for a property.")
    about: str = Field(description="What is counted over what.")
    style: Literal["number", "percent"] = Field(description="How it is printed; the value itself is never in per cent.")
    relative: bool = Field(description="A difference is told as a share of the other system's value.")


class TaskComparison(Part):
    """The subject against another system, on the same samples."""

    metric: str = Field(description="The metric's name.")
    against: str = Field(description="The other system's key.")
    difference: float | None = Field(
        description="Subject minus other; of a `relative` metric divided by the other's value. Null: no finite number."
    )
    ci95: Interval | None = Field(description="Its 95 % interval, paired over samples; null with too few samples.")
    verdict: Verdict = Field(
        description="`better` or `worse` where the interval excludes zero and the metric has a better side, else `undecided`."
    )


class ReportSeries(Part):
    """The values of one system in a figure."""

    system: str = Field(description="The system's key.")
    x: list[float | str | None] = Field(
        description="Positions; of `bars` the groups, of a `histogram` the bins' edges, one more than `y`."
    )
    y: list[float | None] = Field(description="Heights; null where there is no finite number.")
    low: list[float | None] = Field(
        description="Lower ends of the 95 % intervals of `y`, null where one has none; or empty."
    )
    high: list[float | None] = Field(description="Upper ends, or empty.")
    label: str = Field(description="Shown instead of the system's name, or empty.")


class ReportFigure(Part):
    """A figure's numbers; its pictures are `plots/TASK-NAME.svg` and `.png`."""

    name: str = Field(description="Of its files; unique within the task.")
    title: str = Field(description="What it shows.")
    kind: Kind = Field(description="How it is drawn.")
    x_label: str = Field(description="Of the horizontal axis, with its unit.")
    y_label: str = Field(description="Of the vertical axis, with its unit.")
    series: list[ReportSeries] = Field(description="What is drawn; of a `matrix` its rows.")
    diagonal: bool = Field(description="Both axes are probabilities, from 0 to 1, and y = x is drawn.")
    note: str = Field(description="What is seen.")


class ReportTable(Part):
    """A table."""

    name: str = Field(description="Unique within the task.")
    title: str = Field(description="What it shows.")
    columns: list[str] = Field(
        description="Headings; a system's key stands for its label where no column is headed `system` or `against`."
    )
    rows: list[list[Cell]] = Field(
        description="Cells; null is a dash; in columns headed `system` or `against` a system's key stands for its label."
    )
    note: str = Field(description="What is to be known to read it.")


class ReportExample(Part):
    """Something to read."""

    title: str = Field(description="Of the paper, or of the pair.")
    text: str = Field(description="What all had before them, or empty.")
    answers: list[tuple[str, str]] = Field(description="[name, text] pairs; a system's key stands for its label.")


class Task(Part):
    """A task's results."""

    title: str = Field(description="As a person reads it.")
    version: int = Field(description="Raised when the same system would get another number.")
    primary_metric: str = Field(description="The metric of the summary.")
    systems: dict[str, TaskSystem] = Field(description="By the system's key.")
    infos: dict[str, MetricAbout] = Field(description="What the metrics are, by name, in the order of the report.")
    comparisons: list[TaskComparison] = Field(description="The subject against each other system.")
    figures: list[ReportFigure] = Field(description="Numbers of what is drawn.")
    tables: list[ReportTable] = Field(description="Tables.")
    examples: list[ReportExample] = Field(description="What there is to read side by side.")
    notes: list[str] = Field(description="What a reader must know to read the numbers rightly.")
    details: dict[str, Any] = Field(description="What else a program may want; differs from task to task.")


class ReportSystem(Part):
    """One thing that was compared."""

    key: str = Field(description="Short and unique: `adapted`, `base`, `gpt-4`, `bm25`, …")
    label: str = Field(description="As a person reads it.")
    role: Role = Field(description="What it is in the comparison.")
    identity: str = Field(description="What decides its answers: of a model a hash of weights, tokenizer and settings.")
    digest: str = Field(description="SHA-256 of its weights; empty where they cannot be seen.")
    unavailable: str | None = Field(description="Why it could not be measured at all, such as a missing key.")


class Quick(Part):
    """A quick evaluation."""

    note: str = Field(description="What was cut, and how much wider its intervals are.")


class Leak(Part):
    """Evaluation documents that the subject was trained on."""

    num_documents: int = Field(ge=1, description="How many.")
    text: str = Field(description="What that means, shown in red.")


class PerplexityGroup(OpenPart):
    """Perplexity of base and subject on some documents, as in schema 1."""

    num_documents: int = Field(description="How many documents.")
    num_tokens: int = Field(description="Their tokens.")
    base: float | None = Field(description="Perplexity of the base; null where it is no finite number.")
    base_ci95: Interval | None = Field(description="Its interval, by bootstrap over documents.")
    adapted: float | None = Field(description="Perplexity of the subject.")
    adapted_ci95: Interval | None = Field(description="Its interval.")
    relative_reduction: float | None = Field(description="1 − adapted / base; null where their tokens differ.")
    relative_reduction_ci95: Interval | None = Field(description="Its interval, paired over documents.")


class Perplexity(PerplexityGroup):
    """Perplexity over all documents, and in groups of them."""

    by_year: dict[str, PerplexityGroup] = Field(description="By the year of the document.")
    by_category: dict[str, PerplexityGroup] = Field(description="By primary category.")


class Completion(OpenPart):
    """A held-out abstract and its continuations, one key a system."""

    id: str = Field(description="The document's identifier.")
    title: str = Field(description="The paper's title.")
    date: str = Field(description="Its date.")
    primary_category: str = Field(description="Its primary category.")
    prompt: str = Field(description="The first sentences, given to every system.")
    truth: str = Field(description="What the authors wrote.")


class Model(Part):
    """A model."""

    name: str = Field(description="As it was given.")
    digest: str = Field(description="Of its weights.")


class Corpus(Part):
    """The corpus whose held-out documents were used."""

    counts: dict[str, Any] = Field(description="Records, documents of each split, and rejected ones by reason.")
    split: dict[str, Any] = Field(description="How the held-out documents were chosen.")
    inputs: list[tuple[str, str]] = Field(description="[name, SHA-256] of each file that it was made from.")
    files: dict[str, str] = Field(description="SHA-256 of each of its own files.")


class TrainedOn(Part):
    """What the subject was trained on, its base's training included where that is known; documents of one content count once."""

    num_documents: int = Field(description="How many documents it was trained on.")
    num_of_corpus: int = Field(description="How many of them the training part of the corpus has.")
    num_in_corpus: int = Field(description="How many documents that training part has in all.")


class Report(Part):
    """All of it."""

    schema_version: Literal[2] = Field(description="Raised when a key changes its meaning or goes.")
    created_at: str = Field(description="ISO 8601, UTC.")
    name: str = Field(description="The recipe's or the model's name.")
    kind: Literal["evaluate", "reproduce"] = Field(description="The command.")
    quick: Quick | None = Field(description="Of `--quick`.")
    num_documents: int = Field(ge=0, description="Held-out documents that were used.")
    num_documents_held_out: int = Field(ge=0, description="All that the corpus holds out.")
    num_tokens: int | None = Field(description="Tokens of the documents whose perplexity was measured.")
    systems: list[ReportSystem] = Field(description="What was compared, in the order of the report.")
    tasks: dict[str, Task] = Field(description="Results, by the task's name.")
    tasks_left_out: dict[str, str] = Field(description="Why a task was not run, by its name.")
    subject: str = Field(description="The key of the system that the comparisons are about.")
    leak: Leak | None = Field(description="Documents that the subject was trained on; null where none are known.")
    paper: list[ReportTable] = Field(description="Of `reproduce`: the paper's own figures beside ours.")
    perplexity: Perplexity | None = Field(description="Base and subject, as in schema 1; null without that task.")
    completions: list[Completion] = Field(description="As in schema 1.")
    train: dict[str, Any] | None = Field(
        description="How it was trained: `method, num_tokens, steps, seconds, tokens_per_second, parameters, "
        "parameters_trained, hardware, alpha, command, versions, finished_at, note, final_loss`; null if that is not known."
    )
    trained_on: TrainedOn | None = Field(
        description="Documents it was trained on; null where no list of them is with the model."
    )
    models: dict[str, Model] = Field(description="`base` and `adapted`.")
    corpus: Corpus = Field(description="What was held out of what.")
    settings: dict[str, Any] = Field(description="The section `evaluate` of the recipe.")
    recipe: dict[str, Any] | None = Field(description="The training's recipe; null if that is not known.")
    versions: dict[str, str | None] = Field(description="Of ourselves, Python and the libraries.")
    hardware: dict[str, Any] = Field(description="Processor, cores, memory in GiB, GPU.")
    seconds: float = Field(ge=0, description="How long the evaluation took in all.")
    seed: int = Field(description="Of documents, sampling and bootstrap.")
