import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from astrollama.backends.hf import PROMPTS_A_BATCH, HFLanguageModel
from astrollama.errors import UserInputError
from astrollama.models.load import LoadedModel, load_model
from astrollama.tokens.tokenizer import DocumentTokenizer


def plain_nll(loaded: LoadedModel, text: str) -> tuple[float, int]:
    """The same by the shortest way: one text alone, all logits, double precision."""
    tokens = torch.tensor([[loaded.tokenizer.bos_id, *loaded.tokenizer.encode([text])[0]]])
    with torch.no_grad():
        log_probabilities = loaded.model(tokens).logits.double().log_softmax(-1)
    picked = log_probabilities[0, :-1].gather(-1, tokens[0, 1:, None])
    return -picked.sum().item(), tokens.shape[1] - 1


def test_texts_scored_together_have_the_loss_that_each_has_alone(loaded: LoadedModel, sample_texts: list[str]) -> None:
    texts = [*sample_texts[:12], "short", "émigré $\\alpha$"]
    model = HFLanguageModel(loaded)
    for text, likelihood in zip(texts, model.loglikelihood_rolling(texts), strict=True):
        nll, num_tokens = plain_nll(loaded, text)
        assert likelihood.num_tokens == num_tokens
        assert likelihood.num_bytes == len(text.encode())
        assert math.isclose(likelihood.nll, nll, rel_tol=1e-5)


def test_a_text_longer_than_the_context_is_scored_once_a_token(loaded: LoadedModel, sample_texts: list[str]) -> None:
    text = " ".join(sample_texts[:6])
    (likelihood,) = HFLanguageModel(loaded).loglikelihood_rolling([text])
    tokens = [loaded.tokenizer.bos_id, *loaded.tokenizer.encode([text])[0]]
    window = loaded.model.config.max_position_embeddings
    expected = 0.0
    for start in range(0, len(tokens) - 1, window):
        part = torch.tensor([tokens[start : start + window + 1]])
        with torch.no_grad():
            log_probabilities = loaded.model(part[:, :-1]).logits.double().log_softmax(-1)
        expected -= log_probabilities[0].gather(-1, part[0, 1:, None]).sum().item()
    assert likelihood.num_tokens == len(tokens) - 1 > window
    assert math.isclose(likelihood.nll, expected, rel_tol=1e-5)


def test_an_empty_text_has_no_tokens(loaded: LoadedModel) -> None:
    (likelihood,) = HFLanguageModel(loaded).loglikelihood_rolling([""])
    assert (likelihood.nll, likelihood.num_tokens, likelihood.num_bytes) == (0.0, 0, 0)


def test_greedy_continuations_do_not_depend_on_the_company(loaded: LoadedModel) -> None:
    model = HFLanguageModel(loaded)
    prompts = ["The magnetic field of the Galaxy", "Dust", "We present observations of seven young clusters and"]
    together = model.generate(prompts, max_new_tokens=12, temperature=0, seed=0)
    alone = [model.generate([prompt], max_new_tokens=12, temperature=0, seed=0)[0] for prompt in prompts]
    assert together == alone


def test_prompts_of_several_batches_come_back_in_their_order(model: HFLanguageModel, sample_texts: list[str]) -> None:
    prompts = [" ".join(text.split()[: 3 + index % 7]) for index, text in enumerate(sample_texts)]
    prompts = prompts[: 2 * PROMPTS_A_BATCH + 3]
    together = model.generate(prompts, max_new_tokens=3, temperature=0, seed=0)
    assert together == [model.generate([prompt], max_new_tokens=3, temperature=0, seed=0)[0] for prompt in prompts]
    sampled = model.generate(prompts, max_new_tokens=3, temperature=1.0, seed=0)
    assert sampled == model.generate(prompts, max_new_tokens=3, temperature=1.0, seed=0)


def test_batches_draw_differently(model: HFLanguageModel) -> None:
    texts = model.generate(["Dust"] * 2 * PROMPTS_A_BATCH, max_new_tokens=8, temperature=1.0, seed=0)
    assert len(set(texts)) == len(texts)


def test_a_long_prompt_takes_no_room_from_a_short_one(
    loaded: LoadedModel, model: HFLanguageModel, sample_texts: list[str]
) -> None:
    tokenizer = loaded.tokenizer
    (tokens,) = tokenizer.encode([" ".join(sample_texts[:6])])
    long = tokenizer.decode(tokens[:505])
    together = model.generate([long, "Dust"], max_new_tokens=20, temperature=0, seed=0)
    alone = [model.generate([text], max_new_tokens=20, temperature=0, seed=0)[0] for text in (long, "Dust")]
    assert together == alone
    room = 512 - 1 - len(tokenizer.encode([long])[0])
    assert [len(tokenizer.encode([text])[0]) <= room for text in together] == [True, False]


def test_the_seed_decides_what_is_sampled_and_leaves_torch_alone(loaded: LoadedModel) -> None:
    model = HFLanguageModel(loaded)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = model.generate(["Dust"], max_new_tokens=20, temperature=1.0, seed=1)
    assert torch.rand(1) == expected
    assert model.generate(["Dust"], max_new_tokens=20, temperature=1.0, seed=1) == first
    assert model.generate(["Dust"], max_new_tokens=20, temperature=1.0, seed=2) != first


def test_no_prompts_give_no_continuations(loaded: LoadedModel) -> None:
    assert HFLanguageModel(loaded).generate([], max_new_tokens=5, temperature=0, seed=0) == []


def test_a_folder_s_generation_settings_do_not_leak(tiny_model: Path, tmp_path: Path) -> None:
    import json
    import shutil

    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    settings = {"repetition_penalty": 5.0, "do_sample": True, "top_k": 1, "min_p": 0.9}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    for temperature in (0.0, 1.0):
        texts = [
            HFLanguageModel(load_model(str(path))).generate(
                ["Dust"], max_new_tokens=15, temperature=temperature, seed=0
            )
            for path in (tiny_model, folder)
        ]
        assert texts[0] == texts[1]


def test_a_prompt_that_fills_the_context_is_refused(loaded: LoadedModel, sample_texts: list[str]) -> None:
    with pytest.raises(UserInputError, match="the model's context 512: shorten it"):
        HFLanguageModel(loaded).generate([" ".join(sample_texts[:6])], max_new_tokens=5, temperature=0, seed=0)


def test_a_continuation_keeps_the_space_that_it_begins_with(loaded: LoadedModel) -> None:
    """Also with a tokenizer of LLaMA-2's kind, which drops a space at the beginning of what it decodes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(["</s>", "▁The", "▁Milky", "▁Way"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="</s>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    tokenizer = DocumentTokenizer.of(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"), "here")
    model = HFLanguageModel(replace(loaded, tokenizer=tokenizer))
    prompt = tokenizer.encode(["The Milky"])[0]
    assert model._continuation(prompt, [words["▁Way"]]) == " Way"
