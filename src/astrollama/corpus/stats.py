"""What a corpus holds, in numbers and in one picture: papers, words and lengths by year and by category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.corpus.build import STAGE_NAME
from astrollama.errors import RunError, UserInputError
from astrollama.records import UNKNOWN
from astrollama.runs import atomic_path, read_manifest

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "test")
MAX_CATEGORIES_SHOWN = 12
COLOUR = "#3b6ea5"


def corpus_stats(corpus: Path) -> dict[str, Any]:
    """Papers, words and the length's quantiles in words (10 %, 50 %, 90 %), in all, by year, by category and by split.

    Raises:
        RunError: `corpus` is no complete corpus.
    """
    manifest = read_manifest(corpus, STAGE_NAME)
    words_N, years_N, categories_N, splits_N = _columns(corpus)
    return {
        "corpus": str(corpus),
        "total": _summary(words_N),
        "by_split": _groups(words_N, splits_N, SPLITS),
        "by_year": _groups(words_N, years_N, sorted(set(years_N.tolist()))),
        "by_category": _groups(words_N, categories_N, _by_frequency(categories_N)),
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
    with atomic_path(out) as partial:
        figure.savefig(partial, dpi=150)


def plain_name(name: str) -> str:
    """A name as matplotlib must get it, so as not to read mathematics in it."""
    return name.replace("$", r"\$")


def _columns(corpus: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Words, year, primary category and split of every document, each of shape (N,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    words, years, categories, splits = [], [], [], []
    for split in SPLITS:
        path = corpus / f"{split}.parquet"
        try:
            table = pq.read_table(path, columns=["text", "date", "primary_category"])
        except (pa.ArrowException, OSError) as error:
            raise RunError(
                f"{path} cannot be read ({error})", "it is damaged: delete that corpus and import it again"
            ) from error
        words.append(pc.list_value_length(pc.utf8_split_whitespace(table["text"])).to_numpy())
        years += [date[:4] or UNKNOWN for date in table["date"].to_pylist()]
        categories += table["primary_category"].to_pylist()
        splits += [split] * table.num_rows
    return np.concatenate(words), np.array(years), np.array(categories), np.array(splits)


def _groups(words_N: np.ndarray, keys_N: np.ndarray, order: Iterable[Any]) -> dict[str, dict[str, Any]]:
    return {str(key): _summary(words_N[keys_N == key]) for key in order}


def _summary(words_N: np.ndarray) -> dict[str, Any]:
    summary: dict[str, Any] = {"papers": len(words_N), "words": int(words_N.sum())}
    for name, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
        summary[f"words_{name}"] = float(_quantile(words_N, share)) if len(words_N) else None
    return summary


def _quantile(words_N: np.ndarray, share: float) -> Any:
    import numpy as np

    return np.quantile(words_N, share)


def _by_frequency(keys_N: np.ndarray) -> list[str]:
    import numpy as np

    names, counts = np.unique(keys_N, return_counts=True)
    return [str(name) for _, name in sorted(zip(-counts, names, strict=True))]
