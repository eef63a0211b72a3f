"""The report's plots, as SVG text to stand inside HTML."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrollama.corpus.plots import plain_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE, ADAPTED, INK = "#8a8f98", "#2f6db3", "#1d2733"
_SIZE = (7.2, 3.2)


def loss_curve(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Training loss against tokens, each step and a running mean."""
    import numpy as np

    figure, axes = _figure()
    tokens = np.array([row["num_tokens"] for row in metrics])
    loss = np.array([row["loss"] for row in metrics])
    axes.plot(tokens, loss, color=BASE, linewidth=0.8, alpha=0.7, label="each step")
    width = max(1, len(loss) // 12)
    if width > 1:
        smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
        axes.plot(tokens[width - 1 :], smooth, color=ADAPTED, linewidth=1.8, label=f"mean of {width} steps")
    axes.set(xlabel="tokens trained on", ylabel="loss (nats a token)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False)
    return _svg(figure)


def perplexity_bars(perplexity: Mapping[str, Any]) -> str:
    """Perplexity of both models with intervals."""
    figure, axes = _figure(height=1.9)
    for row, (system, colour) in enumerate((("adapted", ADAPTED), ("base", BASE))):
        value, interval = perplexity[system], perplexity[f"{system}_ci95"]
        axes.barh(row, value, color=colour, height=0.6)
        if interval:
            axes.plot(interval, [row, row], color=INK, linewidth=1.4, marker="|", markersize=7)
        label = f"{value:.2f}" + (f"  [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
        axes.annotate(
            label,
            (interval[1] if interval else value, row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks([0, 1], ["adapted", "base"])
    axes.set_xlim(0, 1.45 * max(perplexity["base"], perplexity["adapted"]))
    axes.set_xlabel("perplexity (lower is better)")
    return _svg(figure)


def reduction_by_group(groups: Mapping[str, Mapping[str, Any]], overall: float) -> str:
    """Relative reduction of perplexity in each group with intervals, and the overall value as a line."""
    figure, axes = _figure(height=0.9 + 0.32 * len(groups))
    names = list(groups)
    for row, name in enumerate(names):
        group = groups[name]
        interval = group["relative_reduction_ci95"]
        if interval:
            axes.plot([100 * bound for bound in interval], [row, row], color=ADAPTED, linewidth=2)
        axes.plot(
            100 * group["relative_reduction"],
            row,
            "o",
            color=ADAPTED if interval else "white",
            markeredgecolor=ADAPTED,
            markersize=6,
        )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.axvline(100 * overall, color=BASE, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(names)), [f"{plain_name(name)} (n={groups[name]['num_documents']})" for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.invert_yaxis()
    axes.set_xlabel("reduction of perplexity, %")
    return _svg(figure)


def _figure(height: float = _SIZE[1]) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE[0], height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure, axes


def _svg(figure: Figure) -> str:
    """SVG without the XML header; text stays text, ids do not change from run to run."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "astrollama", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*" width="[^"]*"', r"\1\2", svg, count=1
    )
