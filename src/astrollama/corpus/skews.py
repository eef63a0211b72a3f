"""Skews of a corpus that its user has to know, each computed and told only where it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astrollama.corpus.measures import NO_YEAR, Measures
from astrollama.records import UNKNOWN

if TYPE_CHECKING:
    import numpy as np

MARKER_WORDS = "marker words"
# What is looked for in each text (RE2); all but the first are told as they stand in `_REMAINS`.
PATTERNS = {
    MARKER_WORDS: r"(?i)\b(delv(e|es|ed|ing)|intricate(ly)?|meticulous(ly)?|pivotal|showcas(e|es|ed|ing)|underscor(e|es|ed|ing))\b",
    "abridged": r"(?i)[\[(](abstract )?(abridged|shortened|truncated)\b[^\])]*[\])]",
    "markup": r"\{\\(em|it|sl)\b|\\(cite[pt]?|ref|emph|textit|begin)\b",
}
_REMAINS = {
    "abridged": ("Abridged texts", "say that they were abridged: the paper itself has more"),
    "markup": ("Markup", "hold LaTeX commands for italics, citations, references or environments"),
}

_RECENT_YEARS = 3
_FULL_YEAR = 50  # papers; smaller years differ by chance
_GAP_SHARE = 0.2
_FEW_IN_CATEGORY = 50
_FEW_IN_SPLIT = 100
_WORTH_TELLING = 0.005  # share of the papers
_CHATBOTS_SINCE = 2023  # ChatGPT came out in November 2022
_FEW_FOR_A_SHARE = 100


@dataclass(frozen=True, slots=True)
class Skew:
    """A skew in a few words, and the figures."""

    title: str
    text: str


def find_skews(measures: Measures) -> list[Skew]:
    """The skews that hold; `measures` were taken with `PATTERNS`."""
    checks: list[Callable[[Measures], Iterator[Skew]]] = [
        _recent,
        _gaps,
        _cross_listed,
        _categories,
        _dates,
        _lengths,
        _marker_words,
        _remains,
        _not_stated,
        _small_splits,
    ]
    return [skew for check in checks for skew in check(measures)]


def percent(share: float) -> str:
    """A share as `12.3 %`; what is more than nothing and less than everything is never rounded to either."""
    if 0 < share < 0.0005:
        return "under 0.1 %"
    if 0.9995 <= share < 1:
        return "over 99.9 %"
    return f"{100 * share:.1f} %"


def counted(count: int) -> str:
    """`1 paper`, `2,000 papers`."""
    return f"{count:,} paper{'' if count == 1 else 's'}"


def _recent(measures: Measures) -> Iterator[Skew]:
    dated_N = measures.year_N[measures.year_N != NO_YEAR]
    if not len(dated_N):
        return
    first, last = int(dated_N.min()), int(dated_N.max())
    share = float((dated_N > last - _RECENT_YEARS).mean())
    num_years = last - first + 1
    if num_years > 2 * _RECENT_YEARS and share >= 0.5:
        yield Skew(
            "Mostly recent",
            f"{percent(share)} of the dated papers are from {last - _RECENT_YEARS + 1} to {last}, "
            f"{_RECENT_YEARS} of {num_years} years.",
        )


def _gaps(measures: Measures) -> Iterator[Skew]:
    """Years with less than a fifth of the fullest year before them and of the fullest after them."""
    counts = _papers_a_year(measures)
    years = list(counts)

    def fullest(others: list[int]) -> int:
        return max(others, key=lambda year: counts[year], default=NO_YEAR)

    thin = []
    for year in years:
        sides = [
            fullest([other for other in years if other < year]),
            fullest([other for other in years if other > year]),
        ]
        least = min(counts.get(side, 0) for side in sides)
        if least >= _FULL_YEAR and counts[year] < _GAP_SHARE * least:
            thin.append(year)
    spans = []
    for run in _runs(thin):
        before, after = fullest(years[: years.index(run[0])]), fullest(years[years.index(run[-1]) + 1 :])
        papers = counted(sum(counts[year] for year in run))
        spans.append(
            f"{_span(run[0], run[-1])} ({papers}; {counts[before]:,} in {before}, {counts[after]:,} in {after})"
        )
    if spans:
        yield Skew(
            "Years nearly empty",
            f"Each with fewer than a fifth of the papers of the fullest year before and of the fullest after: {'; '.join(spans)}.",
        )


def _cross_listed(measures: Measures) -> Iterator[Skew]:
    """Papers whose primary category lies outside the archive that most papers belong to."""
    import numpy as np

    archives = [name.partition(".")[0] for name in measures.primaries]
    sizes: Counter[str] = Counter()
    for archive, size in zip(archives, _sizes(measures), strict=True):
        sizes[archive] += size
    del sizes[UNKNOWN]
    if not sizes:
        return
    main = max(sizes, key=lambda archive: (sizes[archive], archive))
    is_outside = np.array([archive not in (main, UNKNOWN) for archive in archives])
    outside_N = is_outside[measures.primary_N]
    if outside_N.mean() < 0.05:
        return
    most_often = [name for name, place in measures.by_frequency() if is_outside[place]]
    in_splits = [f"{percent(outside_N[measures.in_split(s)].mean())} of {s}" for s in measures.filled_splits()]
    text = (
        f"{percent(outside_N.mean())} of the papers have a primary category outside {main}, most often "
        f"{', '.join(most_often[:3])}: {', '.join(in_splits)}."
    )
    years = list(_papers_a_year(measures))
    if years:
        step = 5 if years[-1] - years[0] < 50 else 20
        periods = []
        for start in range(years[0] - years[0] % step, years[-1] + 1, step):
            members_N = (measures.year_N >= max(start, years[0])) & (measures.year_N < start + step)
            if members_N.any():
                span = _span(max(start, years[0]), min(start + step - 1, years[-1]))
                periods.append(f"{span} {percent(outside_N[members_N].mean())} of {int(members_N.sum()):,}")
        text += f" By years: {'; '.join(periods)}."
    yield Skew("Cross-listed papers", text)


def _categories(measures: Measures) -> Iterator[Skew]:
    sizes = _sizes(measures)
    few = [size for size in sizes if size < _FEW_IN_CATEGORY]
    if few:
        yield Skew(
            "Small categories",
            f"{len(few):,} of {len(sizes):,} primary categories have fewer than {_FEW_IN_CATEGORY} papers "
            f"({counted(sum(few))} in all): too few for figures by category.",
        )
    name, place = measures.by_frequency()[0]
    if len(sizes) > 1 and sizes[place] > 0.5 * len(measures):
        yield Skew("One large category", f"{percent(sizes[place] / len(measures))} of the papers are of {name}.")


def _dates(measures: Measures) -> Iterator[Skew]:
    undated_N = measures.year_N == NO_YEAR
    if undated_N.any():
        yield Skew("No date", f"{_share(undated_N)} have no date, and stand under no year.")
    month_only_N = ~undated_N & ~measures.has_day_N
    if month_only_N.mean() >= _WORTH_TELLING:
        yield Skew("Month only", f"Of {_share(month_only_N)} only the month is known, not the day.")


def _lengths(measures: Measures) -> Iterator[Skew]:
    import numpy as np

    median = float(np.median(measures.words_N))
    for title, is_far_N, what in (
        ("Short texts", measures.words_N < median / 4, "shorter than a quarter of"),
        ("Long texts", measures.words_N > 3 * median, "longer than three times"),
    ):
        if is_far_N.mean() >= _WORTH_TELLING:
            yield Skew(title, f"{_share(is_far_N)} are {what} the median of {median:,.0f} words.")


def _marker_words(measures: Measures) -> Iterator[Skew]:
    """Words that chatbots like, before and since they came; the list is ours."""
    found_N = measures.matches_N[MARKER_WORDS]
    before_N = (measures.year_N != NO_YEAR) & (measures.year_N < _CHATBOTS_SINCE)
    since_N = measures.year_N >= _CHATBOTS_SINCE
    if min(before_N.sum(), since_N.sum()) < _FEW_FOR_A_SHARE or found_N[since_N].mean() <= found_N[before_N].mean():
        return
    years = [
        f"{year} {percent(found_N[measures.year_N == year].mean())}"
        for year, count in _papers_a_year(measures).items()
        if year >= _CHATBOTS_SINCE and count >= _FEW_FOR_A_SHARE
    ]
    yield Skew(
        "Words that chatbots like",
        f"{percent(found_N[before_N].mean())} of {counted(int(before_N.sum()))} before {_CHATBOTS_SINCE} and "
        f"{percent(found_N[since_N].mean())} of {counted(int(since_N.sum()))} since ({'; '.join(years)}) have a form of "
        "delve, intricate, meticulous, pivotal, showcase or underscore. The list is ours; a word proves nothing about a single paper.",
    )


def _remains(measures: Measures) -> Iterator[Skew]:
    for name, (title, what) in _REMAINS.items():
        found_N = measures.matches_N[name]
        if found_N.mean() >= _WORTH_TELLING:
            yield Skew(title, f"{_share(found_N)} {what}.")


def _not_stated(measures: Measures) -> Iterator[Skew]:
    for title, count, what in (
        ("Licence not stated", measures.licences[""], "state no licence"),
        ("No title", measures.num_untitled, "have no title"),
    ):
        if count >= max(1, _WORTH_TELLING * len(measures)):
            yield Skew(title, f"{counted(count)} ({percent(count / len(measures))}) {what}.")


def _small_splits(measures: Measures) -> Iterator[Skew]:
    sizes = {split: int(measures.in_split(split).sum()) for split in measures.filled_splits()}
    small = [f"{split} has {counted(size)}" for split, size in sizes.items() if size < _FEW_IN_SPLIT]
    if small:
        yield Skew("Small splits", f"{', '.join(small)}: expect wide intervals.")


def _sizes(measures: Measures) -> list[int]:
    """Papers of each category of `measures.primaries`."""
    import numpy as np

    return [int(size) for size in np.bincount(measures.primary_N, minlength=len(measures.primaries))]


def _papers_a_year(measures: Measures) -> dict[int, int]:
    """Papers of every year from the first to the last, empty ones included."""
    years = [year for year in measures.years() if year != NO_YEAR]
    return {year: int((measures.year_N == year).sum()) for year in range(years[0], years[-1] + 1)} if years else {}


def _runs(years: list[int]) -> list[list[int]]:
    """Years that follow one another, together."""
    runs: list[list[int]] = []
    for year in years:
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return runs


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _share(members_N: np.ndarray) -> str:
    return f"{counted(int(members_N.sum()))} ({percent(float(members_N.mean()))})"
