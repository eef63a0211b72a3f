import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from astrollama.errors import ModelError
from astrollama.models.folder import check_folder, num_parameters, save_tensors, weights_digest
from astrollama.models.load import load_model
from astrollama.models.registry import find_model


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_the_digest_does_not_depend_on_how_tensors_are_divided_among_files(folder: Path) -> None:
    before = weights_digest(folder)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    assert weights_digest(folder) == before

    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model-2\.safetensors"):
        check_folder(folder)


def test_the_digest_tells_one_changed_weight(folder: Path) -> None:
    before = weights_digest(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 1e-6
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert weights_digest(folder) != before


def test_weights_are_for_everyone_whom_any_other_file_is_for(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save_tensors(tmp_path / "weights.safetensors", {"a": torch.arange(6.0).reshape(2, 3).T})
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
    torch.testing.assert_close(
        load_file(tmp_path / "weights.safetensors")["a"], torch.tensor([[0.0, 3], [1, 4], [2, 5]])
    )


def test_tied_weights_are_counted_once(folder: Path) -> None:
    assert num_parameters(folder) == sum(p.numel() for p in load_model(str(folder)).model.parameters())


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickled weights \(pytorch_model\.bin\).*convert them to safetensors"):
        find_model(str(folder))


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        find_model(str(folder))


def test_damaged_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged|cannot be loaded"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "code.Model"}}, "remote code is never run"),
        ({"quantization_config": {"quant_method": "gptq"}}, "holds quantised weights"),
        ({"model_type": "gpt2"}, "type 'gpt2': give a LLaMA model"),
    ],
)
def test_other_models_and_code_of_their_own_are_refused(folder: Path, change: dict[str, object], message: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=message):
        find_model(str(folder))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=f"has no {missing}"):
        find_model(str(folder))


def test_a_missing_tensor_is_not_drawn_at_random(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"tensors of .* are not those of its config\.json \(model\.layers\.1\.mlp"):
        load_model(str(folder))


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["extragalactic"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="has 1025 tokens, the model 1024"):
        load_model(str(folder))


def test_a_tokenizer_that_truncates_and_pads_is_cured_of_it(folder: Path) -> None:
    plain = load_model(str(folder)).tokenizer
    state = json.loads((folder / "tokenizer.json").read_text())
    state["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(state))
    tokenizer = load_model(str(folder)).tokenizer
    before = tokenizer.digest
    assert tokenizer.encode(["a text of more than four tokens"]) == plain.encode(["a text of more than four tokens"])
    assert tokenizer.digest == before == plain.digest
