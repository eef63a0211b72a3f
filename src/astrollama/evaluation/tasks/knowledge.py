"""Multiple-choice questions on astronomy, physics and the rest, and whether a system knows when it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from astrollama.evaluation.data import DataFile, EvaluationData
from astrollama.evaluation.figures import Cell, Figure, Series, Table
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL, Estimate
from astrollama.evaluation.likelihoods.likelihoods import Samples
from astrollama.evaluation.likelihoods.reliability import (
    MIN_CLUSTERS_A_POINT,
    BinSums,
    bin_sums,
    calibration_error,
    equal_width_edges,
    error_if_calibrated,
    reliability,
)
from astrollama.evaluation.questions.multiple_choice import (
    GROUP_NAMES,
    PRIMARY_SCORE,
    SCORES,
    accuracy,
    accuracy_bars,
    ask,
    chance,
    favourite_letter,
    of_group,
)
from astrollama.evaluation.questions.question_sets import Group, QuestionSet, asked_of_files, question_sets
from astrollama.evaluation.questions.questions import Form
from astrollama.evaluation.resamples import fewer_resamples
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement, MetricInfo, TaskResult, compare_all, names_of, primary_of
from astrollama.sections import EvaluateSection

NAME = "knowledge"
TITLE = "Knowledge: multiple-choice questions"
VERSION = 1
PRIMARY_METRIC = "builtin_answer_accuracy"
_PRIMARY_OF_FILES = "astronomy_answer_accuracy"  # where files have questions on astronomy
NEEDS: frozenset[SystemAbility] = frozenset({"score"})
FILES: frozenset[DataFile] = frozenset({"questions"})

FORMS: tuple[Form, ...] = ("answer", "choice")
# the prefix of the metrics of each group
GROUPS: dict[Group, str] = {
    "builtin_astronomy": "builtin",
    "astronomy": "astronomy",
    "physics": "physics",
    "rest": "rest",
}

_FAVOURITE = 0.75  # a letter that is chosen so often is not chosen for what it stands for
_FORM_NAMES: dict[Form, str] = {"answer": "full answer", "choice": "letter"}


def missing(data: EvaluationData, settings: EvaluateSection) -> str | None:
    """Nothing is missing: the project has questions of its own. The files are read, to find what is wrong in them."""
    question_sets(data, settings, GROUPS)
    return None


def measure(system: System, data: EvaluationData, settings: EvaluateSection) -> Measurement:
    """Ask the questions of `question_sets` in both forms.

    Returns:
        The records of `multiple_choice.ask`, one a question and form.
    """
    return Measurement(ask(system, question_sets(data, settings, GROUPS), FORMS, settings))


def summarise(
    measurements: Mapping[str, Measurement], data: EvaluationData, settings: EvaluateSection, subject: str
) -> TaskResult:
    """Accuracy by group and form, calibration by form, and each subject's accuracy.

    The primary metric is that of the files' questions on astronomy, or of the built-in ones where those are too few.
    """
    samples = {key: measurement.samples for key, measurement in measurements.items()}
    sets = question_sets(data, settings, GROUPS)
    groups = [group for group in GROUPS if any(questions.group == group for questions in sets)]
    metrics = {form: {group: f"{GROUPS[group]}_{form}_accuracy" for group in groups} for form in FORMS}
    sums = {key: {form: _calibration_sums(records, form) for form in FORMS} for key, records in samples.items()}
    estimates = {key: _estimates(records, groups, sums[key], settings) for key, records in samples.items()}
    infos = _infos(groups)
    some = next(iter(samples.values()))
    of_files = [_PRIMARY_OF_FILES] if _PRIMARY_OF_FILES in infos else []
    primary = primary_of([*of_files, PRIMARY_METRIC], estimates)
    return TaskResult(
        primary_metric=primary,
        infos=infos,
        estimates=estimates,
        comparisons=compare_all(infos, estimates, subject),
        figures=[
            *(
                accuracy_bars(f"{form}_accuracy", f"Right as {_FORM_NAMES[form]}", metrics[form], estimates, some)
                for form in FORMS
            ),
            *(_diagram(form, {key: own[form] for key, own in sums.items()}, settings) for form in FORMS),
        ],
        tables=[_groups_table(groups, estimates, some), _subjects_table(sets, samples)],
        notes=[
            *(
                f"The questions of files on astronomy are fewer than {MIN_SAMPLES_FOR_INTERVAL}, too few for an interval: the "
                "summary has the built-in ones."
                for metric in of_files
                if metric != primary
            ),
            *_notes(sets, samples, names_of(measurements), settings),
        ],
    )


def _estimates(
    records: Samples,
    groups: Sequence[Group],
    sums: Mapping[Form, Sequence[BinSums]],
    settings: EvaluateSection,
) -> dict[str, Estimate]:
    accuracies = {
        f"{GROUPS[group]}_{score}_accuracy": accuracy(of_group(records, score, group), settings)
        for group in groups
        for score in SCORES
    }
    return accuracies | {f"{form}_ece": calibration_error(sums[form], settings) for form in FORMS}


def _calibration_sums(records: Samples, form: Form) -> list[dict[str, list[float]]]:
    """Of each question the probability of the choice and whether it is right, in bins of equal width."""
    edges = equal_width_edges()
    return [
        bin_sums(np.array([record["probability"]]), np.array([record["correct"]]), edges)
        for record in records
        if record["form"] == form
    ]


def _infos(groups: Sequence[Group]) -> dict[str, MetricInfo]:
    infos = {
        f"{GROUPS[group]}_{score}_accuracy": MetricInfo(
            f"{GROUP_NAMES[group]}: accuracy by {score.replace('_', ' ')}",
            "higher",
            f"Share of questions at which {meaning} is right.",
            "percent",
        )
        for group in groups
        for score, (_, _, meaning) in SCORES.items()
    }
    return infos | {
        f"{form}_ece": MetricInfo(
            f"expected calibration error, {_FORM_NAMES[form]}",
            "lower",
            "Gap between the share that is right and the mean probability of what was chosen, over bins of equal width "
            "(Guo et al. 2017, arXiv:1706.04599). Probabilities are the softmax of the choices' summed log-likelihoods, and "
            "the likeliest choice is what counts.",
        )
        for form in FORMS
    }


def _diagram(form: Form, sums: Mapping[str, Sequence[BinSums]], settings: EvaluateSection) -> Figure:
    curves = []
    # each point has resamples of its own
    fewer = settings.model_copy(update={"num_resamples": fewer_resamples(settings)})
    for key, own in sums.items():
        points = [point for point in reliability(own, fewer) if point["ci95"]]
        xs, ys = [point["confidence"] for point in points], [point["accuracy"] for point in points]
        curves.append(
            Series(key, xs, ys, [point["ci95"][0] for point in points], [point["ci95"][1] for point in points])
        )
    num_questions = len(next(iter(sums.values())))
    note = (
        f"{num_questions:,} questions of all groups; 95 % intervals over questions. Below the diagonal a system is too sure. "
        f"A point is of {MIN_CLUSTERS_A_POINT} questions at least."
    )
    title = f"Reliability of the {_FORM_NAMES[form]}"
    return Figure(
        f"reliability_{form}", title, "lines", "probability of what was chosen", "share right", curves, True, note
    )


def _groups_table(groups: Sequence[Group], estimates: Mapping[str, Mapping[str, Estimate]], some: Samples) -> Table:
    rows: list[list[Cell]] = [
        [
            GROUP_NAMES[group],
            score.replace("_", " "),
            len(of_group(some, score, group)),
            chance(some, group),
            *(own[f"{GROUPS[group]}_{score}_accuracy"].value for own in estimates.values()),
        ]
        for group in groups
        for score in SCORES
    ]
    columns = ["questions", "by", "number", "chance", *estimates]
    return Table("groups", "Share right by group", columns, rows, "Chance: what random choices get right.")


def _subjects_table(sets: Sequence[QuestionSet], samples: Mapping[str, Samples]) -> Table:
    rows: list[list[Cell]] = []
    form, correct, _ = SCORES[PRIMARY_SCORE]
    for questions in sets:
        own = {question.id for question in questions.asked}
        shares = [
            np.mean([record[correct] for record in records if record["form"] == form and record["id"] in own])
            for records in samples.values()
        ]
        name = questions.subject.replace("_", " ")
        rows.append([name, GROUP_NAMES[questions.group], len(questions.asked), *map(float, shares)])
    columns = ["subject", "group", "questions", *samples]
    return Table("subjects", "Share right by subject, as full answer", columns, rows)


def _notes(
    sets: Sequence[QuestionSet], samples: Mapping[str, Samples], names: Mapping[str, str], settings: EvaluateSection
) -> list[str]:
    num_builtin = sum(len(questions.asked) for questions in sets if not questions.source)
    notes = [
        f"The built-in questions are {num_builtin} elementary ones of the project, which a small model can answer in part.",
        *asked_of_files(sets, settings),
        "So many perfectly calibrated answers would show an expected calibration error of about "
        + ", ".join(f"{_error_by_chance(records):.3f} ({names[key]})" for key, records in samples.items())
        + ", by chance alone.",
    ]
    for key, records in samples.items():
        letter, share = favourite_letter(records)
        if share >= _FAVOURITE:
            notes.append(
                f"Asked for a letter, {names[key]} chose {letter} in {100 * share:.0f} % of all questions: its accuracy by choice tells "
                "of its habit, not of its knowledge."
            )
    return notes


def _error_by_chance(records: Samples) -> float:
    probability_N = np.array([record["probability"] for record in records if record["form"] == "answer"])
    bins_N = np.searchsorted(equal_width_edges()[1:-1], probability_N)
    return error_if_calibrated(np.bincount(bins_N, probability_N * (1 - probability_N)).tolist(), len(probability_N))
