"""The AstroLLaMA paper's own figures (Nguyen et al. 2023, arXiv:2309.06126), to be set beside what was measured here.

Each says how it is known: `seen` was read in a public source, `recalled` is believed and was not read again. What was
measured here comes from the tasks' results alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from astrollama.evaluation.candidates import ADAPTED, BASE
from astrollama.evaluation.figures import Cell, Table
from astrollama.evaluation.intervals import Estimate
from astrollama.evaluation.task import TaskResult


@dataclass(frozen=True)
class PaperFigure:
    """A number or a setting of the paper.

    Attributes:
        what: what it is of.
        value: as the paper has it, with its unit.
        known: how it is known to us.
    """

    what: str
    value: str
    known: Literal["seen", "recalled"]

    def __str__(self) -> str:
        return f"{self.value} ({self.known})"


PERPLEXITIES = {
    BASE: PaperFigure("perplexity, base", "about 9.7", "recalled"),
    ADAPTED: PaperFigure("perplexity, adapted", "6.55", "recalled"),
}
REDUCTION = PaperFigure("lower by", "32.5 %", "seen")
GPT3_COSINES = PaperFigure("cosines of pairs, GPT-3 (text-embedding-ada-002)", "0.7 to 0.9", "seen")
ADAPTED_COSINES = PaperFigure("cosines of pairs, adapted", "spread wider than GPT-3's", "recalled")

# By the key of `run` under which our own stands.
SETTINGS = {
    "base": PaperFigure("base model", "LLaMA-2-7B", "seen"),
    "method": PaperFigure("method", "LoRA on a base in 4 bits", "seen"),
    "num_papers": PaperFigure("papers in the corpus", "326,238", "seen"),
    "split": PaperFigure("held out", "20 %, at random", "recalled"),
    "num_train_tokens": PaperFigure("tokens trained on", "about 230 million", "recalled"),
    "packed_length": PaperFigure("tokens a packed piece", "512", "recalled"),
    "temperature": PaperFigure("temperature of completions", "0.3", "recalled"),
    "max_new_tokens": PaperFigure("new tokens a completion, at most", "1,024", "recalled"),
    "num_embeddings": PaperFigure("abstracts embedded", "10,000", "recalled"),
}


def paper_tables(results: Mapping[str, TaskResult], run: Mapping[str, Any], labels: Mapping[str, str]) -> list[Table]:
    """The paper's figures beside ours: perplexity and cosines where those tasks were run, and the settings always.

    Args:
        results: of the tasks, by their names.
        run: our own settings under the keys of `SETTINGS`, as text or numbers; one that is not known is left out or None.
        labels: of the systems, by their keys.
    """
    tables = []
    if "perplexity" in results:
        tables.append(_perplexity(results["perplexity"]))
    if "embeddings" in results:
        tables.append(_cosines(results["embeddings"], labels))
    rows = [[figure.what, str(figure), _plain(run.get(key))] for key, figure in SETTINGS.items()]
    return [*tables, Table("paper_settings", "Settings: the paper's and ours", _COLUMNS, rows)]


_COLUMNS = ["", "the paper", "ours"]


def _perplexity(result: TaskResult) -> Table:
    ways = ("packed_perplexity", "perplexity")
    own = [[result.estimates.get(key, {}).get(way) for way in ways] for key in (BASE, ADAPTED)]
    rows: list[list[Cell]] = [
        [figure.what, str(figure), *map(_measured, estimates)]
        for figure, estimates in zip(PERPLEXITIES.values(), own, strict=True)
    ]
    rows.append([REDUCTION.what, str(REDUCTION), *(_lower_by(result, way) for way in ways)])
    return Table(
        "paper_perplexity",
        "Perplexity: the paper and ours",
        ["", "the paper", "ours, packed as the paper's", "ours, by document"],
        rows,
        "The paper's base, corpus and test documents are others than ours: a landmark, no target. 95 % intervals.",
    )


def _lower_by(result: TaskResult, metric: str) -> str | None:
    for comparison in result.comparisons:
        if comparison.metric == metric and comparison.against == BASE:
            bounds = [f"{0 - 100 * bound:.1f}" for bound in reversed(comparison.ci95 or ())]
            return f"{0 - 100 * comparison.difference:.1f} %" + (f" [{', '.join(bounds)}]" if bounds else "")
    return None


def _cosines(result: TaskResult, labels: Mapping[str, str]) -> Table:
    rows: list[list[Cell]] = [[figure.what, str(figure), None] for figure in (GPT3_COSINES, ADAPTED_COSINES)]
    rows += [
        [f"{name} of pairs, {labels.get(key, key)}", None, _measured(own[metric])]
        for key, own in result.estimates.items()
        for metric, name in (("mean_cosine", "mean cosine"), ("cosine_std", "standard deviation of the cosines"))
        if metric in own
    ]
    return Table("paper_cosines", "Embeddings: the paper and ours", _COLUMNS, rows, "Ours with 95 % intervals.")


def _measured(estimate: Estimate | None) -> str | None:
    if estimate is None:
        return None
    interval = f" [{estimate.ci95[0]:.3g}, {estimate.ci95[1]:.3g}]" if estimate.ci95 else ""
    return f"{estimate.value:.3g}{interval}"


def _plain(value: Any) -> str | None:
    if isinstance(value, int):
        return f"{value:,}"
    return None if value is None else str(value)
