"""`astrollama corpus`: papers to a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astrollama.cli.options import JsonOption, OutOption, SetOption, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(no_args_is_help=True, help="Corpora: make one from papers, and see what it holds.")

OnErrorOption = Annotated[
    Literal["stop", "skip"],
    typer.Option("--on-error", help="At a record that cannot be read: stop, or keep it in rejected.parquet and go on."),
]


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="JSONL, JSONL.gz, the arXiv metadata snapshot, Parquet, or folders of these."
        ),
    ],
    out: OutOption,
    recipe: Annotated[
        str, typer.Option("--recipe", help="The recipe whose corpus section to use: a TOML file or a built-in name.")
    ] = "smollm2-135m-cpu",
    set_: SetOption = None,
    on_error: OnErrorOption = "stop",
    json: JsonOption = False,
) -> None:
    """Repair, filter, deduplicate and hold out: papers from files become a corpus.

    Writes train.parquet, test.parquet, rejected.parquet (each record with its reason) and manifest.json.

    Example: astrollama corpus import papers.jsonl.gz --out corpus
    """
    from astrollama.corpus.build import import_corpus
    from astrollama.recipe import load_recipe
    from astrollama.sources.files import FileSource

    settings = load_recipe(recipe, set_ or []).corpus
    manifest = import_corpus(FileSource(paths, on_error), settings, out)
    if json:
        print_json({"counts": manifest["counts"], "split": manifest["split"], "seconds": manifest["seconds"]})
    else:
        typer.echo(describe_counts(manifest))


@app.command("sample")
def sample(json: JsonOption = False) -> None:
    """Tell where the built-in sample corpus lies: 240 abstracts written for this project (CC0).

    Example: astrollama corpus import "$(astrollama corpus sample)" --out corpus
    """
    from astrollama.sources.sample import SAMPLE

    if json:
        print_json({"path": str(SAMPLE)})
    else:
        typer.echo(str(SAMPLE))


@app.command()
def stats(
    corpus: Annotated[Path, typer.Argument(help="A corpus directory.")],
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Where to draw them (.png, .svg or .pdf). Default: CORPUS/stats.png.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print and draw papers, words and lengths by year and category.

    Example: astrollama corpus stats corpus --plot stats.png
    """
    from astrollama.corpus.stats import corpus_stats, draw_stats

    computed = corpus_stats(corpus)
    picture = plot or corpus / "stats.png"
    draw_stats(computed, picture)
    if json:
        print_json({**computed, "plot": str(picture)})
        return
    for key in ("by_split", "by_year", "by_category"):
        _print_table(key.removeprefix("by_"), computed[key])
    _print_table("", {"total": computed["total"]})
    if computed["rejected"]:
        typer.echo("rejected: " + ", ".join(f"{count:,} {reason}" for reason, count in computed["rejected"].items()))
    typer.echo(f"drawn in {picture}")


def describe_counts(manifest: Mapping[str, Any]) -> str:
    """One line on what an import did."""
    counts, split = manifest["counts"], manifest["split"]
    held_out = f"from {split['held_out_from']} on" if split["held_out_from"] else "at random"
    line = f"{counts['records']:,} records: {counts['train']:,} to train on, {counts['test']:,} held out ({held_out})"
    rejected = counts["rejected"]
    if rejected:
        line += (
            f", {sum(rejected.values()):,} rejected ("
            + ", ".join(f"{count:,} {reason}" for reason, count in rejected.items())
            + ")"
        )
    return line


def _print_table(title: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    typer.echo(f"{title:<24}{'papers':>10}{'words':>14}{'words a paper: p10':>22}{'median':>9}{'p90':>8}")
    for name, group in groups.items():
        lengths = [group[f"words_{part}"] for part in ("p10", "median", "p90")]
        p10, median, p90 = ("" if value is None else f"{value:,.0f}" for value in lengths)
        typer.echo(f"{name:<24}{group['papers']:>10,}{group['words']:>14,}{p10:>22}{median:>9}{p90:>8}")
    typer.echo("")
