import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from astrollama.cli.main import run
from astrollama.errors import AstroLlamaError, ModelError, RunError, UserInputError
from astrollama.evaluation.subject import describe_subject
from astrollama.models.folder import weights_digest
from astrollama.models.load import load_model
from astrollama.release import encoder as exporting_encoder
from astrollama.release import export as exporting
from astrollama.release import parity_probe
from astrollama.release.adapter import copy_adapter
from astrollama.release.export import ExportSettings, export
from astrollama.release.exported import read_export
from tests.models.test_merge import make_run, make_trained

HF = ExportSettings("hf")


@pytest.fixture(autouse=True)
def _few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity_probe, "PERPLEXITY_TOKENS", 1500)


def test_a_run_becomes_a_folder_that_plain_transformers_loads(tiny_model: Path, tmp_path: Path) -> None:
    trained = make_run(tiny_model, tmp_path / "run", "full")
    out = tmp_path / "out"
    manifest = export(str(trained), out, HF)
    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForCausalLM.from_pretrained(out)
    source = load_model(str(trained))
    tokens = tokenizer("We measure the mass", return_tensors="pt")["input_ids"]
    assert tokens[0].tolist() == [source.tokenizer.bos_id, *source.tokenizer.encode(["We measure the mass"])[0]]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, source.model(tokens).logits)
    new = model.generate(tokens, max_new_tokens=4, do_sample=False)
    assert len(new[0]) <= tokens.shape[1] + 4
    checks = manifest["parity"]["checks"]["folder"]
    assert checks["transformers"]["tokens"] == {"texts": 240, "equal": 240}
    assert checks["transformers"]["perplexity"]["ratio"] == 1
    assert checks["transformers"]["greedy"]["equal"] == 20
    assert checks["tensors"]["greatest_difference"] == 0
    assert manifest["base"] == {"name": str(tiny_model), "digest": weights_digest(tiny_model)}
    assert json.loads((out / "parity.json").read_text()) == manifest["parity"]
    assert read_export(out).digest == manifest["model"]["digest"] == weights_digest(trained / "model")


def test_the_folder_tells_nothing_of_this_machine_and_older_readers_find_their_settings(
    tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(str(tiny_model), out, HF)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"):
        assert str(tmp_path) not in (out / name).read_text()
        assert str(tiny_model) not in (out / name).read_text()
    config = json.loads((out / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    assert json.loads((out / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    settings = json.loads((out / "generation_config.json").read_text())
    assert settings["eos_token_id"] == settings["pad_token_id"] == config["eos_token_id"]


def test_prompts_begin_with_bos_and_do_not_end_with_eos_whatever_the_tokenizer_says(
    tiny_model: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    rules = Tokenizer.from_file(str(other / "tokenizer.json"))
    rules.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    rules.save(str(other / "tokenizer.json"))
    config = json.loads((other / "tokenizer_config.json").read_text()) | {"add_bos_token": False}
    (other / "tokenizer_config.json").write_text(json.dumps(config))
    (tokens,) = load_model(str(tiny_model)).tokenizer.encode(["mass"])
    assert AutoTokenizer.from_pretrained(other)("mass")["input_ids"] != [0, *tokens]
    export(str(other), tmp_path / "out", HF)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("mass")["input_ids"] == [0, *tokens]


def test_sha256sum_accepts_the_hashes(tiny_model: Path, tmp_path: Path) -> None:
    export(str(tiny_model), tmp_path / "out", HF)
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    listed = {line.split(":")[0] for line in done.stdout.splitlines()}
    assert listed == {path.name for path in (tmp_path / "out").iterdir()} - {"SHA256SUMS", "manifest.json"}


def test_an_adapter_becomes_a_whole_model(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    figures = export(str(adapter), tmp_path / "out", HF)["parity"]["checks"]["folder"]["transformers"]
    assert figures["logits"]["rms_share_of_spread"] < figures["logits"]["tolerance"] == 1e-4
    assert sorted(path.name for path in (tmp_path / "out").glob("*.safetensors")) == ["model.safetensors"]
    tokens = torch.arange(2, 30)[None]
    with torch.no_grad():
        expected = load_model(str(adapter)).model(tokens).logits
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")(tokens).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("bfloat16", None)])
def test_half_precision_is_half_as_large_and_its_parity_is_that_of_what_was_written(
    tiny_model: Path, tmp_path: Path, dtype: str, tolerance: float | None
) -> None:
    whole = export(str(tiny_model), tmp_path / "whole", HF)
    half = export(str(tiny_model), tmp_path / "half", ExportSettings("hf", dtype=dtype))  # type: ignore[arg-type]
    sizes = [manifest["files"]["model.safetensors"]["bytes"] for manifest in (whole, half)]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.05)
    assert {str(tensor.dtype) for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} == {
        f"torch.{dtype}"
    }
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == dtype
    figures = half["parity"]["checks"]["folder"]["transformers"]
    assert figures["perplexity"]["tolerance"] == tolerance
    assert figures["logits"]["greatest_difference"] > 0


def test_held_out_documents_of_a_corpus_are_compared_on(tiny_model: Path, sample_corpus: Path, tmp_path: Path) -> None:
    manifest = export(str(tiny_model), tmp_path / "out", HF, corpus=sample_corpus)
    held_out = json.loads((sample_corpus / "manifest.json").read_text())["counts"]["test"]
    assert manifest["parity"]["texts"] == {"source": "held-out documents of sample", "number": held_out}
    assert manifest["parity"]["checks"]["folder"]["transformers"]["tokens"]["equal"] == held_out


def test_a_second_export_does_nothing_and_another_one_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = export(str(tiny_model), tmp_path / "out", HF)
    assert export(str(tiny_model), tmp_path / "out", HF) == manifest
    assert "already there" in capsys.readouterr().err
    with pytest.raises(RunError, match="dtype is"):
        export(str(tiny_model), tmp_path / "out", ExportSettings("hf", dtype="float16"))


def with_a_changed_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] += 0.01
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_a_tensor_left_out(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_other_rotary_settings(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"]["rope_theta"] = config["rope_theta"] = 500.0
    (folder / "config.json").write_text(json.dumps(config))


def with_a_changed_token(folder: Path) -> None:
    rules = json.loads((folder / "tokenizer.json").read_text())
    first, second = list(rules["model"]["vocab"])[300:302]
    vocab = rules["model"]["vocab"]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    (folder / "tokenizer.json").write_text(json.dumps(rules))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (with_a_changed_weight, r"the tensor model\.layers\.1\.mlp\.up_proj\.weight is off by 0\.01"),
        (with_a_tensor_left_out, r"the tensor model\.norm\.weight is missing"),
        (with_other_rotary_settings, r"its logits are off by .* its perplexity is"),
        (with_a_changed_token, r"the tokens of \d+ of 240 texts differ"),
    ],
)
def test_an_export_that_differs_is_deleted_and_says_why(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: object,
    message: str,
) -> None:
    # the tiny model's weights are so small that its positions hardly matter
    larger = shutil.copytree(tiny_model, tmp_path / "larger")
    weights = {name: 5 * tensor for name, tensor in load_file(larger / "model.safetensors").items()}
    save_file(weights, larger / "model.safetensors", metadata={"format": "pt"})
    write = exporting.write_hf

    def damaged(source: Path, folder: Path, *rest: object) -> None:
        write(source, folder, *rest)  # type: ignore[arg-type]
        damage(folder)  # type: ignore[operator]

    monkeypatch.setattr(exporting, "write_hf", damaged)
    assert run(["export", str(larger), "--format", "hf", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert "the export was deleted" in told
    assert not (tmp_path / "out").exists()


def test_what_was_in_the_folder_before_is_left_alone(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        export(str(tiny_model), tmp_path / "out", HF)
    assert (tmp_path / "out" / "config.json").read_text() == "mine"


def test_the_command_prints_what_was_compared(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(tiny_model), "--format", "hf", "--out", str(tmp_path / "out")]
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "tokens equal on 240 of 240 texts" in told
    assert "20 of 20 greedy completions equal" in told
    assert run([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["parity"]["checks"]["folder"]["transformers"]["tokens"]["equal"] == 240
    assert printed["out"] == str(tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "gguf", "--dtype", "float16"], "--dtype has no effect with --format gguf"),
        (["--format", "hf", "--rank", "4"], "--rank has no effect with --format hf"),
        (["--format", "hf", "--quantization", "f16"], "--quantization has no effect with --format hf"),
        (["--format", "gguf", "--quantization", "q5"], "--quantization names 'q5'"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(["export", str(tiny_model), *options, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


# --- adapters


def test_an_adapter_is_exported_with_the_record_of_its_base(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    manifest = export(str(adapter), tmp_path / "out", ExportSettings("adapter"))
    assert (tmp_path / "out" / "base.json").read_bytes() == (adapter / "base.json").read_bytes()
    settings = [json.loads((folder / "adapter_config.json").read_text()) for folder in (tmp_path / "out", adapter)]
    assert settings[0] == settings[1] | {"base_model_name_or_path": str(tiny_model)}
    assert load_model(str(tmp_path / "out")).digest == load_model(str(adapter)).digest
    assert manifest["parity"]["checks"]["adapter"]["transformers"]["perplexity"]["ratio"] == 1
    assert manifest["base"] == json.loads((adapter / "base.json").read_text())


def test_an_adapter_in_half_precision_is_half_as_large(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    settings = ExportSettings("adapter", dtype="float16")
    manifest = export(str(adapter), tmp_path / "out", settings)
    whole = (adapter / "adapter_model.safetensors").stat().st_size
    assert manifest["files"]["adapter_model.safetensors"]["bytes"] < 0.6 * whole
    assert manifest["parity"]["checks"]["adapter"]["transformers"]["perplexity"]["ratio"] == pytest.approx(1, abs=1e-3)


def test_a_fully_trained_model_has_no_adapter_and_the_error_tells_what_to_do(tiny_model: Path, tmp_path: Path) -> None:
    trained = make_run(tiny_model, tmp_path / "run", "full")
    with pytest.raises(UserInputError, match=r"is no adapter.* give --rank"):
        export(str(trained), tmp_path / "out", ExportSettings("adapter"))
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    with pytest.raises(UserInputError, match="is an adapter and has a rank"):
        export(str(adapter), tmp_path / "out", ExportSettings("adapter", rank=4))


@pytest.fixture
def encoder(tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter that is taken for an encoder which sees both ways."""
    folder = make_trained(tiny_model, tmp_path / "encoder", "lora")
    (folder / "encoder.json").write_text('{"pooling": "mean", "attention": "bidirectional", "num_layers": 2}')
    return folder


def test_an_encoder_becomes_no_language_model_and_its_vectors_are_compared(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is an encoder"):
        export(str(encoder), tmp_path / "out", HF)
    manifest = export(str(encoder), tmp_path / "out", ExportSettings("adapter", dtype="float16"))
    assert load_model(str(tmp_path / "out")).encoder == load_model(str(encoder)).encoder
    figures = manifest["parity"]["checks"]["adapter"]["transformers"]
    assert figures["tokens"] == {"texts": 240, "equal": 240}
    assert figures["vectors"]["texts"] == 64
    assert figures["vectors"]["tolerance"] < figures["vectors"]["least_cosine"] < 1 + 1e-9
    assert "perplexity" not in figures


def test_an_encoder_with_another_record_is_found_and_deleted(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_its_attention(source: Path, folder: Path, dtype: str) -> None:
        copy_adapter(source, folder, dtype)
        (folder / "encoder.json").write_text('{"pooling": "last", "attention": "causal", "num_layers": 2}')

    monkeypatch.setattr(exporting_encoder, "copy_adapter", without_its_attention)
    with pytest.raises(AstroLlamaError, match=r"a vector has the cosine .* the export was deleted"):
        export(str(encoder), tmp_path / "out", ExportSettings("adapter"))
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_an_export_knows_what_was_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    trained = make_run(tiny_model, tmp_path / "run", "full")
    pq.write_table(pa.table({"id": ["2301.00001"], "content_hash": ["a"]}), trained / "documents.parquet")
    export(str(trained), tmp_path / "out", HF)
    assert describe_subject(str(tmp_path / "out")).trained_papers() == {"2301.00001"}


def test_another_base_is_another_export(tiny_model: Path, other_tiny_model: Path, tmp_path: Path) -> None:
    settings = ExportSettings("adapter", rank=2)
    export(str(tiny_model), tmp_path / "out", settings, base=str(other_tiny_model))
    with pytest.raises(RunError, match="holds"):
        export(str(tiny_model), tmp_path / "out", settings, base=str(tiny_model))


def test_the_difference_to_the_base_becomes_an_adapter_and_its_cost_is_told(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = make_run(tiny_model, tmp_path / "run", "full")
    kept = {}
    for rank in (2, 32):  # of the smallest matrices, the keys', 32 is all
        manifest = export(str(trained), tmp_path / f"rank-{rank}", ExportSettings("adapter", rank=rank))
        checks = manifest["parity"]["checks"]["adapter"]
        kept[rank] = checks["low_rank"]["kept"]
        assert 0 < checks["low_rank"]["outside"] < 1
        assert checks["low_rank"]["base_perplexity"] > 0
        assert checks["transformers"]["perplexity"]["ratio_ci95"] is not None
        assert load_model(str(tmp_path / f"rank-{rank}")).base_digest == weights_digest(tiny_model)
    assert 0 < kept[2] < kept[32] < 1
    assert "what training changed outside the blocks' matrices is lost" in capsys.readouterr().err


def test_a_difference_of_low_rank_is_kept_whole(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")  # of rank 4
    export(str(adapter), tmp_path / "merged", HF)
    settings = ExportSettings("adapter", rank=4)
    manifest = export(str(tmp_path / "merged"), tmp_path / "out", settings, base=str(tiny_model))
    checks = manifest["parity"]["checks"]["adapter"]
    assert checks["low_rank"]["kept"] == pytest.approx(1, abs=1e-6)
    assert checks["low_rank"]["outside"] == 0
    assert checks["transformers"]["logits"]["rms_share_of_spread"] < 1e-4


def test_a_rank_beyond_the_smallest_matrix_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    trained = make_run(tiny_model, tmp_path / "run", "full")
    with pytest.raises(UserInputError, match="--rank 33 is more than the 32"):
        export(str(trained), tmp_path / "out", ExportSettings("adapter", rank=33))
    assert not (tmp_path / "out").exists()


def test_factors_that_miss_more_than_they_must_are_found(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporting.write_low_rank

    def damaged(model: Path, base: object, on: Path, folder: Path, *rest: object) -> object:
        low_rank = write(model, base, on, folder, *rest)  # type: ignore[arg-type]
        weights = load_file(folder / "adapter_model.safetensors")
        first = next(name for name in weights if "lora_B" in name)
        weights[first] = weights[first].flip(0)
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        return low_rank

    monkeypatch.setattr(exporting, "write_low_rank", damaged)
    trained = make_run(tiny_model, tmp_path / "run", "full")
    with pytest.raises(AstroLlamaError, match="the adapter misses"):
        export(str(trained), tmp_path / "out", ExportSettings("adapter", rank=8))
    assert not (tmp_path / "out").exists()
