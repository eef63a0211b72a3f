"""Shapes without weights, beside the models that torch and PEFT build of them on the meta device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from astrollama.errors import ModelError, RecipeError
from astrollama.models.architectures import (
    count_adapter_parameters,
    count_block_parameters,
    count_parameters,
    find_config,
)
from astrollama.models.folder import num_parameters
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import WEIGHTS, cache_folder
from astrollama.sections import LoraSection

ALL_LINEAR = LoraSection().targets
# as the models' publishers count them
PUBLISHED = {
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Llama-2-13b-hf": 13_015_864_320,
    "meta-llama/Llama-2-70b-hf": 68_976_648_192,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-70B": 70_553_706_496,
    "HuggingFaceTB/SmolLM2-135M": 134_515_008,
    "HuggingFaceTB/SmolLM2-360M": 361_821_120,
    "HuggingFaceTB/SmolLM2-1.7B": 1_711_376_384,
    "smollm2-135m": 134_515_008,
}


def on_meta(config):  # type: ignore[no-untyped-def]
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(config)


@pytest.mark.parametrize("name", PUBLISHED)
def test_well_known_bases_have_the_published_number_of_parameters(name: str) -> None:
    assert count_parameters(find_config(name)) == PUBLISHED[name]


@pytest.mark.parametrize("name", ["meta-llama/Llama-2-7b-hf", "meta-llama/Llama-3.1-70B", "HuggingFaceTB/SmolLM2-360M"])
def test_the_count_is_that_of_the_model_on_the_meta_device(name: str) -> None:
    config = find_config(name)
    model = on_meta(config)
    assert count_parameters(config) == sum(p.numel() for p in model.parameters())
    assert count_block_parameters(config) == sum(p.numel() for p in model.model.layers[0].parameters())


def test_biases_are_counted() -> None:
    config = find_config("smollm2-135m")
    config.attention_bias = config.mlp_bias = True
    assert count_parameters(config) == sum(p.numel() for p in on_meta(config).parameters())


@pytest.mark.parametrize(
    ("name", "rank", "targets"),
    [
        ("meta-llama/Llama-2-7b-hf", 16, ALL_LINEAR),
        ("meta-llama/Meta-Llama-3-8B", 64, ALL_LINEAR),
        ("meta-llama/Llama-2-7b-hf", 8, ("q_proj", "v_proj")),
        ("smollm2-135m", 3, ("down_proj",)),
        ("smollm2-135m", 4, ("embed_tokens", "q_proj")),
    ],
)
def test_the_adapters_count_is_that_of_peft(name: str, rank: int, targets: tuple[str, ...]) -> None:
    with quiet_libraries():
        from peft import LoraConfig, get_peft_model

        config = find_config(name)
        adapted = get_peft_model(
            on_meta(config), LoraConfig(task_type="CAUSAL_LM", r=rank, target_modules=list(targets))
        )
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert count_adapter_parameters(config, rank, targets) == trained


def test_the_papers_adapter_has_forty_million_parameters() -> None:
    """By hand: a layer's seven matrices have 2 x 4096 four times and 4096 + 11008 three times at their sides."""
    config = find_config("meta-llama/Llama-2-7b-hf")
    assert count_adapter_parameters(config, 16, ALL_LINEAR) == 32 * 16 * (4 * 8192 + 3 * 15104) == 39_976_960


def test_a_target_that_is_no_matrix_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"lora\.targets names 'q_prj'"):
        count_adapter_parameters(find_config("smollm2-135m"), 8, ("q_prj",))


def test_a_folder_is_read_and_its_config_is_enough(tiny_model: Path, tmp_path: Path) -> None:
    assert count_parameters(find_config(str(tiny_model))) == num_parameters(tiny_model)
    shutil.copy(tiny_model / "config.json", tmp_path)
    assert find_config(str(tmp_path)).hidden_size == 64


def test_a_pulled_model_comes_before_the_table(tiny_model: Path) -> None:
    home = cache_folder() / "any-name"
    shutil.copytree(tiny_model, home / WEIGHTS)
    (home / "manifest.json").write_text(json.dumps({"identity": {"name": "meta-llama/Llama-2-7b-hf@main"}}))
    try:
        assert find_config("meta-llama/Llama-2-7b-hf").hidden_size == 64
        assert find_config("meta-llama/Llama-2-7b-hf@v2").hidden_size == 4096
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("meta-llama/Llama-2-7b", r"did you mean meta-llama/Llama-2-7b-hf\?"),
        ("someone/else", "fetch it"),
        ("empty", "has no config.json"),
        ("adapter", "is an adapter"),
        ("unfinished", "is an unfinished run"),
        ("gpt2", "is a model of type 'gpt2'"),
        ("damaged", "cannot be read"),
        ("noise.gguf", "cannot be read"),
    ],
)
def test_what_has_no_shape_is_told_in_one_line(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "empty/notes.txt": "",
        "adapter/adapter_config.json": "{}",
        "unfinished/stage.json": "{}",
        "gpt2/config.json": '{"model_type": "gpt2"}',
        "damaged/config.json": '{"model_type": ',
        "noise.gguf": "noise",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    with pytest.raises(ModelError, match=message) as raised:
        find_config(spec)
    assert "\n" not in str(raised.value)
