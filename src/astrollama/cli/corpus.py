"""`astrollama corpus`: papers to a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrollama.cli import build, harvest, latex
from astrollama.cli.options import (
    JsonOption,
    LikeOption,
    OnErrorOption,
    OutOption,
    SetOption,
    WorkersOption,
    print_json,
    tell_corpus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(no_args_is_help=True, help="Corpora: get papers, make a corpus of them, and see what it holds.")
app.command()(build.build)
app.command()(harvest.harvest)
app.command()(latex.latex)


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="JSONL, the arXiv metadata snapshot, Parquet, Arrow, BibTeX, plain text (.txt), or folders of these, such as a harvest.",
        ),
    ],
    out: OutOption,
    recipe: Annotated[
        str, typer.Option("--recipe", help="The recipe whose corpus section to use: a TOML file or a built-in name.")
    ] = "smollm2-135m-cpu",
    set_: SetOption = None,
    like: LikeOption = None,
    on_error: OnErrorOption = "stop",
    workers: WorkersOption = 1,
    json: JsonOption = False,
) -> None:
    """Repair, filter, deduplicate, hold out and decontaminate: papers from files become a corpus.

    Writes train.parquet, validation.parquet, test.parquet, rejected.parquet (each record with its reason), quality.json
    and manifest.json. Stopped, the same command goes on.

    Example: astrollama corpus import papers.jsonl.gz --out corpus
    """
    from astrollama.corpus.build import import_corpus
    from astrollama.corpus.cluster import parts_maker
    from astrollama.recipe import load_recipe
    from astrollama.sources.files import FileSource

    settings = load_recipe(recipe, set_ or []).corpus
    source = FileSource(paths, on_error, settings.text_field, settings.categories)
    manifest = import_corpus(source, settings, out, like=like, make_parts=parts_maker(workers))
    if json:
        print_json({key: manifest[key] for key in ("counts", "split", "decontamination", "seconds")})
    else:
        tell_corpus(manifest, out)


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


def _print_table(title: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    typer.echo(f"{title:<24}{'papers':>10}{'words':>14}{'words a paper: p10':>22}{'median':>9}{'p90':>8}")
    for name, group in groups.items():
        lengths = [group[f"words_{part}"] for part in ("p10", "median", "p90")]
        p10, median, p90 = ("" if value is None else f"{value:,.0f}" for value in lengths)
        typer.echo(f"{name:<24}{group['papers']:>10,}{group['words']:>14,}{p10:>22}{median:>9}{p90:>8}")
    typer.echo("")
