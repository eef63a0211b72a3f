"""Which questions are asked: by subject, in groups, the built-in ones apart from those of files."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from astrollama.errors import SourceError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.questions.questions import EXAMPLES_SPLIT, Question, builtin_questions, read_questions
from astrollama.sections import EvaluateSection

Group = Literal["builtin_astronomy", "builtin_general", "astronomy", "physics", "rest"]
GROUPS: tuple[Group, ...] = get_args(Group)

_BUILTIN: dict[Group, str] = {"builtin_astronomy": "astronomy", "builtin_general": "general"}
_ASTRONOMY = ("astro", "cosmolog")
_PHYSICS = "physics"
_NAMED_SUBJECTS = 6


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a subject in one file.

    Attributes:
        source: the file's name; "" for the built-in questions.
        examples: the `dev` part, whose first questions are shown before others if examples are wanted.
        num_available: how many could be asked.
        num_subjects: of its group in the file, those that are left out among them.
    """

    group: Group
    subject: str
    source: str
    asked: tuple[Question, ...]
    examples: tuple[Question, ...]
    num_available: int
    num_subjects: int = 1


def question_sets(data: EvaluationData, settings: EvaluateSection, groups: Iterable[Group]) -> list[QuestionSet]:
    """The questions of some groups; each subject of a file is a set, and the settings say how many of it are asked.

    Raises:
        SourceError: a file is damaged, or two have questions of one identifier.
    """
    wanted = set(groups)
    sets = [
        _drawn(_set(group, subject, "", builtin_questions(subject)), settings.num_builtin_questions, settings.seed)
        for group, subject in _BUILTIN.items()
    ]
    for path, questions in _files(data.questions):
        subjects = sorted({question.subject for question in questions})
        counts = Counter(map(group_of, subjects))
        for subject in _chosen(subjects, settings):
            own = [question for question in questions if question.subject == subject]
            whole = _set(group_of(subject), subject, path.name, own, counts[group_of(subject)])
            sets.append(_drawn(whole, _most(whole.group, settings), settings.seed))
    return [questions for questions in sets if questions.group in wanted]


def group_of(subject: str) -> Group:
    """The group of a subject of a file, by its name: astrophysics is astronomy."""
    name = subject.lower()
    if any(part in name for part in _ASTRONOMY):
        return "astronomy"
    return "physics" if _PHYSICS in name else "rest"


def asked_of_files(sets: Sequence[QuestionSet], settings: EvaluateSection) -> list[str]:
    """Sentences on which questions of which file are asked in which group, and with how many examples."""
    notes = []
    for source in sorted({questions.source for questions in sets if questions.source}):
        parts = []
        for group in GROUPS:
            own = [questions for questions in sets if (questions.source, questions.group) == (source, group)]
            if own:
                asked, available = (sum(counts) for counts in zip(*map(_counts, own), strict=True))
                names = [questions.subject for questions in own]
                of_all = f" of {own[0].num_subjects}" if len(names) < own[0].num_subjects else ""
                subjects = ", ".join(names)
                if of_all or len(names) > _NAMED_SUBJECTS:
                    subjects = f"{len(names)}{of_all} subjects"
                drawn = f", at most {_most(group, settings):,} of a subject" if asked < available else ""
                parts.append(f"{asked:,} of {available:,} as {group} ({subjects}{drawn})")
        notes.append(f"Questions of {source}: {'; '.join(parts)}.")
    few = [questions for questions in sets if len(questions.examples) < settings.num_fewshot]
    if few:
        least = min(len(questions.examples) for questions in few)
        notes.append(
            f"Of {settings.num_fewshot} examples asked for before a question, {len(few)} subjects have fewer: "
            f"down to {least}."
        )
    return notes


def _chosen(subjects: Sequence[str], settings: EvaluateSection) -> list[str]:
    """Astronomy, and up to so many of the others, drawn at random, in their order."""
    others = [subject for subject in subjects if group_of(subject) != "astronomy"]
    order = np.random.default_rng([settings.seed, len(others)]).permutation(len(others))
    taken = {others[index] for index in order[: settings.num_subjects].tolist()}
    return [subject for subject in subjects if subject in taken or group_of(subject) == "astronomy"]


def _most(group: Group, settings: EvaluateSection) -> int:
    """How many questions of a subject of files are asked at most."""
    return settings.num_astronomy_questions if group == "astronomy" else settings.num_questions


def _counts(questions: QuestionSet) -> tuple[int, int]:
    return len(questions.asked), questions.num_available


def _files(paths: Sequence[Path]) -> list[tuple[Path, list[Question]]]:
    files = [(path, read_questions(path)) for path in paths]
    origins: dict[str, Path] = {}
    for path, questions in files:
        for question in questions:
            if question.id in origins:
                raise SourceError(
                    f"{origins[question.id]} and {path} both have a question {question.id!r}",
                    "give each file once, and each question an id of its own",
                )
        origins |= {question.id: path for question in questions}
    return files


def _set(group: Group, subject: str, source: str, questions: Sequence[Question], num_subjects: int = 1) -> QuestionSet:
    asked = tuple(question for question in questions if question.split != EXAMPLES_SPLIT)
    examples = tuple(question for question in questions if question.split == EXAMPLES_SPLIT)
    return QuestionSet(group, subject, source, asked, examples, len(asked), num_subjects)


def _drawn(questions: QuestionSet, num_questions: int, seed: int) -> QuestionSet:
    """Up to so many of the questions, drawn at random, in their order."""
    if questions.num_available <= num_questions:
        return questions
    generator = np.random.default_rng([seed, zlib.crc32(questions.subject.encode())])
    chosen = np.sort(generator.choice(questions.num_available, num_questions, replace=False))
    return replace(questions, asked=tuple(questions.asked[index] for index in chosen.tolist()))
