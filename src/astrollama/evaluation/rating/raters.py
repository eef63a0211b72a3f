"""What people say of two systems' continuations without knowing whose they are: pairs, votes, and how often a system wins.

Votes are kept in the evaluation's folder, one a line, each on the disk before the next pair is shown.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import combinations, permutations
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from astrollama.errors import RunError, UserInputError
from astrollama.evaluation.figures import Table
from astrollama.evaluation.intervals import Estimate, estimate_mean
from astrollama.evaluation.measurements import FOLDER

VOTES = "votes.jsonl"
MAX_RATER_CHARACTERS = 64
NUM_RESAMPLES = 10_000
_SEED = 0

Choice = Literal["left", "right", "equal", "both_bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True)
class Pair:
    """Two systems' continuations of one prompt.

    Attributes:
        id: of the systems and all texts: votes on texts that were made anew since do not count.
        sample: identifier of the document.
        systems, texts: of the two, in the same order.
    """

    id: str
    sample: str
    prompt: str
    truth: str
    systems: tuple[str, str]
    texts: tuple[str, str]


@dataclass(frozen=True)
class Vote:
    """One judgement; `left` and `right` are the systems as they were shown, `time` is UTC."""

    rater: str
    pair: str
    sample: str
    left: str
    right: str
    choice: Choice
    time: str


@dataclass(frozen=True)
class WinRate:
    """How `first` did against `second`.

    Attributes:
        win_rate: mean over prompts, resampled over prompts; equal and both bad count a half, and where several people
            judged a prompt their mean counts.
        agreement: share of pairs of judgements of one prompt by two people that say the same; None without any.
        alpha: the same beyond chance (Krippendorff's alpha for nominal data): 1 is perfect, 0 is chance.
    """

    first: str
    second: str
    win_rate: Estimate
    num_raters: int
    num_first: int
    num_second: int
    num_equal: int
    num_both_bad: int
    agreement: float | None
    alpha: float | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        plain = {name: value for name, value in vars(self).items() if name != "win_rate"}
        found = self.win_rate
        return {**plain, "win_rate": found.value, "ci95": found.ci95, "num_prompts": found.num_samples}


def read_pairs(evaluation: Path, systems: Sequence[str] = ()) -> list[Pair]:
    """The pairs of an evaluation, finished or not: each two of `systems`, or of all, on every prompt that both continued.

    Raises:
        RunError: there is no evaluation with two systems' continuations, or its samples are damaged.
        UserInputError: of `systems` one has none, or there is only one.
    """
    if not evaluation.is_dir():
        raise RunError(f"there is no folder {evaluation}", "give the one that astrollama evaluate wrote, its --out")
    texts = _continuations(evaluation)
    if len(texts) < 2:
        found = f"continuations by {next(iter(texts))} alone" if texts else "no continuations"
        raise RunError(
            f"{evaluation} holds {found}, and two systems are compared",
            "evaluate the task completion with two systems that generate",
        )
    for name in systems:
        if name not in texts:
            raise UserInputError(f"there are no continuations by {name!r}", f"choose from {', '.join(texts)}")
    chosen = list(dict.fromkeys(systems)) or list(texts)
    if len(chosen) < 2:
        raise UserInputError(
            f"--systems names {chosen[0]} alone, and two systems are compared", f"name two of {', '.join(texts)}"
        )
    return [
        _pair(first, second, texts[first][sample], texts[second][sample])
        for first, second in combinations(chosen, 2)
        for sample in texts[first]
        if sample in texts[second]
    ]


def tally(evaluation: Path, systems: Sequence[str] = ()) -> list[WinRate]:
    """How often each system wins against each other that it was compared with.

    Raises:
        RunError, UserInputError: as for `read_pairs`; the file of votes is damaged.
    """
    pairs = {pair.id: pair for pair in read_pairs(evaluation, systems)}
    of_two: dict[tuple[str, str], dict[tuple[str, str], Vote]] = defaultdict(dict)
    for vote in read_votes(evaluation):
        if vote.pair in pairs:
            # a person's last word on a pair counts
            of_two[pairs[vote.pair].systems][vote.pair, vote.rater] = vote
    return [_win_rate(two, list(votes.values())) for two, votes in of_two.items()]


def rater_table(evaluation: Path) -> Table | None:
    """The table for the report; None where nobody has voted."""
    if not (evaluation / VOTES).is_file():
        return None
    columns = ["system", "against", "win rate, %", "from", "to (95 %)", "prompts", "people", "agreement, %"]
    rows = []
    for found in tally(evaluation):
        low, high = found.win_rate.ci95 or (None, None)
        shares = [None if x is None else 100 * x for x in (found.win_rate.value, low, high)]
        agreement = None if found.agreement is None else 100 * found.agreement
        rows.append([found.first, found.second, *shares, found.win_rate.num_samples, found.num_raters, agreement])
    note = "People chose between two continuations without knowing whose they are; equal and both bad count a half."
    return Table("raters", "What people chose", columns, rows, note) if rows else None


def read_votes(evaluation: Path) -> list[Vote]:
    """All votes in the order given; a last line that a crash cut was never confirmed and is passed over.

    Raises:
        RunError: the file is damaged.
    """
    path = evaluation / VOTES
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    votes = []
    for number, line in enumerate(lines, start=1):
        try:
            vote = Vote(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise RunError(f"{path}:{number} is no vote ({error})", "mend or delete that line") from error
        if not all(isinstance(value, str) for value in vars(vote).values()):
            raise RunError(f"{path}:{number} has a value that is no text", "mend or delete that line")
        if vote.choice not in CHOICES:
            raise RunError(f"{path}:{number} has the choice {vote.choice!r}", "mend or delete that line")
        votes.append(vote)
    return votes


def save_vote(evaluation: Path, rater: str, pair: Pair, choice: Choice) -> None:
    """Append a vote, on the disk when this returns; several people may vote at once."""
    left, right = shown_order(rater, pair)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    vote = Vote(rater, pair.id, pair.sample, pair.systems[left], pair.systems[right], choice, time)
    with (evaluation / VOTES).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(json.dumps(asdict(vote), ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def shown_order(rater: str, pair: Pair) -> tuple[int, int]:
    """Which of a pair's two systems stands on the left and which on the right: drawn, the same whenever this person looks."""
    return (0, 1) if _draw(rater, "side", pair.id) % 2 else (1, 0)


def in_order_of(rater: str, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs in the order drawn for a person."""
    return sorted(pairs, key=lambda pair: _draw(rater, "place", pair.id))


def _draw(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8])


def _continuations(evaluation: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """By system and document, the records of completion that have samples."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((evaluation / FOLDER).glob("*/completion.jsonl")):
        try:
            # not splitlines: a text may hold characters that it takes for ends of lines
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            chosen = {record["id"]: record for record in records if "texts" in record}
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{path} is damaged ({error})", "delete it, and give the command evaluate again") from error
        if chosen:
            found[path.parent.name] = chosen
    return found


def _pair(first: str, second: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Pair:
    texts = (one["texts"][0], other["texts"][0])
    told = json.dumps([one["id"], one["prompt"], sorted([(first, texts[0]), (second, texts[1])])])
    digest = hashlib.sha256(told.encode()).hexdigest()[:20]
    return Pair(digest, one["id"], one["prompt"], one["truth"], (first, second), texts)


def _win_rate(two: tuple[str, str], votes: Sequence[Vote]) -> WinRate:
    verdicts: dict[str, list[str]] = defaultdict(list)
    for vote in votes:
        verdicts[vote.pair].append(_verdict(vote))
    counts = Counter(verdict for own in verdicts.values() for verdict in own)
    wins = [np.mean([(name == two[0]) + (name not in two) / 2 for name in own]) for own in verdicts.values()]
    agreement, alpha = _agreement(list(verdicts.values()))
    return WinRate(
        first=two[0],
        second=two[1],
        win_rate=estimate_mean(np.array(wins), NUM_RESAMPLES, _SEED),
        num_raters=len({vote.rater for vote in votes}),
        num_first=counts[two[0]],
        num_second=counts[two[1]],
        num_equal=counts["equal"],
        num_both_bad=counts["both_bad"],
        agreement=agreement,
        alpha=alpha,
    )


def _verdict(vote: Vote) -> str:
    """The system that won, or `equal` or `both_bad`."""
    return {"left": vote.left, "right": vote.right}.get(vote.choice, vote.choice)


def _agreement(verdicts: Sequence[Sequence[str]]) -> tuple[float | None, float | None]:
    """The share of agreeing pairs of judgements of one prompt, and Krippendorff's alpha (2011, nominal data)."""
    shared = [own for own in verdicts if len(own) > 1]
    if not shared:
        return None, None
    coincidences: dict[tuple[str, str], float] = defaultdict(float)
    for own in shared:
        for one, other in permutations(own, 2):
            coincidences[one, other] += 1 / (len(own) - 1)
    total = sum(coincidences.values())
    values = Counter(verdict for own in shared for verdict in own)
    observed = sum(count for (one, other), count in coincidences.items() if one != other) / total
    expected = sum(values[one] * values[other] for one, other in permutations(values, 2)) / (total * (total - 1))
    same = [one == other for own in shared for one, other in combinations(own, 2)]
    return float(np.mean(same)), 1 - observed / expected if expected else None
