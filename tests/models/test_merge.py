import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from astrollama.cli.main import run
from astrollama.errors import AstroLlamaError, ModelError, RunError, UserInputError
from astrollama.models import folder as folders
from astrollama.models.adapters import make_trainable
from astrollama.models.folder import weights_digest, write_weights
from astrollama.models.load import load_model
from astrollama.models.merge import merge
from astrollama.models.quantize import round_to_nf4
from astrollama.models.registry import TRAIN_STAGE, find_model
from astrollama.runs import stage_directory
from astrollama.sections import LoraSection
from astrollama.tokens.shards import INDEX

TOKENS = torch.arange(2, 30)[None]


def make_trained(base: Path, folder: Path, method: str, **lora: object) -> Path:
    """A model or adapter that was moved away from its base."""
    torch.manual_seed(0)
    trainable = make_trainable(load_model(str(base)), method, LoraSection(rank=4, alpha=8.0, **lora))  # type: ignore[arg-type]
    weights = {name: p.detach() + 0.05 * torch.randn_like(p) for name, p in trainable.parameters().items()}
    trainable.save(folder, weights)
    return folder


def make_run(base: Path, out: Path, method: str) -> Path:
    """A run directory as `train` leaves it, in what `merge` reads of it."""
    with stage_directory(out, TRAIN_STAGE, {}, disposable=["model"]) as stage:
        make_trained(base, out / "model", method)
        (out / INDEX).write_bytes(b"documents")
        files = [INDEX, *(f"model/{path.name}" for path in sorted((out / "model").iterdir()))]
        stage.finish(
            files,
            {"steps": 3, "tokens": 300, "parameters": 100, "parameters_trained": 10},
            base={"name": str(base), "digest": weights_digest(base)},
            recipe={"train": {"method": method}, "model": {"base": str(base)}},
            train_seconds=1.5,
            tokens_per_second=200.0,
        )
    return out


@pytest.fixture
def full_run(tiny_model: Path, tmp_path: Path) -> Path:
    return make_run(tiny_model, tmp_path / "full-run", "full")


def logits(model: Path) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = load_model(str(model)).model(TOKENS).logits
    return result


@pytest.mark.parametrize("lora", [{}, {"rslora": True}, {"targets": ("q_proj", "down_proj")}])
def test_a_merged_adapter_equals_the_unmerged(tiny_model: Path, tmp_path: Path, lora: dict[str, object]) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora", **lora)
    merge(str(adapter), tmp_path / "merged", None, 1.0)
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(adapter), rtol=0, atol=1e-5)
    assert find_model(str(tmp_path / "merged")).kind == "model"


def test_a_merged_qlora_adapter_equals_the_unmerged(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    record = json.loads((adapter / "base.json").read_text())
    (adapter / "base.json").write_text(json.dumps(record | {"quantization": "nf4"}))
    manifest = merge(str(adapter), tmp_path / "merged", None, 1.0)
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(adapter), rtol=0, atol=1e-5)
    assert "it is merged into what they left of its weights" in capsys.readouterr().err
    assert manifest["base"] == {**record, "quantization": "nf4"}
    merge(str(adapter), tmp_path / "rounded", None, 0.0)
    base = load_model(str(tiny_model)).model
    round_to_nf4(base)
    for name, tensor in load_file(tmp_path / "rounded" / "model" / "model.safetensors").items():
        assert torch.equal(tensor, base.get_parameter(name))


def test_a_run_with_an_adapter_is_merged_and_its_documents_are_kept(tiny_model: Path, tmp_path: Path) -> None:
    lora_run = make_run(tiny_model, tmp_path / "run", "lora")
    merge(str(lora_run), tmp_path / "merged", None, 1.0)
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(lora_run), rtol=0, atol=1e-5)
    assert (tmp_path / "merged" / INDEX).read_bytes() == b"documents"


@pytest.mark.parametrize("method", ["full", "lora"])
def test_alpha_0_is_the_base_bit_for_bit(tiny_model: Path, tmp_path: Path, method: str) -> None:
    trained = make_run(tiny_model, tmp_path / "run", method)
    manifest = merge(str(trained), tmp_path / "merged", None, 0.0)
    assert manifest["digest"] == weights_digest(tiny_model)


def test_alpha_1_of_a_whole_model_is_the_run_bit_for_bit(full_run: Path, tmp_path: Path) -> None:
    manifest = merge(str(full_run), tmp_path / "merged", None, 1.0)
    assert manifest["digest"] == weights_digest(full_run / "model") == load_model(str(tmp_path / "merged")).digest
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (tmp_path / "merged" / "model" / name).read_bytes() == (full_run / "model" / name).read_bytes()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_between_lie_base_plus_alpha_times_the_difference(tiny_model: Path, tmp_path: Path, method: str) -> None:
    trained = make_run(tiny_model, tmp_path / "run", method)
    merge(str(trained), tmp_path / "whole", None, 1.0)
    merge(str(trained), tmp_path / "merged", None, 0.3)
    base = load_file(tiny_model / "model.safetensors")
    whole = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "merged" / "model" / "model.safetensors").items():
        torch.testing.assert_close(tensor, base[name] + 0.3 * (whole[name] - base[name]), rtol=1e-5, atol=1e-6)


def test_the_manifest_records_both_by_digest_and_a_second_merge_does_nothing(
    full_run: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = merge(str(full_run), tmp_path / "merged", None, 0.5)
    assert manifest["model"] == {"name": str(full_run), "digest": weights_digest(full_run / "model")}
    assert manifest["base"] == {"name": str(tiny_model), "digest": weights_digest(tiny_model)}
    assert manifest["alpha"] == 0.5
    assert merge(str(full_run), tmp_path / "merged", None, 0.5) == manifest
    assert "already there" in capsys.readouterr().err
    with pytest.raises(RunError, match=r"alpha is 0\.5, now 0\.6"):
        merge(str(full_run), tmp_path / "merged", None, 0.6)


def test_a_merged_model_that_was_changed_is_not_taken(full_run: Path, tmp_path: Path) -> None:
    merge(str(full_run), tmp_path / "merged", None, 0.5)
    (tmp_path / "merged" / "model" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="missing or damaged"):
        find_model(str(tmp_path / "merged"))


def test_a_model_folder_is_merged_with_the_base_that_is_named(full_run: Path, tiny_model: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(full_run / "model", tmp_path / "bare")
    with pytest.raises(ModelError, match=r"does not record the base .* name it with --base"):
        merge(str(bare), tmp_path / "merged", None, 0.5)
    merge(str(bare), tmp_path / "merged", str(tiny_model), 0.5)
    merge(str(full_run), tmp_path / "of-run", None, 0.5)
    assert weights_digest(tmp_path / "merged" / "model") == weights_digest(tmp_path / "of-run" / "model")


def test_weights_in_bfloat16_are_merged_in_float32(full_run: Path, tiny_model: Path, tmp_path: Path) -> None:
    half = shutil.copytree(full_run / "model", tmp_path / "half")
    weights = {n: t.bfloat16() for n, t in load_file(half / "model.safetensors").items()}
    save_file(weights, half / "model.safetensors", metadata={"format": "pt"})
    merge(str(half), tmp_path / "merged", str(tiny_model), 1.0)
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(half), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_another_base_than_in_training_is_refused(
    tiny_model: Path, other_tiny_model: Path, tmp_path: Path, method: str
) -> None:
    trained = make_run(tiny_model, tmp_path / "run", method)
    with pytest.raises(ModelError, match=r"was trained on .* not on .*: give the base that it was trained on"):
        merge(str(trained), tmp_path / "merged", str(other_tiny_model), 0.5)
    assert not (tmp_path / "merged").exists()


def test_a_base_that_has_moved_is_named_with_base(full_run: Path, tiny_model: Path, tmp_path: Path) -> None:
    manifest = json.loads((full_run / "manifest.json").read_text())
    manifest["base"]["name"] = str(tmp_path / "gone")
    (full_run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"cannot be found .*: say with --base where it is now"):
        merge(str(full_run), tmp_path / "merged", None, 0.5)
    merge(str(full_run), tmp_path / "merged", str(tiny_model), 0.5)


def test_settings_that_cannot_be_read_are_told_in_a_line(full_run: Path, tiny_model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": "small"}))
    with pytest.raises(ModelError, match=r"the settings of .* cannot be read .*: fetch or save the model again"):
        merge(str(full_run / "model"), tmp_path / "merged", str(other), 0.5)


def test_a_base_that_is_an_adapter_is_refused(full_run: Path, tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    with pytest.raises(ModelError, match="is an adapter: give a whole model as the base"):
        merge(str(full_run), tmp_path / "merged", str(adapter), 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"intermediate_size": 96}, r"mlp\.\w+\.weight is \(.*\), not \("),
        ({"num_hidden_layers": 1}, r"model\.layers\.1\..* is \(.*\), not None"),
        ({"rms_norm_eps": 1e-3}, r"rms_norm_eps is 1e-06, not 0\.001"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is True, not False"),
    ],
)
def test_a_base_of_another_shape_is_refused(
    full_run: Path, tiny_model: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    other = shutil.copytree(tiny_model, tmp_path / "other")
    LlamaForCausalLM(LlamaConfig.from_pretrained(tiny_model, **change)).save_pretrained(other)
    with pytest.raises(ModelError, match=said):
        merge(str(full_run / "model"), tmp_path / "merged", str(other), 0.5)


def test_a_base_with_another_tokenizer_is_refused(full_run: Path, tiny_model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["merges"].pop()
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="their tokenizers differ"):
        merge(str(full_run / "model"), tmp_path / "merged", str(other), 0.5)


def test_an_adapter_without_a_record_or_with_more_than_lora_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_trained(tiny_model, tmp_path / "adapter", "lora")
    tensors = load_file(adapter / "adapter_model.safetensors")
    extra = {"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 64)}
    save_file(tensors | extra, adapter / "adapter_model.safetensors")
    with pytest.raises(
        ModelError, match=r"adapts more than the linear layers of the blocks \(base_model\.model\.lm_head"
    ):
        merge(str(adapter), tmp_path / "merged", None, 1.0)
    save_file(tensors, adapter / "adapter_model.safetensors")
    (adapter / "base.json").unlink()
    with pytest.raises(ModelError, match="does not say which base"):
        merge(str(adapter), tmp_path / "merged", None, 1.0)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_an_alpha_outside_0_to_1_is_refused(full_run: Path, tmp_path: Path, alpha: float) -> None:
    with pytest.raises(UserInputError, match="lies outside 0 to 1"):
        merge(str(full_run), tmp_path / "merged", None, alpha)


def test_an_output_inside_the_run_or_over_other_files_is_refused(full_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="lies inside"):
        merge(str(full_run), full_run / "merged", None, 0.5)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        merge(str(full_run), tmp_path / "taken", None, 0.5)
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]


def test_weights_that_are_not_finite_leave_nothing(tiny_model: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = torch.inf
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AstroLlamaError, match=r"model\.norm\.weight of .* is not finite"):
        merge(str(broken), tmp_path / "merged", str(tiny_model), 0.5)
    assert not (tmp_path / "merged").exists()


def test_large_models_are_written_in_shards(full_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = load_file(full_run / "model" / "model.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    sharded = shutil.copytree(full_run / "model", tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    write_weights(sharded, shapes, tensors.__getitem__, shard_bytes=100_000)
    files = sorted(sharded.glob("*.safetensors"))
    largest = max(4 * tensor.numel() for tensor in tensors.values())
    assert len(files) > 2
    assert all(path.stat().st_size < max(100_000, largest) + 10_000 for path in files)
    assert load_model(str(sharded)).digest == load_model(str(full_run)).digest
    assert not folders.tensor_shapes(sharded).keys() ^ shapes.keys()


def test_a_merged_model_is_trained_on_like_a_base(full_run: Path, tmp_path: Path) -> None:
    merge(str(full_run), tmp_path / "merged", None, 0.5)
    adapter = make_trained(tmp_path / "merged", tmp_path / "adapter", "lora")
    assert load_model(str(adapter)).base_name == str(tmp_path / "merged")


def test_the_command_merges_and_tells_errors_in_a_line(
    full_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["model", "merge", str(full_run), "--out", str(tmp_path / "merged")]
    assert run([*arguments, "--alpha", "0.5", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["alpha"] == 0.5
    assert result["digest"] == load_model(str(tmp_path / "merged")).digest
    assert run([*arguments, "--alpha", "2"]) == 2
    assert (
        capsys.readouterr().err
        == "error: alpha = 2 lies outside 0 to 1: give 0 for the base, 1 for the trained model\n"
    )
