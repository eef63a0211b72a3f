"""The report's figures as SVG and PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from astrollama.evaluation.report.draw import draw, loss_curve
from astrollama.evaluation.report.looks import house_style, looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSS = "training-loss"

_DPI = 200
_NARROW = 5.0  # inches: up to here two pictures stand side by side
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


@dataclass(frozen=True)
class Picture:
    """A drawn figure.

    Attributes:
        name: of its files, without suffix, and before every id within its SVG, so that many can stand in one page.
        wide: it takes the width of both columns.
    """

    name: str
    svg: str
    png: bytes
    wide: bool


def pictures_of_tasks(report: Mapping[str, Any]) -> dict[str, list[Picture]]:
    """The figures of each task, by its name, in their order."""
    looks = looks_of(report["systems"], report["subject"])
    taken = {LOSS}
    pictures: dict[str, list[Picture]] = {}
    for task_name, task in report["tasks"].items():
        pictures[task_name] = []
        for figure in task["figures"]:
            name = _file_name(f"{task_name}-{figure['name']}", taken)
            with house_style():
                drawn = draw(figure, looks)
                pictures[task_name].append(_picture(drawn, name, f"{figure['title']}. {figure['note']}".strip()))
    return pictures


def picture_of_training(metrics: Sequence[Mapping[str, Any]]) -> Picture | None:
    """The loss curve, where there was a run."""
    if not metrics:
        return None
    with house_style():
        return _picture(loss_curve(metrics), LOSS, "Training loss against tokens.")


def save_pictures(pictures: Sequence[Picture], folder: Path) -> list[str]:
    """Write each picture twice to `folder`, which is there.

    Returns:
        The names of the files.
    """
    names = []
    for picture in pictures:
        (folder / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")
        (folder / f"{picture.name}.png").write_bytes(picture.png)
        names += [f"{picture.name}.svg", f"{picture.name}.png"]
    return names


def _picture(figure: Figure, name: str, description: str) -> Picture:
    import matplotlib as mpl

    # laid out once: it takes longer than drawing
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Picture(
        name, _for_a_page(svg.getvalue(), name, description), png.getvalue(), figure.get_figwidth() > _NARROW
    )


def _for_a_page(svg: str, prefix: str, description: str) -> str:
    """The SVG with ids of its own, a description for people who do not see it, and no fixed size."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{prefix}.{value}")
            elif key == f"{{{_XLINK}}}href":
                element.set(key, f"#{prefix}.{value.removeprefix('#')}")
            else:
                element.set(key, _REFERENCE.sub(rf"url(#{prefix}.\1)", value))
    root.set("role", "img")
    root.set("aria-label", "".join(character for character in description if character.isprintable()))
    return ElementTree.tostring(root, encoding="unicode")


def _file_name(name: str, taken: set[str]) -> str:
    """A name that every file system takes, and that no other picture has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    chosen = plain
    count = 1
    while chosen.lower() in taken:
        count += 1
        chosen = f"{plain}-{count}"
    taken.add(chosen.lower())
    return chosen
