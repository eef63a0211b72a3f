"""The base model, sequences, and how it is trained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from astrollama.sections.base import MAX_SEED, Device, Section, list_to_tuple

Attention = Literal["document", "packed"]
BudgetUnit = Literal["tokens", "epochs", "minutes"]
Method = Literal["full", "lora", "qlora"]
Objective = Literal["language", "contrastive"]
PairKind = Literal["title", "halves", "citations"]

# the units that may be written, and how many of ours each is
_UNITS: dict[str, tuple[float, BudgetUnit]] = {
    "tokens": (1, "tokens"),
    "epochs": (1, "epochs"),
    "minutes": (1, "minutes"),
    "seconds": (1 / 60, "minutes"),
    "hours": (60, "minutes"),
}
_BUDGET = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)\s*")


class ModelSection(Section):
    """The model to start from."""

    base: str = Field(
        "smollm2-135m",
        min_length=1,
        description="A name of `astrollama model list`, a Hugging Face id, a folder or a GGUF file.",
    )


class PackSection(Section):
    """How documents become sequences."""

    sequence_length: int = Field(512, ge=16, description="Tokens a sequence. 512: the paper's.")
    attention: Attention = Field(
        "document",
        description="`document`: no token sees another document and positions restart. `packed`: one stream cut into pieces, as the paper did.",
    )


# A target of LoRA beside the linear layers.
EMBEDDINGS = "embed_tokens"


class LoraSection(Section):
    """The adapter, where `train.method` is `lora` or `qlora`."""

    rank: int = Field(16, ge=1, description="Rank of the update. The paper does not state its own.")
    alpha: float = Field(32.0, gt=0, description="The update is scaled by alpha / rank. 32: ours.")
    rslora: bool = Field(
        False,
        description="Scale by alpha / sqrt(rank) instead, so that high ranks learn too (rsLoRA; Kalajdzievski 2023, arXiv:2312.03732).",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the update. 0: none.")
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="The layers that get an update. All linear layers of a block; an encoder may have `embed_tokens` too.",
    )

    _tuples = list_to_tuple("targets")


class ReplaySection(Section):
    """General text among the corpus's, so that the model does not forget (Ibrahim et al. 2024, arXiv:2403.08763)."""

    share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the predicted tokens that are general text, from the tokens given with `--replay`. 0: none.",
    )


class EncoderSection(Section):
    """The encoder, where `train.objective` is `contrastive`."""

    pairs: tuple[PairKind, ...] = Field(
        ("title", "halves"),
        min_length=1,
        description="Texts that belong together: a title and its abstract, two halves of an abstract, a paper and one that it cites (with `--citations`).",
    )
    pairs_a_step: int = Field(
        32, ge=2, description="Pairs an optimiser step; the other texts of a step are what a text is told from."
    )
    negatives: Literal["random", "near"] = Field(
        "random",
        description="The other texts of a step: of any papers, or `near`: of papers that use the same words, so that more than the subject has to be told.",
    )
    temperature: float = Field(
        0.05, gt=0, description="Cosines are divided by it before the softmax. 0.05: a common choice."
    )
    pooling: Literal["mean", "last"] = Field(
        "mean", description="One vector a text: the mean of its last hidden states without BOS's, or the last token's."
    )
    attention: Literal["causal", "bidirectional"] = Field(
        "causal",
        description="Whether a token sees those behind it, too (LLM2Vec; BehnamGhader et al. 2024, arXiv:2404.05961).",
    )
    layers_share: float = Field(
        1.0, gt=0, le=1, description="Share of the model's layers that the encoder has, the first ones. 1: all."
    )
    final_norm: bool = Field(
        True,
        description="Whether the last hidden states go through the model's final norm. Without it they keep their lengths, so that training learns how much each token weighs in the mean.",
    )
    whitening: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How far the directions of vectors are evened out after training: 0 not at all, 1 until all vary alike (Su et al. 2021, arXiv:2103.15316); 0.5 is often better than either.",
    )
    max_tokens: int = Field(
        128, ge=8, description="Tokens of a text that training reads, the first; an encoder reads all."
    )

    _tuples = list_to_tuple("pairs")


class TrainSection(Section):
    """The training run."""

    objective: Objective = Field(
        "language",
        description="What is learned: to predict the next token, or which texts belong together (`contrastive`: an encoder).",
    )
    method: Method = Field(
        "full",
        description="Train every weight, a low-rank adapter (`lora`), or one on a base in 4 bits (`qlora`, GPU).",
    )
    budget: str = Field(
        "1 epochs",
        description="How long: `100_000 tokens`, `3 epochs`, or `5 minutes`, seconds or hours. The schedule spans exactly this; epochs are of the corpus, tokens are of all, and the run ends with the first step that reaches it.",
    )
    global_batch_tokens: int = Field(
        1024,
        ge=16,
        description="Tokens an optimiser step, on all ranks together, room at the ends of rows counted. 1,024: two rows of 512.",
    )
    micro_batch_size: int = Field(
        2,
        ge=1,
        description="Sequences a pass through the model on one rank, or those that a step has. 2: a whole step of 1,024 tokens; more rows are faster and take more memory.",
    )
    schedule: Literal["cosine", "linear", "wsd"] = Field(
        "cosine",
        description="After the warm-up: a cosine, as the paper, or a line to the end, or the peak kept until `decay_fraction` before the end and then a line (warm-up, stable, decay).",
    )
    peak_lr: float = Field(3e-4, gt=0, description="Highest learning rate. 3e-4: the paper's.")
    start_lr_ratio: float = Field(
        0.01, ge=0, le=1, description="Learning rate of the first step as a share of the peak. 0.01: no step is lost."
    )
    min_lr_ratio: float = Field(
        0.1, ge=0, le=1, description="Final learning rate as a share of the peak. 0.1: the paper's."
    )
    warmup_fraction: float = Field(
        0.1, ge=0, lt=1, description="Share of the budget over which the rate rises linearly. 0.1: the paper's."
    )
    decay_fraction: float = Field(
        0.2, ge=0.001, le=1, description="Share of the budget over which `wsd` lets the rate fall. 0.2: ours."
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first decay. 0.9: the paper's.")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's second decay. 0.95: the paper's.")
    epsilon: float = Field(1e-5, gt=0, description="AdamW's epsilon. 1e-5: the paper's.")
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay, on matrices only. 0.1: the paper's.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm. 1.0: the paper's.")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay a step of the running average of the weights, which then is the model that is saved. 0: no average.",
    )
    device: Device = Field("auto", description="`auto` takes the GPU where there is one.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of the matrix products; weights and optimiser stay in float32. bfloat16 is for GPUs: CPUs without its units are ten times slower with it.",
    )
    activation_checkpointing: bool = Field(
        False,
        description="Keep only the input of each layer and compute the rest twice: less memory, a third more work.",
    )
    compile: bool = Field(
        False, description="Compile each layer with torch.compile. On the CPUs tried it does not help."
    )
    checkpoint_minutes: float = Field(10.0, gt=0, description="Minutes between checkpoints.")
    keep_checkpoint: bool = Field(
        False,
        description="Keep the last checkpoint of a complete run, so that `--resume` with a longer budget can go on with it.",
    )
    trackers: tuple[Literal["tensorboard", "trackio"], ...] = Field(
        (), description="Where the metrics go besides `metrics.jsonl`; each needs its package (extra `track`)."
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the data order and of dropout.")

    _tuples = list_to_tuple("trackers")

    @field_validator("budget")
    @classmethod
    def _budget_is_known(cls, value: str) -> str:
        Budget.parse(value)
        return value


class ValidationSection(Section):
    """What is measured during training, on the corpus's validation documents."""

    every_steps: int = Field(0, ge=0, description="Steps between two measurements; the last step has one too. 0: none.")
    num_documents: int = Field(100, ge=1, description="Validation documents, the first by `train.seed`'s order.")
    patience: int = Field(
        0,
        ge=0,
        description="Stop after so many measurements in a row without a lower loss, and keep the best weights. 0: never.",
    )


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of tokens, epochs or minutes of training time."""

    amount: float
    unit: BudgetUnit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `100_000 tokens`, `3 epochs` or `5 minutes`; seconds and hours become minutes.

        Raises:
            ValueError: the text is no such budget, or nothing is left to do in it.
        """
        written, name = _read_budget(text)
        times, unit = _UNITS[name]
        amount = written * times
        if not 0 < amount < 1e15 or (unit == "tokens" and amount < 1):
            raise ValueError(f"{text!r} leaves nothing to do: give a positive amount that a clock or a disk can hold")
        return cls(amount, unit)


def budget_in_words(text: str) -> str:
    """A budget in the unit that it is written in: `1 epoch`, `30 seconds`, `100,000 tokens`."""
    written, name = _read_budget(text)
    return f"{written:,.15g} {name.removesuffix('s') if written == 1 else name}"


def _read_budget(text: str) -> tuple[float, str]:
    """The amount and the name of its unit, in the plural.

    Raises:
        ValueError: the text is no budget.
    """
    match = _BUDGET.fullmatch(text)
    name = next((name for name in _UNITS if match and match[2] in (name, name[:-1])), None)
    if match is None or name is None:
        raise ValueError(
            f"{text!r} is no budget: write for example '100_000 tokens', '3 epochs', '5 minutes' or '30 seconds'"
        )
    return float(match[1].replace("_", "").replace(",", "")), name
