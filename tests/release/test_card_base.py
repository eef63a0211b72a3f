"""What a card tells of the base, and of what the export is beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from astrollama.cli.main import run
from astrollama.errors import UserInputError
from astrollama.evaluation.subject import describe_subject
from astrollama.models.registry import find_model, model_digest
from astrollama.release.card import CardRequest, card_text
from astrollama.release.card_base import base_facts
from astrollama.release.exported import read_export
from tests.release.trained import report_of


def test_an_adapter_on_an_adapter_is_not_offered_for_the_model_below(made: Path, request_: CardRequest) -> None:
    exported = replace(read_export(made / "exported"), format="adapter", base="astrosmol-135m")
    card = ModelCard(card_text(exported, replace(request_, licence=None, base_id=None)))
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert card.data.base_model_relation == "finetune"


def test_a_base_that_is_an_adapter_leads_to_the_whole_model() -> None:
    facts = base_facts("astrosmol-135m", None, None)
    assert facts.title == "SmolLM2-135M-Instruct, by way of astrosmol-135m"
    assert not facts.is_direct
    assert facts.licence == "apache-2.0"
    assert facts.hub_id == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "Allal et al. 2025" in facts.attribution


def test_an_adapter_on_rounded_weights_is_not_offered_to_peft_alone(
    made: Path, request_: CardRequest, tmp_path: Path
) -> None:
    words = ["export", made / "run", "--format", "adapter", "--rank", "2", "--out", tmp_path / "rounded"]
    assert run([str(word) for word in words]) == 0
    exported = read_export(tmp_path / "rounded")
    assert "With PEFT alone" in card_text(exported, request_)
    record = json.loads((tmp_path / "rounded" / "base.json").read_text())
    (tmp_path / "rounded" / "base.json").write_text(json.dumps(record | {"quantization": "nf4"}))
    text = card_text(exported, request_)
    assert "With PEFT alone" not in text
    assert "in 4 bits (nf4)" in text


def test_the_evaluation_may_be_of_the_exported_weights(
    made: Path, sample_corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """An adapter of low rank is another model than the one that it was made from, and wants its own figures."""
    rounded = tmp_path / "rounded"
    words = ["export", made / "run", "--format", "adapter", "--rank", "2", "--out", rounded]
    assert run([str(word) for word in words]) == 0
    exported = read_export(rounded)
    assert exported.base == str(tiny_model)
    report = report_of(made / "evaluation")
    assert exported.is_of(report["models"]["adapted"]["digest"]) == "source"
    report["models"]["adapted"] = {"name": str(rounded), "digest": model_digest(find_model(str(rounded)))}
    report["train"] = describe_subject(str(rounded)).summary()
    assert exported.is_of(report["models"]["adapted"]["digest"]) == "export"
    assert exported.is_of("0" * 64) == ""
    (tmp_path / "report.json").write_text(json.dumps(report))
    text = card_text(exported, CardRequest(tmp_path / "report.json", licence="mit"))
    assert "measured on the trained model itself" not in text
    assert "The adapter has a low rank: it keeps " in text
    trained_on = json.loads((made / "run" / "manifest.json").read_text())["counts"]["tokens"]
    assert f"full, {trained_on:,} tokens" in text, "the export tells its training"


def test_packaged_bases_know_their_licence() -> None:
    facts = base_facts("smollm2-135m", None, None)
    assert facts.licence == "apache-2.0"
    assert facts.hub_id == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "Allal et al. 2025" in facts.attribution
    with pytest.raises(UserInputError, match=r"has the licence apache-2\.0, not mit"):
        base_facts("smollm2-135m", "mit", None)


def test_a_folders_own_card_tells_its_licence(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: Llama2\n---\n\n# A model\n")
    assert base_facts(str(tmp_path), None, None).licence == "llama2"
    assert base_facts("meta-llama/Llama-2-7b-hf@main", "llama2", None).hub_id == "meta-llama/Llama-2-7b-hf"
