"""What a corpus holds, in numbers and in one picture: papers, words and lengths by year and by category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.corpus.build import STAGE_NAME
from astrollama.errors import RunError
from astrollama.runs import atomic_path, read_manifest

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "test")
MAX_CATEGORIES_SHOWN = 12


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


def draw_stats(corpus: Path, stats: Mapping[str, Any], out: Path) -> None:
    """Draw `corpus_stats` to `out`; the suffix (.png, .svg, .pdf) chooses the format.

    Raises:
        RunError: the suffix is none of these.
    """
    from matplotlib.figure import Figure

    if out.suffix not in (".png", ".svg", ".pdf"):
        raise RunError(f"{out} has no suffix of a picture", "end it in .png, .svg or .pdf")
    words_N, _, _, splits_N = _columns(corpus)
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    (by_year, by_category), (words, lengths) = figure.subplots(2, 2)

    years = {int(year): group for year, group in stats["by_year"].items()}
    by_year.bar(list(years), [group["papers"] for group in years.values()], color="#3b6ea5")
    by_year.set(title="Papers by year", xlabel="year", ylabel="papers")
    by_year.xaxis.get_major_locator().set_params(integer=True)
    words.bar(list(years), [group["words"] for group in years.values()], color="#3b6ea5")
    words.set(title="Words by year", xlabel="year", ylabel="words")
    words.xaxis.get_major_locator().set_params(integer=True)

    shown = list(stats["by_category"].items())[:MAX_CATEGORIES_SHOWN]
    names = [name for name, _ in shown]
    by_category.barh(names, [group["papers"] for _, group in shown], color="#3b6ea5")
    by_category.invert_yaxis()
    more = len(stats["by_category"]) - len(shown)
    by_category.set(
        title="Papers by primary category" + (f" ({more} smaller not shown)" if more else ""), xlabel="papers"
    )

    top = max(float(_quantile(words_N, 0.995)), 1.0)
    for split, colour in zip(SPLITS, ("#3b6ea5", "#d1792a"), strict=True):
        lengths.hist(
            words_N[splits_N == split], bins=40, range=(0, top), density=True, alpha=0.6, color=colour, label=split
        )
    lengths.set(title="Length of an abstract", xlabel="words", ylabel="density")
    lengths.legend()

    with atomic_path(out) as partial:
        figure.savefig(partial, dpi=150)


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
            raise RunError(f"{path} cannot be read ({error})", "it is damaged: import the corpus again") from error
        words.append(pc.list_value_length(pc.utf8_split_whitespace(table["text"])).to_numpy())
        years.append(pc.utf8_slice_codeunits(table["date"], 0, 4).cast(pa.int32()).to_numpy())
        categories += table["primary_category"].to_pylist()
        splits += [split] * table.num_rows
    return np.concatenate(words), np.concatenate(years), np.array(categories), np.array(splits)


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
