from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from astrollama.errors import ModelError, RecipeError
from astrollama.models.adapters import make_trainable
from astrollama.models.load import load_model
from astrollama.models.registry import show_model
from astrollama.sections import LoraSection

LORA = LoraSection(rank=4, alpha=8.0)
TOKENS = torch.arange(2, 30)[None]


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """An adapter that was moved away from zero, and the logits of the model with it."""
    torch.manual_seed(0)
    trainable = make_trainable(load_model(str(tiny_model)), "lora", LORA)
    with torch.no_grad():
        for parameter in trainable.parameters().values():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        logits = trainable.model(TOKENS).logits
    trainable.save(tmp_path / "adapter", trainable.parameters())
    return tmp_path / "adapter", logits


def test_a_saved_adapter_gives_the_same_logits(adapter: tuple[Path, torch.Tensor]) -> None:
    folder, logits = adapter
    loaded = load_model(str(folder))
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(TOKENS).logits, logits)


def test_the_adapter_records_its_base_by_digest(adapter: tuple[Path, torch.Tensor], tiny_model: Path) -> None:
    loaded = load_model(str(adapter[0]))
    base = load_model(str(tiny_model))
    assert loaded.base_name == str(tiny_model)
    assert loaded.base_digest == base.digest
    assert loaded.digest != base.digest


def test_another_base_is_refused(adapter: tuple[Path, torch.Tensor], other_tiny_model: Path) -> None:
    with pytest.raises(ModelError, match=r"was trained on .* not on .*: give the base that it was trained on"):
        load_model(str(adapter[0]), base=str(other_tiny_model))


def test_the_same_base_elsewhere_is_taken(adapter: tuple[Path, torch.Tensor], tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(tiny_model, tmp_path / "elsewhere")
    assert load_model(str(adapter[0]), base=str(copy)).base_name == str(copy)


def test_an_adapter_that_does_not_name_its_base_is_refused(adapter: tuple[Path, torch.Tensor]) -> None:
    (adapter[0] / "base.json").unlink()
    with pytest.raises(ModelError, match="does not say which base"):
        load_model(str(adapter[0]))


def test_a_new_adapter_changes_nothing_and_trains_what_the_formula_says(tiny_model: Path) -> None:
    base = load_model(str(tiny_model))
    with torch.no_grad():
        before = base.model(TOKENS).logits
    trainable = make_trainable(base, "lora", LORA)
    with torch.no_grad():
        torch.testing.assert_close(trainable.model(TOKENS).logits, before)
    width, key_value_width, mlp = 64, 32, 128
    shapes = [(width, width), (width, key_value_width), (width, key_value_width), (width, width)]
    shapes += [(width, mlp), (width, mlp), (mlp, width)]
    expected = 2 * sum(LORA.rank * (rows + columns) for rows, columns in shapes)
    assert sum(p.numel() for p in trainable.parameters().values()) == expected


@pytest.mark.parametrize("rank", [1, 4, 32])
def test_with_a_second_matrix_of_zero_any_rank_equals_the_base(tiny_model: Path, rank: int) -> None:
    base = load_model(str(tiny_model))
    with torch.no_grad():
        before = base.model(TOKENS).logits
        trainable = make_trainable(base, "lora", LoraSection(rank=rank))
        for name, parameter in trainable.parameters().items():
            if "lora_A" in name:
                parameter.normal_()
        assert torch.equal(trainable.model(TOKENS).logits, before)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8.0 / 4), (True, 8.0 / 4**0.5)])
def test_the_update_is_scaled_by_the_rank_or_its_root(
    tiny_model: Path, tmp_path: Path, rslora: bool, scale: float
) -> None:
    trainable = make_trainable(load_model(str(tiny_model)), "lora", LoraSection(rank=4, alpha=8.0, rslora=rslora))
    layer = trainable.model.model.layers[0].mlp.up_proj
    inputs = torch.randn(3, 64)
    with torch.no_grad():
        for parameter in trainable.parameters().values():
            parameter.normal_()
        first, second = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        expected = inputs @ layer.base_layer.weight.T + scale * (inputs @ first.T @ second.T)
        torch.testing.assert_close(layer(inputs), expected)
        logits = trainable.model(TOKENS).logits
        trainable.save(tmp_path / "adapter", trainable.parameters())
        torch.testing.assert_close(load_model(str(tmp_path / "adapter")).model(TOKENS).logits, logits)


def test_an_update_of_the_embeddings_is_scaled_saved_and_loaded(tiny_model: Path, tmp_path: Path) -> None:
    lora = LoraSection(rank=4, alpha=8.0, targets=("embed_tokens", "q_proj"))
    base = load_model(str(tiny_model))
    table = base.model.model.embed_tokens.weight.detach().clone()
    trainable = make_trainable(base, "lora", lora)
    layer = trainable.model.model.embed_tokens
    second = layer.lora_embedding_B["default"]
    torch.testing.assert_close(second.norm(dim=0), torch.ones(4), rtol=0.3, atol=0.0)
    with torch.no_grad():
        torch.testing.assert_close(layer(TOKENS), table[TOKENS], rtol=0.0, atol=0.0)
        for parameter in trainable.parameters().values():
            parameter.normal_()
        first = layer.lora_embedding_A["default"]
        torch.testing.assert_close(layer(TOKENS), (table + 8.0 / 4 * (second @ first).T)[TOKENS])
        hidden = trainable.model.model(TOKENS).last_hidden_state
    trainable.save(tmp_path / "adapter", trainable.parameters())
    assert not any("base_layer" in name for name in load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    with torch.no_grad():
        loaded = load_model(str(tmp_path / "adapter"))
        torch.testing.assert_close(loaded.model.model(TOKENS).last_hidden_state, hidden)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_weights_that_are_given_are_written_whatever_the_model_holds(
    tiny_model: Path, tmp_path: Path, method: str
) -> None:
    trainable = make_trainable(load_model(str(tiny_model)), method, LORA)
    average = {name: torch.full_like(p, 0.25).detach() for name, p in trainable.parameters().items()}
    trainable.save(tmp_path / "model", average)
    (file,) = (tmp_path / "model").glob("*.safetensors")
    written = load_file(file)
    assert len(written) == len(average)
    assert all(bool((tensor == 0.25).all()) for tensor in written.values())
    load_model(str(tmp_path / "model"))


@pytest.mark.parametrize("tied", [True, False])
def test_a_whole_model_is_written_as_save_pretrained_writes_it(tiny_model: Path, tmp_path: Path, tied: bool) -> None:
    loaded = load_model(str(tiny_model))
    if not tied:
        loaded.model.config.tie_word_embeddings = False
        loaded.model.lm_head.weight = torch.nn.Parameter(loaded.model.lm_head.weight.detach() + 1)
    trainable = make_trainable(loaded, "full", LORA)
    trainable.save(tmp_path / "own", {name: p.detach().clone() for name, p in trainable.parameters().items()})
    loaded.model.save_pretrained(tmp_path / "theirs")
    loaded.tokenizer.tokenizer.save_pretrained(tmp_path / "theirs")
    files = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == files
    for name in files:
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_parameters_are_looked_up_anew(tiny_model: Path) -> None:
    trainable = make_trainable(load_model(str(tiny_model)), "full", LORA)
    replaced = torch.nn.Parameter(torch.zeros(64))
    trainable.model.model.norm.weight = replaced
    assert trainable.parameters()["model.norm.weight"] is replaced


def test_an_unknown_target_is_named_with_those_there_are(tiny_model: Path) -> None:
    with pytest.raises(RecipeError, match=r"'query', which the model does not have: choose from down_proj, .*q_proj"):
        make_trainable(load_model(str(tiny_model)), "lora", LoraSection(targets=("query",)))


def test_settings_and_base_are_part_of_the_digest(adapter: tuple[Path, torch.Tensor]) -> None:
    import json

    before = load_model(str(adapter[0])).digest
    path = adapter[0] / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 500}))
    assert load_model(str(adapter[0])).digest != before


def test_a_pickled_adapter_is_refused_even_beside_other_safetensors(adapter: tuple[Path, torch.Tensor]) -> None:
    folder, _ = adapter
    torch.save({}, folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(ModelError, match=r"has no adapter_model\.safetensors"):
        load_model(str(folder))


def test_a_base_that_has_moved_is_named(adapter: tuple[Path, torch.Tensor], tiny_model: Path, tmp_path: Path) -> None:
    import json

    record = json.loads((adapter[0] / "base.json").read_text())
    (adapter[0] / "base.json").write_text(json.dumps(record | {"name": str(tmp_path / "gone")}))
    with pytest.raises(ModelError, match="there is no model"):
        load_model(str(adapter[0]))
    assert load_model(str(adapter[0]), base=str(tiny_model)).base_digest == record["digest"]


def test_the_digest_that_is_shown_is_the_one_that_is_recorded(
    adapter: tuple[Path, torch.Tensor], tiny_model: Path
) -> None:
    for folder in (adapter[0], tiny_model):
        assert show_model(str(folder))["digest"] == load_model(str(folder)).digest
