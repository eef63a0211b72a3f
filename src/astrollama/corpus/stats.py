"""What a corpus holds, in numbers and in one picture: papers, words and lengths by year and by category."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.corpus.measures import NO_YEAR, measure
from astrollama.corpus.plots import plain_name, save_figure
from astrollama.corpus.store import STAGE_NAME
from astrollama.errors import UserInputError
from astrollama.records import UNKNOWN
from astrollama.runs import read_manifest

if TYPE_CHECKING:
    import numpy as np

MAX_CATEGORIES_SHOWN = 12
COLOUR = "#3b6ea5"


def corpus_stats(corpus: Path) -> dict[str, Any]:
    """Papers, words and the length's quantiles in words (10 %, 50 %, 90 %), in all, by year, by category and by split.

    Raises:
        RunError: `corpus` is no complete corpus.
    """
    manifest = read_manifest(corpus, STAGE_NAME)
    measures = measure(corpus)
    words_N = measures.words_N
    return {
        "corpus": str(corpus),
        "total": _summary(words_N),
        "by_split": {split: _summary(words_N[measures.in_split(split)]) for split in measures.splits},
        "by_year": {
            str(year) if year != NO_YEAR else UNKNOWN: _summary(words_N[measures.year_N == year])
            for year in measures.years()
        },
        "by_category": {
            name: _summary(words_N[measures.primary_N == place]) for name, place in measures.by_frequency()
        },
        "rejected": manifest["counts"]["rejected"],
        "split": manifest["split"],
    }


def draw_stats(stats: Mapping[str, Any], out: Path) -> None:
    """Draw `corpus_stats` to `out`: papers, words and lengths, by year and by category.

    Raises:
        UserInputError: the suffix of `out`, which chooses the format, is none of .png, .svg and .pdf.
    """
    from matplotlib.figure import Figure

    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserInputError(f"{out} has no suffix of a picture", "end it in .png, .svg or .pdf")
    figure = Figure(figsize=(11, 9), layout="constrained")
    grid = figure.subplots(3, 2)
    years = {int(year): group for year, group in stats["by_year"].items() if year != UNKNOWN}
    shown = dict(list(stats["by_category"].items())[:MAX_CATEGORIES_SHOWN])
    more = len(stats["by_category"]) - len(shown)
    plain = [plain_name(name) for name in shown]
    for column, (groups, title) in enumerate([(years, "by year"), (shown, "by category")]):
        names = list(groups) if groups is years else plain
        for row, key in enumerate(("papers", "words")):
            grid[row][column].bar(names, [group[key] for group in groups.values()], color=COLOUR)
            grid[row][column].yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        lengths = grid[2][column]
        lengths.vlines(
            names,
            [g["words_p10"] for g in groups.values()],
            [g["words_p90"] for g in groups.values()],
            color=COLOUR,
            alpha=0.4,
        )
        lengths.plot(names, [g["words_median"] for g in groups.values()], "o", color=COLOUR, markersize=4)
        lengths.set_ylim(bottom=0)
        for row, what in enumerate(("Papers", "Words", "Words a paper, median and 10 to 90 %")):
            grid[row][column].set_title(f"{what}, {title}", fontsize=10)
            if column == 0:
                grid[row][column].xaxis.get_major_locator().set_params(integer=True)
            else:
                grid[row][column].set_xticks(range(len(names)), plain, rotation=35, ha="right", fontsize=8)
    if more:
        grid[2][1].set_xlabel(f"{more} smaller categories are not shown", fontsize=9)
    save_figure(figure, out, dpi=150)


def _summary(words_N: np.ndarray) -> dict[str, Any]:
    import numpy as np

    summary: dict[str, Any] = {"papers": len(words_N), "words": int(words_N.sum())}
    for name, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
        summary[f"words_{name}"] = float(np.quantile(words_N, share)) if len(words_N) else None
    return summary
