"""A corpus as its recipe says: harvest or files, import, card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from astrollama.console import warn
from astrollama.corpus.build import CardWriter, PartsMaker, import_corpus
from astrollama.corpus.card import write_card
from astrollama.corpus.measures import TokenCounter
from astrollama.errors import RecipeError
from astrollama.recipe import Recipe
from astrollama.sections import SourceSection
from astrollama.sources.files import FileSource, OnError
from astrollama.sources.harvest import HarvestSettings, harvest


def build_corpus(
    recipe: Recipe,
    out: Path,
    *,
    files: Sequence[Path],
    harvest_folder: Path,
    update: bool,
    on_error: OnError,
    like: Path | None,
    make_parts: PartsMaker,
    make_counter: Callable[[], TokenCounter] | None,
) -> dict[str, Any]:
    """Make the corpus directory `out` with its card; what was harvested already is not asked for again.

    Args:
        files: stand in for the recipe's source; empty to take that.
        harvest_folder: where a harvest lies or goes.
        update: whether to ask the server for what came since.
        like, make_parts: as for `import_corpus`.
        make_counter: for the card's lengths, called when the papers are there; None leaves tokens out.

    Returns:
        The manifest.

    Raises:
        RecipeError: the recipe names no source.
        AstroLlamaError: as `harvest` and `import_corpus`.
    """
    paths, described = _papers(recipe.source, files, harvest_folder, update)
    source = FileSource(paths, on_error, recipe.corpus.text_field, recipe.corpus.categories)
    if files and recipe.card.licence != "other":
        warn(
            f"the card will say card.licence = {recipe.card.licence!r}, as the recipe does: is it that of these files?"
        )
    count_tokens = make_counter() if make_counter else None
    card = CardWriter(
        {"card": recipe.card.model_dump(mode="json"), "tokenizer": count_tokens.name if count_tokens else ""},
        partial(write_card, card=recipe.card, count_tokens=count_tokens),
    )
    return import_corpus(
        source,
        recipe.corpus,
        out,
        like=like,
        make_parts=make_parts,
        write_card=card,
        more_identity={"source": described},
    )


def _papers(
    section: SourceSection, files: Sequence[Path], harvest_folder: Path, update: bool
) -> tuple[list[Path], Mapping[str, str]]:
    """Where the papers lie, after they were harvested if need be, and what the server was asked for."""
    if files:
        return list(files), {}
    if section.kind == "files":
        if not section.paths:
            raise RecipeError("source.kind = 'files' without source.paths", "name files there, or on the command line")
        return [Path(path) for path in section.paths], {}
    settings = HarvestSettings(
        set_name=section.set,
        from_date=date.fromisoformat(section.from_date) if section.from_date else None,
        until_date=date.fromisoformat(section.until_date) if section.until_date else None,
        metadata_format=section.format,
        url=section.url,
        contact=section.contact,
        delay=section.delay,
    )
    harvest(settings, harvest_folder, update=update)
    return [harvest_folder], settings.identity()
