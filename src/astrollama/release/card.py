"""The card of an exported model: `README.md` in the form of a Hugging Face model card, made from what the runs recorded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.console import duration
from astrollama.errors import UserInputError
from astrollama.evaluation.candidates import ADAPTED, BASE
from astrollama.evaluation.report.words import DASH, trained_on_words
from astrollama.files import sha256_file, write_text
from astrollama.provenance import without_places
from astrollama.release.card_base import BaseFacts, base_facts
from astrollama.release.card_check import CARD, check_card
from astrollama.release.card_data import CorpusFacts, corpus_facts, is_of_corpus
from astrollama.release.card_metrics import eval_results
from astrollama.release.card_words import failures, forgotten, notes, result_rows
from astrollama.release.exported import Exported, read_export
from astrollama.release.markdown import render, toml
from astrollama.release.results import read_report
from astrollama.release.results_page import made_rows, not_measured

_LIBRARIES = {"hf": "transformers", "adapter": "peft", "gguf": "gguf"}
# What a GGUF file holds is the trained model, rounded; of the base it is a child, not the base itself with fewer bits.
_RELATIONS = {"hf": "finetune", "adapter": "adapter", "gguf": "finetune"}
_WHAT = {
    "hf": "model with all its weights",
    "adapter": "low-rank adapter, to be put on its base",
    "gguf": "model as GGUF files for llama.cpp and what is built on it",
}
_JOULES_A_KILOWATT_HOUR = 3.6e6


@dataclass(frozen=True)
class CardRequest:
    """What a card is made from beside the export.

    Attributes:
        evaluation: of the very model that was exported.
        corpus: the one that the evaluation was made on; without it the card has no dates and licences.
        name: of the model; None takes the export directory's.
        licence: of the base, where it does not tell its own.
        base_id: where a hub has the base, if its name does not tell.
        watts: the power of the machine while it trained; without it the card tells no energy.
    """

    evaluation: Path
    corpus: Path | None = None
    name: str | None = None
    licence: str | None = None
    base_id: str | None = None
    watts: float | None = None


def write_card(export: Path, request: CardRequest) -> Path:
    """Write the card of an export into its directory; returns its path. A card that does not pass is not written.

    Raises:
        RunError: the export or the evaluation is missing, unfinished, damaged, or failed parity.
        UserInputError: the evaluation is of another model, the corpus another one, the licence of the base is not known,
            or the card does not pass the check.
    """
    exported = read_export(export)
    path = export / CARD
    text = card_text(exported, request)
    check_card(text, str(path))
    write_text(path, text)
    return path


def card_text(exported: Exported, request: CardRequest) -> str:
    """The card; raises as `write_card`."""
    file, report = read_report(request.evaluation)
    evaluated = report["models"][ADAPTED]
    measured = exported.is_of(evaluated["digest"])
    if not measured:
        raise UserInputError(
            f"{request.evaluation} is of {Path(evaluated['name']).name} ({evaluated['digest'][:12]}…), "
            f"{exported.path} of another model ({exported.digest[:12]}…)",
            "evaluate the model that was exported",
        )
    base_name = report["models"][BASE]["name"]
    report = without_places(report | {"report_sha256": sha256_file(file)})
    base = base_facts(exported.base or base_name, request.licence, request.base_id)
    corpus = corpus_facts(request.corpus, report) if request.corpus else None
    of_corpus = is_of_corpus(report.get("trained_on"))
    name = request.name or exported.path.resolve().name
    body = render(
        "model_card.md.j2",
        name=name,
        what=_WHAT[exported.format],
        format=exported.format,
        measured=measured,
        gguf=next((own for own in exported.files if own.endswith(".gguf")), ""),
        encoder=exported.is_encoder,
        quantization=exported.quantization(),
        base=base,
        base_digest=report["models"][BASE]["digest"],
        corpus=corpus,
        trained_on=trained_on_words(report.get("trained_on")),
        of_corpus=of_corpus,
        report=report,
        made=made_rows(report),
        rows=result_rows(report),
        failures=failures(report),
        forgotten=forgotten(report),
        notes=notes(report),
        not_measured=not_measured(report),
        energy=_energy(report, request.watts),
        recipe=toml(report["recipe"]) if report["recipe"] else "",
        training_command=shlex.join((report["train"] or {}).get("command", [])),
        parity=_parity_rows(exported.checks),
        low_rank=exported.checks.get("adapter", {}).get("low_rank"),
        files=[[own, f"{record['bytes']:,}", record["sha256"]] for own, record in exported.files.items()],
    )
    return f"---\n{_header(name, exported, base, corpus if of_corpus else None, report)}\n---\n\n{body}"


def _header(
    name: str, exported: Exported, base: BaseFacts, corpus: CorpusFacts | None, report: Mapping[str, Any]
) -> str:
    """What the hub reads."""
    from huggingface_hub import ModelCardData

    encoder = exported.is_encoder
    card = (report["recipe"] or {}).get("card") or {}
    told = {
        "sentence-similarity": encoder,
        "continued-pretraining": not encoder,
        "astronomy": corpus is not None and corpus.of_astronomy,
        "arxiv": corpus is not None and corpus.from_arxiv,
        "lora": exported.format == "adapter",
        "gguf": exported.format == "gguf",
    }
    data = ModelCardData(
        language=card.get("language") or "en",
        license=base.licence,
        library_name=_LIBRARIES[exported.format],
        pipeline_tag="feature-extraction" if encoder else "text-generation",
        tags=["astrollama", "llama", *(tag for tag, holds in told.items() if holds)],
        base_model=base.hub_id or None,
        base_model_relation=_relation(exported, base) if base.hub_id else None,
        model_name=name,
        eval_results=eval_results(report),
    )
    return data.to_yaml(line_break="\n").strip()


def _relation(exported: Exported, base: BaseFacts) -> str:
    """Of an adapter that fits what another training made of the base: on the base itself it is of no use."""
    return "finetune" if not base.is_direct else _RELATIONS[exported.format]


def _energy(report: Mapping[str, Any], watts: float | None) -> str:
    """What training took, from its time and a power that the user states: nothing here measures power."""
    if report["train"] is None:
        return "Energy is not known: the time of the training is not."
    seconds = report["train"]["seconds"]
    if watts is None:
        return f"Energy is not known: the power of the machine was not stated. Training took {duration(seconds)}."
    energy = watts * seconds / _JOULES_A_KILOWATT_HOUR
    return (
        f"About {energy:.2g} kWh, an estimate: {duration(seconds)} of training times {watts:g} W, the power that the maker of this card "
        "stated for the machine; nothing measured it. Trials, evaluation and the base's own pretraining are not in it."
    )


def _parity_rows(checks: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """[what, by which engine, tokens, perplexity, its ratio to the source's, completions or vectors] rows of text."""
    rows = []
    for what, check in checks.items():
        for key, figures in check.items():
            if not isinstance(figures, Mapping):
                continue
            if "not_asked" in figures:
                rows.append([what, key, *[DASH] * 3, f"not asked: {figures['not_asked']}"])
            if "tokens" not in figures:
                continue
            tokens = figures["tokens"]
            equal = f"{tokens['equal']:,} of {tokens['texts']:,} texts"
            if "vectors" in figures:
                vectors = figures["vectors"]
                cosines = f"cosines of {vectors['texts']} vectors {vectors['least_cosine']:.6f} at least"
                rows.append([what, figures["engine"], equal, DASH, DASH, cosines])
                continue
            perplexity, greedy = figures["perplexity"], figures.get("greedy")
            rows.append(
                [
                    what,
                    figures["engine"],
                    equal,
                    f"{perplexity['exported']:.4f}, was {perplexity['source']:.4f}",
                    f"{perplexity['ratio']:.5f} {_interval(perplexity['ratio_ci95'])}".rstrip(),
                    f"{greedy['equal']} of {greedy['prompts']} alike" if greedy else DASH,
                ]
            )
    return rows


def _interval(ci95: list[float] | None) -> str:
    return f"[{ci95[0]:.5f}, {ci95[1]:.5f}]" if ci95 else ""
