"""Model cards: what the runs recorded, in the form that a hub reads, and nothing that was not recorded."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from astrollama.cli.main import run
from astrollama.errors import AstroLlamaError, UserInputError
from astrollama.evaluation.subject import describe_subject
from astrollama.files import sha256_file
from astrollama.release.card import CardRequest, card_text, write_card
from astrollama.release.card_check import check_card
from astrollama.release.card_metrics import eval_results
from astrollama.release.card_words import failures, forgotten, notes
from astrollama.release.exported import read_export
from astrollama.release.results_page import made_rows
from tests.release.trained import FEW, report_of

HEADER = "---\nlicense: mit\nlibrary_name: transformers\ntags:\n- llama\n---\n\n# A model\n"
INDEX = """model-index:
- name: a
  results:
  - task:
      type: text-generation
    dataset:
      type: t
      name: n
    metrics:
    - type: perplexity
      value: 2.5
      args:
        ci95:
        - 2.0
        - 3.0
"""


def test_the_header_has_the_evaluations_metrics_with_intervals_samples_and_rivals(
    made: Path, request_: CardRequest, report: dict[str, Any]
) -> None:
    card = ModelCard(card_text(read_export(made / "exported"), request_))
    assert card.data.license == "mit"
    assert card.data.library_name == "transformers"
    assert card.data.base_model == "somebody/tiny-llama"
    assert card.data.base_model_relation == "finetune"
    assert card.data.pipeline_tag == "text-generation"
    assert card.data.tags == ["astrollama", "llama", "continued-pretraining", "astronomy"]
    name, results = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert name == "tiny-astro"
    found = {(own.dataset_config, own.metric_args["name"]): own for own in results}
    for task in report["tasks"]:
        assert (task, report["tasks"][task]["primary_metric"]) in found
    for (task, metric), own in found.items():
        measured = report["tasks"][task]["systems"]["adapted"]["metrics"][metric]
        assert own.metric_value == pytest.approx(measured["value"], rel=1e-5)
        assert own.metric_args["ci95"] == pytest.approx(measured["ci95"], rel=1e-5)
        assert own.metric_args["num_samples"] == measured["num_samples"]
        told = {rival["system"]: rival for rival in own.metric_args["compared_with"]}
        comparisons = [c for c in report["tasks"][task]["comparisons"] if c["metric"] == metric]
        assert len(told) == len(comparisons) > 0
        base = next(c for c in comparisons if c["against"] == "base")
        assert told["tiny-llama"]["difference"] == pytest.approx(base["difference"], rel=1e-5)
        assert told["tiny-llama"]["verdict"] == base["verdict"]
    assert found["perplexity", "perplexity"].metric_args["num_samples"] == FEW["num_documents"]
    assert found["perplexity", "perplexity"].dataset_revision == report["corpus"]["files"]["test.parquet"]


def test_the_text_tells_data_recipe_hardware_energy_licence_and_files(
    made: Path, request_: CardRequest, report: dict[str, Any]
) -> None:
    text = card_text(read_export(made / "exported"), request_)
    counts = report["corpus"]["counts"]
    assert f"{counts['train']} documents to train on" in text
    assert f"Trained on: {counts['train']} documents, all that this corpus has to train on." in text
    assert "| CC0-1.0 | 240 |" in text
    assert "The words of a text remain its authors'" in text
    assert f"{report['train']['num_tokens']:,} tokens in {report['train']['steps']} steps" in text
    assert f"{report['hardware']['cores']} cores" in text
    assert f"peak_lr = {report['recipe']['train']['peak_lr']}" in text
    kilowatt_hours = 60.0 * report["train"]["seconds"] / 3.6e6
    assert f"About {kilowatt_hours:.2g} kWh, an estimate" in text
    assert "mit, the licence of the base, tiny-llama (somebody/tiny-llama)" in text
    manifest = json.loads((made / "exported" / "manifest.json").read_text())
    for name, record in manifest["files"].items():
        assert name in text
        assert record["sha256"] in text
    assert f"of {manifest['parity']['checks']['folder']['transformers']['tokens']['texts']} texts" in text


@pytest.mark.parametrize(
    ("trained_on", "told"),
    [
        (None, "Trained on: not known: no list of the documents is with the model."),
        ((39435, 0, 209), "Trained on: 39,435 documents, none of them among the 209 that this corpus has to train on."),
    ],
)
def test_the_evaluations_corpus_is_not_taken_for_the_training_data(
    trained_on: tuple[int, int, int] | None,
    told: str,
    made: Path,
    request_: CardRequest,
    report: dict[str, Any],
    tmp_path: Path,
) -> None:
    keys = ("num_documents", "num_of_corpus", "num_in_corpus")
    report["trained_on"] = None if trained_on is None else dict(zip(keys, trained_on, strict=True))
    (tmp_path / "report.json").write_text(json.dumps(report))
    text = card_text(read_export(made / "exported"), replace(request_, evaluation=tmp_path / "report.json"))
    assert told in text
    assert "**What follows is the corpus of the evaluation, not what the model was trained on.**" in text
    assert "astronomy" not in ModelCard(text).data.tags


def test_documents_that_the_corpus_shares_with_the_training_are_counted(
    made: Path, sample_corpus: Path, tmp_path: Path
) -> None:
    subject, train = describe_subject(str(made / "run")), sample_corpus / "train.parquet"
    table = pq.read_table(train)
    whole = len(table)
    assert subject.documents(train) == {"num_documents": whole, "num_of_corpus": whole, "num_in_corpus": whole}
    pq.write_table(table.slice(0, 7), tmp_path / "train.parquet")
    assert subject.documents(tmp_path / "train.parquet") == {
        "num_documents": whole,
        "num_of_corpus": 7,
        "num_in_corpus": 7,
    }
    test = sample_corpus / "test.parquet"
    assert subject.documents(test) == {
        "num_documents": whole,
        "num_of_corpus": 0,
        "num_in_corpus": len(pq.read_table(test)),
    }


def test_an_encoders_card_says_what_it_is(
    made: Path, request_: CardRequest, report: dict[str, Any], tmp_path: Path
) -> None:
    report["recipe"] = None  # its run is gone
    (tmp_path / "report.json").write_text(json.dumps(report))
    exported = read_export(made / "exported")
    vectors = {"texts": 64, "least_cosine": 0.999991, "tolerance": 0.99995}
    figures = {"engine": "transformers", "tokens": {"texts": 240, "equal": 240}, "vectors": vectors}
    encoder = replace(
        exported,
        files={**exported.files, "encoder.json": {"bytes": 1, "sha256": "0"}},
        checks={"adapter": {"transformers": figures}},
    )
    text = card_text(encoder, replace(request_, evaluation=tmp_path / "report.json"))
    card = ModelCard(text)
    assert card.data.pipeline_tag == "feature-extraction"
    assert "sentence-similarity" in card.data.tags
    assert "Not for writing text" in text
    assert "cosines of 64 vectors 0.999991 at least" in text
    assert "greedy completions" not in text


def test_a_corpus_of_arxiv_is_told_with_what_arxiv_gives(
    made: Path, request_: CardRequest, report: dict[str, Any], tmp_path: Path
) -> None:
    """The same papers under arXiv's identifiers, without licences of their own."""
    assert request_.corpus is not None
    corpus = tmp_path / "corpus"
    shutil.copytree(request_.corpus, corpus)
    manifest = json.loads((corpus / "manifest.json").read_text())
    for split in ("train", "validation", "test"):
        path = corpus / f"{split}.parquet"
        table = pq.read_table(path)
        ids = [f"2309.{number:05d}" for number in range(len(table))]
        for column, values in (("id", ids), ("licence", [""] * len(table))):
            table = table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
        pq.write_table(table, path)
        manifest["files"][path.name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        report["corpus"]["files"][path.name] = sha256_file(path)
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "report.json").write_text(json.dumps(report))
    own = replace(request_, evaluation=tmp_path / "report.json", corpus=corpus)
    text = card_text(read_export(made / "exported"), own)
    assert "The records are metadata of arXiv, abstracts among them, which arXiv gives as CC0." in text
    assert "The words of an abstract remain its authors', under the licence of their paper" in text
    assert "| not stated | 240 |" in text
    assert "arxiv" in ModelCard(text).data.tags


def test_no_place_of_this_machine_is_told(
    made: Path, request_: CardRequest, tiny_model: Path, sample_corpus: Path
) -> None:
    text = card_text(read_export(made / "exported"), request_)
    for place in (made, tiny_model, sample_corpus, Path.home(), Path.cwd()):
        assert str(place) not in text


def test_what_is_not_known_is_left_out(made: Path, request_: CardRequest) -> None:
    bare = CardRequest(request_.evaluation, licence="mit")
    text = card_text(read_export(made / "exported"), bare)
    assert "kWh" not in text
    assert "Energy is not known: the power of the machine was not stated" in text
    assert "its dates and licences are not told" in text
    card = ModelCard(text)
    assert card.data.base_model is None
    assert card.data.model_name == "exported"


@pytest.mark.parametrize(
    ("format_", "library", "relation", "tag"),
    [
        ("hf", "transformers", "finetune", None),
        ("adapter", "peft", "adapter", "lora"),
        ("gguf", "gguf", "finetune", "gguf"),
    ],
)
def test_each_format_has_its_library_and_how_to_load_it(
    made: Path, request_: CardRequest, format_: Any, library: str, relation: str, tag: str | None
) -> None:
    exported = replace(read_export(made / "exported"), format=format_)
    text = card_text(exported, request_)
    check_card(text, "README.md")
    card = ModelCard(text)
    assert card.data.library_name == library
    assert card.data.base_model_relation == relation
    assert tag is None or tag in card.data.tags
    assert {"hf": "AutoModelForCausalLM", "adapter": "PeftModel", "gguf": "llama_cpp"}[format_] in text
    assert ("measured on the trained model itself" in text) == (format_ != "hf")


def test_the_command_writes_a_card_that_passes(
    made: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made / "exported", tmp_path / "exported")
    words = ["card", tmp_path / "exported", "--evaluation", made / "evaluation", "--licence", "mit", "--json"]
    assert run([str(word) for word in words]) == 0
    path = Path(json.loads(capsys.readouterr().out)["card"])
    assert path == tmp_path / "exported" / "README.md"
    check_card(path.read_text(encoding="utf-8"), str(path))
    read_export(tmp_path / "exported")  # a card does not make it another export


def test_a_card_is_refused_with_the_reason(made: Path, request_: CardRequest, tmp_path: Path) -> None:
    exported = made / "exported"
    with pytest.raises(
        UserInputError, match=r"the licence of the base tiny-llama is not known: give it with --licence"
    ):
        write_card(exported, replace(request_, licence=None))
    with pytest.raises(UserInputError, match=r"is no name on a hub"):
        write_card(exported, replace(request_, base_id="nobody"))
    with pytest.raises(UserInputError, match=r"is no name of a licence on the hub"):
        write_card(exported, replace(request_, licence="my own licence"))

    other = tmp_path / "evaluation"
    other.mkdir()
    report = report_of(request_.evaluation)
    report["models"]["adapted"]["digest"] = "0" * 64
    (other / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserInputError, match=r"of another model .*: evaluate the model that was exported"):
        write_card(exported, replace(request_, evaluation=other / "report.json"))

    report = report_of(request_.evaluation)
    report["corpus"]["files"]["train.parquet"] = "0" * 64
    (other / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserInputError, match=r"is not the corpus of the evaluation: its train.parquet is another"):
        write_card(exported, replace(request_, evaluation=other / "report.json"))


def test_a_merge_drawn_back_to_the_base_says_so(made: Path, tmp_path: Path) -> None:
    assert run(["model", "merge", str(made / "run"), "--out", str(tmp_path / "merged"), "--alpha", "0.5"]) == 0
    drawn_back = report_of(made / "evaluation") | {"train": describe_subject(str(tmp_path / "merged")).summary()}
    assert ("weights", "drawn back to the base: base + 0.5 x (trained - base)") in made_rows(
        drawn_back | {"report_sha256": ""}
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# A model\n", "it has no header"),
        (HEADER.replace("license: mit\n", ""), "its header has no license"),
        (HEADER.replace("mit", "other"), "no license_name says which"),
        (HEADER.replace("mit", "MIT License"), "which is no name of a licence"),
        (HEADER.replace("library_name: transformers\n", ""), "has no library_name"),
        (HEADER.replace("- llama\n", ""), "has no tags"),
        (HEADER.replace("tags", "base_model: x y z\ntags"), "is no name on a hub"),
        (HEADER.replace("# A model", " "), "there is no text"),
        (HEADER.replace("mit", "[mit"), "cannot be read"),
        (HEADER.replace("tags", INDEX.replace("2.5", ".nan") + "tags"), "which is no finite number"),
        (HEADER.replace("tags", INDEX.replace("- 3.0", "- 1.0") + "tags"), "the interval of its metric 'perplexity'"),
        (HEADER.replace("tags", INDEX.replace("      type: t\n", "") + "tags"), "cannot be read"),
    ],
)
def test_what_a_card_must_have(text: str, reason: str) -> None:
    with pytest.raises(AstroLlamaError, match="does not pass") as caught:
        check_card(text, "README.md")
    assert reason in str(caught.value)


def test_cards_that_pass() -> None:
    check_card(HEADER, "README.md")
    check_card(HEADER.replace("tags", INDEX + "tags"), "README.md")


def _set(report: dict[str, Any], task: str, metric: str, against: str, **values: Any) -> None:
    for comparison in report["tasks"][task]["comparisons"]:
        if (comparison["metric"], comparison["against"]) == (metric, against):
            comparison |= values
            return
    raise AssertionError


def test_failures_are_what_the_comparisons_say(report: dict[str, Any]) -> None:
    report = deepcopy(report)
    _set(report, "perplexity", "perplexity", "base", verdict="worse", difference=0.1, ci95=[0.05, 0.15])
    _set(report, "perplexity", "bits_per_byte", "base", verdict="undecided", difference=0.0, ci95=[-0.1, 0.1])
    _set(report, "retrieval", "title_ndcg_at_10", "bm25", verdict="worse", difference=-0.5, ci95=[-0.6, -0.4])
    told = failures(report)
    assert any(
        "Perplexity of held-out documents, perplexity" in own and "worse than tiny-llama (" in own for own in told
    )
    assert any(own.startswith("Retrieval, nDCG@10, title to abstract") and "BM25 (" in own for own in told)
    assert "bits per byte" in told[-1]
    assert told[-1].startswith("No difference from the base was shown, which is no proof of equality")
    _set(report, "perplexity", "perplexity", "base", verdict="better", difference=-0.1, ci95=[-0.15, -0.05])
    assert not any("documents, perplexity" in own for own in failures(report))


def test_leaks_and_forgetting_are_told(report: dict[str, Any]) -> None:
    report = deepcopy(report)
    assert not forgotten(report)
    report["leak"] = {"num_documents": 3, "text": "3 papers were seen."}
    assert notes(report)[0] == "Leak: 3 papers were seen."
    own = deepcopy(report["tasks"]["perplexity"])
    own["primary_metric"] = "perplexity"
    report["tasks"]["forgetting"] = own
    (line, *_) = forgotten(report)
    assert line.startswith("perplexity: ")
    assert " before, " in line


def test_a_metric_that_is_no_number_is_left_out(report: dict[str, Any]) -> None:
    report = deepcopy(report)
    report["tasks"]["perplexity"]["systems"]["adapted"]["metrics"]["perplexity"]["value"] = None
    assert "perplexity" not in {own.metric_args["name"] for own in eval_results(report)}
