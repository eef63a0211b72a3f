"""Each kind of figure shows the numbers it was given, fits a paper's column and reads no mathematics in names."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from astrollama.evaluation.report.draw import draw, loss_curve
from astrollama.evaluation.report.looks import (
    BASE_COLOUR,
    SUBJECT_COLOUR,
    house_style,
    looks_of,
    short_name,
    text_width,
)
from astrollama.evaluation.report.pictures import Picture, picture_of_training, pictures_of_tasks
from tests.evaluation.report.fakes import HOSTILE, METRICS, fake_report

COLUMN, PAGE, DPI = 3.4, 7.0, 200


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return fake_report()


@pytest.fixture(scope="module")
def pictures(report: dict[str, Any]) -> dict[str, Picture]:
    return {picture.name: picture for own in pictures_of_tasks(report).values() for picture in own}


def figure_of(report: dict[str, Any], task: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(own for own in report["tasks"][task]["figures"] if own["name"] == name)
    return found


def drawn(report: dict[str, Any], figure: dict[str, Any]) -> Any:
    with house_style():
        return draw(figure, looks_of(report["systems"], "adapted"))


def only_axes(figure: Any) -> Any:
    (axes,) = figure.axes
    return axes


def series(**changes: Any) -> dict[str, Any]:
    return {"system": "adapted", "x": ["a"], "y": [1.0], "low": [], "high": [], "label": ""} | changes


def numbers(kind: str, *own: dict[str, Any], **changes: Any) -> dict[str, Any]:
    texts = {"name": "n", "title": "t", "x_label": "x", "y_label": "y", "note": ""}
    return texts | {"kind": kind, "series": list(own), "diagonal": False} | changes


def test_bars_are_as_high_as_the_values_and_whiskers_as_long_as_the_intervals(report: dict[str, Any]) -> None:
    figure = figure_of(report, "retrieval", "recall")
    axes = only_axes(drawn(report, figure))
    heights = [bar.get_height() for container in axes.containers for bar in container]
    assert heights == [own for series in figure["series"] for own in series["y"]]
    whiskers = [tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "_"]
    assert whiskers == [ends for series in figure["series"] for ends in zip(series["low"], series["high"], strict=True)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["title", "first half", "citations"]


def test_names_that_are_too_long_stand_beside_lying_bars(report: dict[str, Any]) -> None:
    figure = figure_of(report, "perplexity", "by-category")
    drawing = drawn(report, figure)
    drawing.draw_without_rendering()
    axes = only_axes(drawing)
    assert [bar.get_width() for bar in axes.containers[0]] == figure["series"][0]["y"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "astro-ph.GA"
    assert names[2] == short_name(HOSTILE, 36)
    assert axes.get_xlabel() == figure["y_label"]
    left = axes.get_window_extent().x0
    assert len(axes.texts) == 5
    assert all(text.get_window_extent().x0 > left for text in axes.texts), "a value lies over the names"


def test_lines_go_through_the_points_and_the_diagonal_through_the_corners(report: dict[str, Any]) -> None:
    figure = figure_of(report, "calibration", "reliability")
    axes = only_axes(drawn(report, figure))
    for line, own in zip(axes.lines, figure["series"], strict=False):
        assert np.column_stack([line.get_xdata(), line.get_ydata()]).tolist() == [
            list(point) for point in zip(own["x"], own["y"], strict=True)
        ]
    diagonal = axes.lines[-1]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == list(axes.get_xlim()) == list(axes.get_ylim())
    bars = [path.vertices[:, 1].tolist() for path in axes.collections[0].get_paths()]
    first = figure["series"][0]
    assert bars == [list(ends) for ends in zip(first["low"], first["high"], strict=True)]


def test_many_points_have_a_band(report: dict[str, Any]) -> None:
    figure = figure_of(report, "calibration", "curve")
    axes = only_axes(drawn(report, figure))
    assert len(axes.collections) == 3
    vertices = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert vertices.min() == pytest.approx(min(figure["series"][0]["low"]))
    assert vertices.max() == pytest.approx(max(figure["series"][0]["high"]))


def test_a_histogram_has_the_edges_and_heights_given(report: dict[str, Any]) -> None:
    figure = figure_of(report, "embeddings", "cosines")
    axes = only_axes(drawn(report, figure))
    outlines = [patch for patch in axes.patches if not patch.get_fill()]
    for outline, own in zip(outlines, figure["series"], strict=True):
        data = outline.get_data()
        assert data.values.tolist() == own["y"]
        assert data.edges.tolist() == own["x"]


def test_a_matrix_shows_its_numbers_row_by_row_from_the_top(report: dict[str, Any]) -> None:
    figure = figure_of(report, "categorisation", "confusion")
    axes = only_axes(drawn(report, figure))
    shown = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    for row, own in enumerate(figure["series"]):
        for column, value in enumerate(own["y"]):
            assert shown[column + 0.5, row + 0.5] == str(value)
    assert axes.yaxis_inverted()
    assert [label.get_text() for label in axes.get_yticklabels()] == [own["label"] for own in figure["series"]]


@pytest.mark.parametrize("name", ["perplexity-by-year", "embeddings-cosines", "calibration-curve"])
def test_the_legend_covers_no_data(report: dict[str, Any], name: str) -> None:
    task, _, figure_name = name.partition("-")
    drawing = drawn(report, figure_of(report, task, figure_name))
    drawing.draw_without_rendering()
    legend, panel = drawing.legends[0].get_window_extent(), only_axes(drawing).get_window_extent()
    assert legend.y0 >= panel.y1 - 1
    assert legend.x1 <= drawing.bbox.x1


def test_a_system_has_one_colour_everywhere(report: dict[str, Any], pictures: dict[str, Picture]) -> None:
    looks = looks_of(report["systems"], "adapted")
    assert looks["adapted"].colour == SUBJECT_COLOUR == "#0072b2"
    assert looks["base"].colour == BASE_COLOUR
    assert len({look.colour for look in looks.values()}) == len(looks)
    for name in ("perplexity-by-year", "embeddings-cosines", "calibration-reliability"):
        assert SUBJECT_COLOUR in pictures[name].svg
        assert BASE_COLOUR in pictures[name].svg


def test_more_systems_than_colours_differ_by_dashes() -> None:
    systems = [{"key": str(place), "label": str(place), "role": "other"} for place in range(12)]
    looks = looks_of(systems, "none")
    assert len({(look.colour, str(look.dash)) for look in looks.values()}) == 12


def test_series_of_one_system_differ(report: dict[str, Any]) -> None:
    axes = only_axes(drawn(report, figure_of(report, "embeddings", "variants")))
    outlines = [patch for patch in axes.patches if not patch.get_fill()]
    assert len({str(patch.get_linestyle()) for patch in outlines}) == 3
    bars = numbers("bars", *(series(label=label, y=[1.0]) for label in ("raw", "centred", "whitened")))
    colours = {bar.get_facecolor() for container in only_axes(drawn(report, bars)).containers for bar in container}
    assert len(colours) == 3


def test_pictures_have_the_width_of_a_column_or_of_a_page(pictures: dict[str, Picture]) -> None:
    from PIL import Image

    widths = {}
    for name, picture in pictures.items():
        with Image.open(io.BytesIO(picture.png)) as image:
            widths[name] = image.width / DPI
            assert image.info["dpi"][0] == pytest.approx(DPI, abs=0.1)
    assert widths.pop("perplexity-by-year") == PAGE
    assert COLUMN <= widths.pop("categorisation-confusion") < PAGE
    assert set(widths.values()) == {COLUMN}
    assert [name for name, picture in pictures.items() if picture.wide] == ["perplexity-by-year"]


def test_text_stays_text_and_ids_are_the_pictures_own(report: dict[str, Any], pictures: dict[str, Picture]) -> None:
    seen: set[str] = set()
    for name, picture in pictures.items():
        root = ElementTree.fromstring(picture.svg)
        assert root.get("role") == "img"
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert all(str(own).startswith(f"{name}.") for own in ids)
        assert not seen & {str(own) for own in ids}
        seen |= {str(own) for own in ids}
        referred = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', picture.svg)
        assert {first or second for first, second in referred} <= set(ids)
        assert "<image" not in picture.svg
        assert "purl.org" not in picture.svg
    texts = [text.text for text in ElementTree.fromstring(pictures["retrieval-recall"].svg).iter() if text.text]
    assert "recall@1, %" in texts
    assert "MiniLM (all-minilm-l6-v2)" in texts


def test_a_description_says_what_is_seen(pictures: dict[str, Picture]) -> None:
    root = ElementTree.fromstring(pictures["embeddings-cosines"].svg)
    assert root.get("aria-label") == "Cosines of pairs. 4,000 pairs."


def test_drawn_again_a_picture_is_the_same(report: dict[str, Any], pictures: dict[str, Picture]) -> None:
    only = report | {"tasks": {"categorisation": report["tasks"]["categorisation"]}}
    (again,) = pictures_of_tasks(only)["categorisation"]
    assert again == pictures["categorisation-confusion"]


@pytest.mark.parametrize("name", [HOSTILE, "$x_{", r"a\$b$c$", "a\x00b\x1b\ud800c", "天文学 $", "_", ""])
def test_names_are_drawn_as_they_are(report: dict[str, Any], name: str) -> None:
    system = report["systems"][0] | {"label": name}
    figure = numbers("bars", series(x=[name, "other"], y=[1.0, 2.0]), series(x=["other"], y=[1.0], label=name))
    only = report | {
        "systems": [system],
        "tasks": {"perplexity": report["tasks"]["perplexity"] | {"figures": [figure | {"title": name, "note": name}]}},
    }
    (picture,) = pictures_of_tasks(only)["perplexity"]
    texts = [text.text for text in ElementTree.fromstring(picture.svg).iter() if text.text]
    if name:
        assert short_name(name, 36) in texts


@pytest.mark.parametrize("kind", ["bars", "lines", "histogram", "matrix"])
def test_gaps_and_single_points_are_drawn(report: dict[str, Any], kind: str) -> None:
    edges = [0.0, 1.0, 2.0]
    x = {"bars": ["a", "b"], "lines": [0.0, 1.0], "histogram": edges, "matrix": ["a", "b"]}[kind]
    gap = numbers(kind, series(x=x, y=[None, 1.0], low=[None, 0.5], high=[None, 1.5]), series(x=x, y=[0.0, None]))
    single = numbers(kind, series(x=x[: 2 if kind == "histogram" else 1], y=[3.0]))
    for figure in (gap, single):
        drawing = drawn(report, figure)
        with house_style():
            drawing.savefig(io.BytesIO(), format="png")
        assert drawing.axes


@pytest.mark.parametrize("kind", ["bars", "lines", "histogram", "matrix"])
def test_a_figure_without_values_says_so(report: dict[str, Any], kind: str) -> None:
    for figure in (numbers(kind), numbers(kind, series(x=[], y=[]))):
        assert [text.get_text() for text in only_axes(drawn(report, figure)).texts] == ["nothing to show"]


def test_a_system_without_points_is_named_as_such(report: dict[str, Any]) -> None:
    one = numbers("lines", series(x=[], y=[]), series(system="base", x=[0.5], y=[0.5]), diagonal=True)
    (legend,) = drawn(report, one).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [f"{short_name(report['systems'][0]['label'])}: nothing to show", "SmolLM2-135M", "y = x"]


def test_a_reliability_diagram_is_from_0_to_1_and_marks_on_its_edge_are_whole(report: dict[str, Any]) -> None:
    own = series(x=[0.4, 1.0], y=[0.0, 1.0], low=[0.0, 0.8], high=[0.2, 1.0])
    axes = only_axes(drawn(report, numbers("lines", own, diagonal=True)))
    assert axes.get_xlim() == axes.get_ylim() == (0, 1)
    assert not axes.lines[0].get_clip_on()


@pytest.mark.parametrize(
    ("y", "low", "high", "last"),
    [([0.99], [0.9], [1.0 + 1e-12], 1), ([95.0], [90.0], [100.0], 100), ([101.0], [98.0], [119.0], 150)],
    ids=["a share", "per cent", "neither"],
)
def test_no_tick_is_where_no_value_can_be(
    report: dict[str, Any], y: list[float], low: list[float], high: list[float], last: float
) -> None:
    for names in (["a"], ["so long a name that bars lie down", "another name, quite as long as this"]):
        own = series(x=names, y=y * len(names), low=low * len(names), high=high * len(names))
        axes = only_axes(drawn(report, numbers("bars", own, series(system="base", x=[names[0]], y=y))))
        ticks = axes.get_yticks() if len(names) == 1 else axes.get_xticks()
        assert min(ticks) == 0
        assert max(ticks) == last if last <= 100 else 100 < max(ticks) <= last


def test_a_bar_without_an_interval_leaves_the_others_theirs(report: dict[str, Any]) -> None:
    own = series(x=["a", "b"], y=[0.5, 0.6], low=[0.4, None], high=[0.7, None])
    axes = only_axes(drawn(report, numbers("bars", own)))
    whiskers = [tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "_"]
    assert whiskers[0] == (0.4, 0.7)
    assert np.isnan(whiskers[1]).all()


def test_the_bars_of_a_group_stand_around_its_name(report: dict[str, Any]) -> None:
    own = [series(x=["a"]), series(system="base", x=["a", "b"], y=[1.0, 2.0]), series(system="bm25", x=["b"])]
    bars = [bar for container in only_axes(drawn(report, numbers("bars", *own))).containers for bar in container]
    middles = {"a": [], "b": []}
    for bar in bars:
        middle = bar.get_x() + bar.get_width() / 2
        middles["a" if middle < 0.5 else "b"].append(middle)
    assert np.mean(middles["a"]) == pytest.approx(0)
    assert np.mean(middles["b"]) == pytest.approx(1)


def test_a_label_is_as_wide_as_it_is_drawn(report: dict[str, Any]) -> None:
    name = "share of named objects invented"
    drawing = drawn(report, numbers("bars", series(x=[name, name.upper()], y=[1.0, 2.0])))
    drawing.draw_without_rendering()
    for label in only_axes(drawing).get_yticklabels():
        assert text_width(label.get_text()) == pytest.approx(label.get_window_extent().width / drawing.dpi, rel=0.03)


def test_bars_of_nothing_stand_on_the_axis(report: dict[str, Any]) -> None:
    zeros = numbers("bars", series(y=[0.0], low=[0.0], high=[0.0]), series(system="base", y=[0.0]))
    assert only_axes(drawn(report, zeros)).get_ylim() == (0, 1)


def test_forty_groups_of_six_systems_fit_a_page(report: dict[str, Any]) -> None:
    names = [f"astro-ph.{place:02}" for place in range(40)]
    own = [series(system=system["key"], x=names, y=[1.0] * 40) for system in report["systems"]]
    drawing = drawn(report, numbers("bars", *own))
    drawing.draw_without_rendering()
    assert drawing.get_figwidth() <= PAGE
    boxes = [label.get_window_extent() for label in only_axes(drawing).get_yticklabels()]
    assert all(lower.y1 <= upper.y0 for upper, lower in pairwise(boxes)), "names overlap"


def test_lines_over_names(report: dict[str, Any]) -> None:
    axes = only_axes(drawn(report, numbers("lines", series(x=["2024", "2025", "2026"], y=[1.0, 2.0, 3.0]))))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2024", "2025", "2026"]
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2]


def test_the_loss_curve_has_every_step_and_a_mean() -> None:
    with house_style():
        each, mean = only_axes(loss_curve(METRICS)).lines
    assert each.get_ydata().tolist() == [row["loss"] for row in METRICS]
    assert mean.get_ydata()[-1] == pytest.approx(np.mean([row["loss"] for row in METRICS[-20:]]))
    with house_style():
        assert len(only_axes(loss_curve(METRICS[:5])).lines) == 1
    assert picture_of_training([]) is None


def test_names_of_files_are_plain_and_differ(report: dict[str, Any]) -> None:
    figures = [numbers("bars", series()) | {"name": name} for name in ("a/b", "a b", "../../etc", "A-B")]
    only = report | {"tasks": {"perplexity": report["tasks"]["perplexity"] | {"figures": figures}}}
    names = [picture.name for picture in pictures_of_tasks(only)["perplexity"]]
    assert names == ["perplexity-a-b", "perplexity-a-b-2", "perplexity-..-..-etc", "perplexity-A-B-3"]
