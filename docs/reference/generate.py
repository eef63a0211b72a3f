"""Write docs/reference/cli.md from every `--help`, recipe.md from the recipe's fields, and report.md from the report's schema.

With `--check` nothing is written; the exit code is 1 where a file is out of date.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"}
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("GITHUB_ACTIONS", None)

from report_page import report_page, report_schema, words

from astrollama.cli.main import app, run
from astrollama.recipe import Recipe, builtin_recipes, load_recipe

HERE = Path(__file__).parent


def main() -> int:
    """Write or check all pages."""
    stale = []
    pages = {"cli.md": cli_page(), "recipe.md": recipe_page(), "report.md": report_page()}
    for name, text in (pages | {"report.schema.json": report_schema()}).items():
        path = HERE / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    if stale and "--check" in sys.argv:
        print(f"error: {', '.join(stale)} in {HERE} is out of date: run make docs", file=sys.stderr)
        return 1
    return 0


def cli_page() -> str:
    """Every command's help, in a section each."""
    parts = ["# The commands\n\nMade by `make docs` from each command's `--help`.\n"]
    parts.append("Exit codes: 0 done, 1 failed, 2 the user's input, 130 interrupted (Ctrl-C).\n")
    for command in commands():
        text = "\n".join(line.rstrip() for line in help_of(command).strip("\n").splitlines())
        parts.append(f"## {' '.join(['astrollama', *command])}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def commands() -> Iterator[list[str]]:
    """The words of every command, groups before their members."""
    yield []
    for command in app.registered_commands:
        assert command.callback is not None
        yield [command.name or command.callback.__name__.rstrip("_")]
    for group in app.registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        yield [group.name]
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            yield [group.name, command.name or command.callback.__name__.rstrip("_")]


def help_of(words: list[str]) -> str:
    """What `astrollama WORDS --help` prints."""
    output = io.StringIO()
    with redirect_stdout(output):
        assert run([*words, "--help"]) == 0
    return output.getvalue()


def recipe_page() -> str:
    """Every key of a recipe with type, default and reason, and the built-in recipes."""
    parts = [
        "# Recipes\n\nMade by `make docs` from the fields of `astrollama.recipe`.\n",
        'A recipe is a TOML file. `extends = "name"` lays it over another one, `--set section.key=value` lays a value over '
        "both. Unknown keys and values of the wrong type are errors. The complete recipe is saved with each run.\n",
    ]
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if not hasattr(section, "model_fields"):
            continue
        parts.append(f"## [{name}]\n\n{section.__doc__}\n\n| key | type | default | |\n|---|---|---|---|")
        defaults = section().model_dump(mode="json")
        for key, own in section.model_fields.items():
            parts.append(f"| `{key}` | {words(own.annotation)} | `{defaults[key]}` | {own.description} |")
        parts.append("")
    parts.append("## Built-in recipes\n\n| name | what it sets |\n|---|---|")
    for name in builtin_recipes():
        changed = changes(load_recipe(name).model_dump(mode="json"), Recipe().model_dump(mode="json"))
        parts.append(
            f"| `{name}` | {', '.join(f'`{key} = {value}`' for key, value in changed.items() if key != 'name')} |"
        )
    return "\n".join(parts) + "\n"


def changes(values: dict[str, object], defaults: dict[str, object], prefix: str = "") -> dict[str, object]:
    """The keys whose values are not the defaults, dotted."""
    found: dict[str, object] = {}
    for key, value in values.items():
        default = defaults[key]
        if isinstance(value, dict) and isinstance(default, dict):
            found |= changes(value, default, f"{prefix}{key}.")
        elif value != default:
            found[f"{prefix}{key}"] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
