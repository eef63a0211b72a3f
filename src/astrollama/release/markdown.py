"""Markdown pages from templates: every value is escaped, so that a name with a pipe in it breaks no table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrollama.corpus.card import escape, fenced, markdown_environment

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """A page from one of our templates."""
    text = _environment().get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table of cells of text, the first `left` columns to the left and the others to the right."""
    lines = [[*map(escape, columns)], ["---"] * left + ["--:"] * (len(columns) - left)]
    lines += [[*map(escape, row)] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def toml(settings: Mapping[str, Any]) -> str:
    """Settings as TOML, without those that are null."""
    import tomli_w

    return tomli_w.dumps(_without_none(settings))


def _environment() -> Environment:
    from markupsafe import Markup

    environment = markdown_environment("astrollama.release")
    environment.filters |= {
        "fenced": lambda value, language: Markup(fenced(str(value), language)),
        "made": lambda value: Markup(value),
    }
    environment.globals["table"] = lambda columns, rows, left: Markup(table(columns, rows, left))
    return environment


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(own) for key, own in value.items() if own is not None}
    return value
