"""What an adapted model gains on its own field and loses on general text, for each alpha between its base and itself.

The weights are base + alpha x (trained - base), interpolated in memory. Perplexity is token-weighted, with a bootstrap
interval over documents; the documents are held-out ones of two corpora. Prints JSON and draws a PNG: general text against
the field, a curve a run.

    python benchmarks/trade_curve.py --run full=run --corpus corpus --general general --out trade.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astrollama.backends.hf import HFLanguageModel
from astrollama.corpus.plots import CATEGORY_COLOURS, INK, plain_name, save_figure
from astrollama.errors import UserInputError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.intervals import bootstrap_sums, interval_95
from astrollama.files import read_json
from astrollama.models.load import LoadedModel, load_model, resolve_device
from astrollama.provenance import hardware
from astrollama.records import Document
from astrollama.runs import MANIFEST
from astrollama.tokens.shards import INDEX

ALPHAS = [round(0.1 * step, 1) for step in range(11)]
RESAMPLES = 10_000


def main() -> None:
    options = parse()
    documents = {
        "field": EvaluationData(options.corpus, options.seed).test[: options.documents],
        "general": EvaluationData(options.general, options.seed).test[: options.documents],
    }
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, run in options.run:
        require_unseen(run, documents["field"] + documents["general"])
        adapted, set_alpha = interpolated(run, resolve_device("auto"), options.base)
        curves[name] = []
        for alpha in options.alphas:
            set_alpha(alpha)
            curves[name].append({"alpha": alpha} | {kind: perplexity(adapted, own) for kind, own in documents.items()})
    draw(curves, options)
    numbers = {kind: len(own) for kind, own in documents.items()}
    print(json.dumps({"documents": numbers, "seed": options.seed, "curves": curves, "hardware": hardware()}, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", metavar="NAME=DIR", type=named, action="append", required=True)
    parser.add_argument("--base", help="where the base is now, if it has moved")
    parser.add_argument("--corpus", type=Path, required=True, help="the corpus of the field")
    parser.add_argument("--general", type=Path, required=True, help="a corpus of general text")
    parser.add_argument("--documents", type=int, default=100, help="held-out documents of each corpus")
    parser.add_argument("--alphas", type=lambda text: [float(part) for part in text.split(",")], default=ALPHAS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    return parser.parse_args()


def named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, Path(folder)


def interpolated(run: Path, device: str, base: str | None) -> tuple[LoadedModel, Callable[[float], None]]:
    """A trained model, and how to give it the weights of an alpha."""
    adapted = load_model(str(run), device, base)
    if adapted.base_digest is not None:
        layers = [layer for layer in adapted.model.modules() if hasattr(layer, "get_delta_weight")]
        scales = [layer.scaling["default"] for layer in layers]

        def scale(alpha: float) -> None:
            for layer, own in zip(layers, scales, strict=True):
                layer.scaling["default"] = alpha * own

        return adapted, scale
    recorded = read_json(run / MANIFEST)["base"]
    untrained = load_model(base or recorded["name"], device)
    if untrained.digest != recorded["digest"]:
        raise UserInputError(f"{run} was not trained on {untrained.name}", "give its own base with --base")
    before = {name: p.detach() for name, p in untrained.model.named_parameters()}
    after = {name: p.detach().clone() for name, p in adapted.model.named_parameters()}

    @torch.no_grad()
    def interpolate(alpha: float) -> None:
        for name, parameter in adapted.model.named_parameters():
            torch.lerp(before[name], after[name], alpha, out=parameter.detach())

    return adapted, interpolate


def require_unseen(run: Path, documents: list[Document]) -> None:
    import pyarrow.parquet as pq

    seen = set(pq.read_table(run / INDEX, columns=["content_hash"])["content_hash"].to_pylist())
    known = [document.id for document in documents if document.content_hash in seen]
    if known:
        raise UserInputError(f"{run} was trained on {known[0]}", "give the corpora that it was trained from")


def perplexity(model: LoadedModel, documents: list[Document]) -> dict[str, Any]:
    """Of all documents together, with its 95 % interval."""
    likelihoods = HFLanguageModel(model).loglikelihood_rolling([document.text for document in documents])
    columns_KN = np.array([[own.nll for own in likelihoods], [own.num_tokens for own in likelihoods]], dtype=float)
    nll, tokens = columns_KN.sum(-1)
    resampled_nll, resampled_tokens = bootstrap_sums(columns_KN, RESAMPLES, seed=0)
    interval = interval_95(np.exp(resampled_nll / resampled_tokens), len(documents))
    return {"perplexity": float(np.exp(nll / tokens)), "ci95": interval, "tokens": int(tokens)}


def draw(curves: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """Lower and to the left is better; the intervals are the same documents', so that neighbours move together."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = figure.subplots()
    places = {
        name: np.array([[point[kind]["perplexity"] for kind in ("field", "general")] for point in curve])
        for name, curve in curves.items()
    }
    colours = dict(zip(curves, CATEGORY_COLOURS * len(curves), strict=False))
    for name, places_N2 in places.items():
        axes.plot(*places_N2.T, color=colours[name], marker="o", markersize=4, linewidth=1.6, label=plain_name(name))
    for number, (name, places_N2) in enumerate(places.items()):
        offsets_N2 = (11 + 10 * number) * normals(axes.transData.transform(places_N2))
        for point, place, offset in zip(curves[name], places_N2, offsets_N2, strict=True):
            text = f"{point['alpha']:g}"
            centre = {"ha": "center", "va": "center", "textcoords": "offset points"}
            axes.annotate(text, place, offset, fontsize=8, color=colours[name], **centre)
    axes.set_xlabel(f"perplexity, {options.corpus.name} ({options.documents} documents)")
    axes.set_ylabel(f"perplexity, {options.general.name} ({options.documents} documents)")
    axes.set_title("Between base (0) and trained model (1); lower and to the left is better", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.legend(frameon=False)
    save_figure(figure, options.out, dpi=150)


def normals(places_N2: np.ndarray) -> np.ndarray:
    """Unit vectors across a curve at its points, so that labels stand beside it."""
    along_N2 = np.gradient(places_N2, axis=0)
    length_N = np.maximum(np.hypot(*along_N2.T), 1e-9)
    return np.stack([-along_N2[:, 1], along_N2[:, 0]], axis=1) / length_N[:, None]


if __name__ == "__main__":
    main()
