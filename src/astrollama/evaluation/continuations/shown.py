"""What the report shows of completion: figures, the authors' texts as a measure, and examples to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrollama.evaluation.continuations.choices import NUM_CANDIDATES
from astrollama.evaluation.continuations.scores import Scores, reference_row
from astrollama.evaluation.figures import Example, Figure, Series, Table
from astrollama.evaluation.intervals import Estimate
from astrollama.evaluation.task import MetricInfo

if TYPE_CHECKING:
    from astrollama.evaluation.continuations.topics import TopicClassifier

MAX_EXAMPLES = 8
TRUTH = "what the authors wrote"
NOTHING = "(nothing: the model ended the text)"


def figures(estimates: Mapping[str, Mapping[str, Estimate]], infos: Mapping[str, MetricInfo]) -> list[Figure]:
    """The choice of the true continuation, and what goes wrong in continuations; those of which there is anything."""
    return [
        figure
        for figure in (
            _bars(
                "choice",
                "The true continuation chosen among four",
                ("choice_accuracy", "choice_accuracy_per_byte", "choice_accuracy_summed"),
                estimates,
                infos,
                f"By chance {100 / NUM_CANDIDATES:.0f} %.",
            ),
            _bars(
                "faults",
                "What goes wrong in continuations",
                ("invented_numbers_share", "invented_objects_share", "off_topic_rate"),
                estimates,
                infos,
                "Lower is better.",
            ),
        )
        if figure.series
    ]


def _bars(
    name: str,
    title: str,
    metrics: Sequence[str],
    estimates: Mapping[str, Mapping[str, Estimate]],
    infos: Mapping[str, MetricInfo],
    note: str,
) -> Figure:
    """The metrics that a system has with an interval, side by side."""
    series = []
    for key, own in estimates.items():
        shown = {metric: own[metric] for metric in metrics if metric in own and own[metric].ci95}
        if shown:
            intervals = [found.ci95 or [] for found in shown.values()]
            series.append(
                Series(
                    key,
                    [infos[metric].label for metric in shown],
                    [100 * found.value for found in shown.values()],
                    [100 * low for low, _ in intervals],
                    [100 * high for _, high in intervals],
                )
            )
    numbers = sorted({own[metric].num_samples for own in estimates.values() for metric in metrics if metric in own})
    counts = " or ".join(str(number) for number in numbers)
    return Figure(name, title, "bars", "", "%", series, note=f"{counts} documents; 95 % intervals. {note}")


def tables(
    continued: Mapping[str, Sequence[dict[str, Any]]], scores: Mapping[str, Scores], classifier: TopicClassifier | None
) -> list[Table]:
    """The systems' texts beside the authors' own."""
    if not continued:
        return []
    longest = max(continued.values(), key=len)
    columns = ["system", "samples", "words", "numbers", "objects", "repeated 4-grams", "distinct-2", "off topic"]
    rows = [reference_row(TRUTH, longest, classifier), *([key, *own.row] for key, own in scores.items())]
    note = (
        "Words, numbers and named objects are means over samples. The authors' own continuations show what scores good text "
        "has; their share off topic is the classifier's own error on these few, which a note above has of more."
    )
    return [Table("texts", "The texts beside what the authors wrote", columns, rows, note)]


def examples(continued: Mapping[str, Sequence[dict[str, Any]]]) -> list[Example]:
    """The first sample of each system, of the first papers."""
    shown: dict[str, dict[str, Any]] = {
        sample["id"]: sample for samples in continued.values() for sample in samples[:MAX_EXAMPLES]
    }
    first = {key: {sample["id"]: sample["texts"][0] for sample in samples} for key, samples in continued.items()}
    return [
        Example(
            sample["title"] or sample["id"],
            sample["prompt"],
            [
                *((key, texts[sample["id"]] or NOTHING) for key, texts in first.items() if sample["id"] in texts),
                (TRUTH, sample["truth"]),
            ],
        )
        for sample in shown.values()
    ]
