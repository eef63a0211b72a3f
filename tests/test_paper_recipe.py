"""The paper's recipe without the paper's weights: its counts, its tokenizer on real abstracts, and a tiny stand-in trained."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
from itertools import islice
from pathlib import Path
from statistics import median

import pytest
import torch

from astrollama.cli.main import run
from astrollama.models.architectures import count_adapter_parameters, count_parameters, find_config
from astrollama.models.load import load_tokenizer
from astrollama.recipe import Recipe, builtin_recipes, load_recipe
from astrollama.tokens.shards import TokenShards

PAPER = "llama2-7b-paper"
SHARED = Path(__file__).parents[2] / "shared"
TOKENIZER = SHARED / "tokenizer" / "llama2" / "tokenizer.json"
NUM_PAPERS = 2000

needs_shared = pytest.mark.skipif(
    not TOKENIZER.is_file(), reason="no folder 'shared' with the LLaMA-2 tokenizer and real papers beside the checkout"
)


@pytest.mark.parametrize("name", builtin_recipes())
def test_every_recipe_loads_and_its_base_and_adapter_have_a_known_shape(name: str) -> None:
    recipe = load_recipe(name)
    config = find_config(recipe.model.base)
    assert count_parameters(config) > 0
    if recipe.train.method != "full":
        assert count_adapter_parameters(config, recipe.lora.rank, recipe.lora.targets) > 0
    assert recipe.pack.sequence_length <= config.max_position_embeddings


def test_the_recipe_says_what_the_reference_says() -> None:
    recipe = load_recipe(PAPER)
    assert (recipe.corpus.split, recipe.corpus.test_fraction) == ("random", 0.2)
    assert (recipe.corpus.from_month, recipe.corpus.until_month) == ("1992-04", "2023-07")
    assert (recipe.pack.attention, recipe.pack.sequence_length) == ("packed", 512)
    train = recipe.train
    assert train.global_batch_tokens == 32 * 512
    assert (train.beta1, train.beta2, train.epsilon, train.weight_decay) == (0.9, 0.95, 1e-5, 0.1)
    assert (train.peak_lr, train.warmup_fraction, train.min_lr_ratio, train.schedule) == (3e-4, 0.1, 0.1, "cosine")
    assert (train.method, train.activation_checkpointing, train.max_grad_norm) == ("qlora", True, 1.0)
    assert recipe.replay.share == 0


def test_every_setting_of_the_recipe_says_whose_it_is() -> None:
    lines = builtin_recipes()[PAPER].read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if "=" in line.partition("#")[0] and not line.startswith(("#", "name"))]
    assert len(settings) > 20
    for line in settings:
        assert any(word in line.partition("#")[2] for word in ("the paper's", "recalled", "ours")), line


def test_llama_2_7b_and_its_adapter_have_the_parameters_that_torch_and_peft_give_them() -> None:
    from transformers import LlamaForCausalLM

    from astrollama.models.quiet import quiet_libraries

    recipe = load_recipe(PAPER)
    config = find_config(recipe.model.base)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == count_parameters(config) == 6_738_415_616
    with quiet_libraries():
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(task_type="CAUSAL_LM", r=recipe.lora.rank, target_modules=list(recipe.lora.targets))
        adapted = get_peft_model(model, lora)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert trained == count_adapter_parameters(config, recipe.lora.rank, recipe.lora.targets) == 39_976_960


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first papers of the shared corpus, as a file."""
    (path,) = (SHARED / "corpus").glob("*.jsonl.gz")
    chosen = tmp_path_factory.mktemp("papers") / "papers.jsonl"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        chosen.write_text("".join(islice(file, NUM_PAPERS)), encoding="utf-8")
    return chosen


@pytest.fixture(scope="module")
def tiny_llama_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LLaMA-2 of two layers and random weights, with the genuine tokenizer and its vocabulary of 32,000."""
    from transformers import LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama-2"
    config = find_config("meta-llama/Llama-2-7b-hf")
    config.update(
        {
            "hidden_size": 64,
            "intermediate_size": 172,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 32,
        }
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    shutil.copy(TOKENIZER, folder)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def work(papers: Path, tiny_llama_2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus and the tokens that the recipe makes of the papers."""
    folder = tmp_path_factory.mktemp("paper")
    corpus, tokens = str(folder / "corpus"), str(folder / "tokens")
    recipe = load_recipe(PAPER)
    settings = [f'corpus.split="{recipe.corpus.split}"', f"corpus.test_fraction={recipe.corpus.test_fraction}"]
    assert run(["corpus", "import", str(papers), "--out", corpus, *sets(*settings)]) == 0
    assert run(["pack", corpus, "--model", str(tiny_llama_2), "--out", tokens]) == 0
    return folder


@needs_shared
def test_the_genuine_tokenizer_packs_real_papers(work: Path, tiny_llama_2: Path) -> None:
    shards = TokenShards.open(work / "tokens")
    tokenizer = load_tokenizer(tiny_llama_2)
    counts = json.loads((work / "corpus" / "manifest.json").read_text())["counts"]
    assert len(shards) == counts["train"]
    assert 0.15 < counts["test"] / (counts["train"] + counts["validation"] + counts["test"]) < 0.25
    assert shards.manifest["tokenizer"]["vocab_size"] == 32000
    for tokens in islice(shards, 100):
        assert (tokens[0], tokens[-1]) == (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    # the paper's median is 291, recalled
    assert 150 < median(shards.lengths_N.tolist()) < 400


@needs_shared
def test_the_recipe_runs_from_end_to_end_on_a_tiny_llama_2(
    work: Path, tiny_llama_2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the paper's run, but for the size: a few steps of 2,048 tokens, and float32, for which every CPU has units."""
    settings = sets(
        f"model.base={tiny_llama_2}",
        f"train.method={'lora' if importlib.util.find_spec('bitsandbytes') is None else 'qlora'}",
        "train.precision=float32",
        "train.global_batch_tokens=2048",
        "train.micro_batch_size=2",
        "train.budget=24_000 tokens",
        # random weights move only far, and an adapter leaves embeddings and head as they are
        "train.peak_lr=3e-2",
    )
    out, evaluation = str(tmp_path / "run"), str(tmp_path / "evaluation")
    command = ["train", PAPER, "--tokens", str(work / "tokens"), "--out", out, *settings]

    assert run([*command, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert not Path(out).exists()

    assert run([*command, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["parameters_trained"] == plan["parameters_trained"]
    assert summary["steps"] == pytest.approx(plan["num_steps"], abs=1)
    resolved = load_recipe(str(Path(out) / "recipe.toml"))
    assert unlike(resolved, load_recipe(PAPER)) <= {
        "model.base", "train.method", "train.precision", "train.global_batch_tokens", "train.micro_batch_size",
        "train.budget", "train.peak_lr", "train.device",
    }  # fmt: skip
    losses = [record["loss"] for record in metrics(Path(out)) if "loss" in record]
    assert sum(losses[-3:]) < sum(losses[:3])

    command = ["evaluate", out, "--corpus", str(work / "corpus"), "--out", evaluation, "--tasks", "perplexity"]
    assert run([*command, *sets("evaluate.num_documents=8", "evaluate.num_resamples=200")]) == 0
    assert run(["complete", "The dust", "--model", out, "--max-new-tokens", "3", "--json"]) == 0


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def unlike(one: Recipe, other: Recipe) -> set[str]:
    """The keys in which two recipes differ."""
    sections = one.model_dump(), other.model_dump()
    return {
        f"{section}.{key}"
        for section, values in sections[0].items()
        if isinstance(values, dict)
        for key in values
        if values[key] != sections[1][section][key]
    }
