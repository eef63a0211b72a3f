"""The reference of `report.json`, page and JSON Schema, from the models in `astrollama.evaluation.report.schema`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from astrollama.evaluation.report import SCHEMA_VERSION
from astrollama.evaluation.report.schema import Interval, OpenPart, Report

INTRODUCTION = """# report.json

Made by `make docs` from `astrollama.evaluation.report.schema`.

What `report.html` shows, for programs: schema version {version}. [report.schema.json](report.schema.json) is the same as a JSON Schema. The
version is raised when a key changes its meaning or goes, not when one is added.

Every metric is a value, its 95 % interval by bootstrap over samples and the number of samples; comparisons are paired on the same samples.
Shares are between 0 and 1, durations are in seconds. What could not be had is null, and a reason stands beside it.
"""


def report_page() -> str:
    """A section for each part of the report, the report itself first."""
    parts = [INTRODUCTION.format(version=SCHEMA_VERSION)]
    for part in parts_of(Report):
        more = " Further keys are allowed." if issubclass(part, OpenPart) else ""
        parts.append(f"## {part.__name__}\n\n{part.__doc__}{more}\n\n| key | type | |\n|---|---|---|")
        for key, field in part.model_fields.items():
            parts.append(f"| `{key}` | {words(field.annotation)} | {field.description} |")
        parts.append("")
    return "\n".join(parts)


def report_schema() -> str:
    """The JSON Schema."""
    return json.dumps(Report.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def parts_of(part: type[BaseModel], seen: list[type[BaseModel]] | None = None) -> list[type[BaseModel]]:
    """A part and all that it holds, each once."""
    seen = [] if seen is None else seen
    seen.append(part)
    for field in part.model_fields.values():
        for inner in models_in(field.annotation):
            if inner not in seen:
                parts_of(inner, seen)
    return seen


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """The models within a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from models_in(inner)


def words(kind: Any) -> str:
    """A type as a reader of JSON or TOML calls it."""
    names = {
        str: "text",
        float: "number",
        int: "whole number",
        bool: "true or false",
        type(None): "null",
        Any: "anything",
    }
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Interval:
        return "[low, high]"
    if kind in names:
        return names[kind]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is Annotated:  # its limits stand in the description
        return words(inner[0])
    if origin is list or (origin is tuple and inner[-1] is Ellipsis):
        return f"list of {words(inner[0])}"
    if origin is tuple:
        return f"[{', '.join(words(own) for own in inner)}]"
    if origin is dict:
        return f"object of {words(inner[1])}"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(words(own) for own in inner))
    return f"[{kind.__name__}](#{kind.__name__.lower()})"
