"""The sections of a recipe: every setting with its type, its default and the reason for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Attention = Literal["document", "packed"]
Device = Literal["auto", "cpu", "cuda"]
BudgetUnit = Literal["tokens", "epochs", "minutes"]
Method = Literal["full", "lora", "qlora"]

MAX_SEED = 2**32 - 1
_BUDGET = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)\s*")


def _written(value: object) -> object:
    """TOML has days of its own; they are as good as text."""
    return value.isoformat() if isinstance(value, date) else value


def _check_day(value: str) -> str:
    if value and not _is_day(value):
        raise ValueError(f"{value!r} is no day: write it as YYYY-MM-DD")
    return value


def _check_month(value: str) -> str:
    if value and not _is_day(f"{value}-01"):
        raise ValueError(f"{value!r} is no month: write it as YYYY-MM")
    return value


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


DayOrNone = Annotated[str, BeforeValidator(_written), AfterValidator(_check_day)]
MonthOrNone = Annotated[str, AfterValidator(_check_month)]


class Section(BaseModel):
    """Unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _list_to_tuple(*fields: str) -> Any:
    """TOML has lists only; what is frozen holds tuples."""

    def convert(value: object) -> object:
        if isinstance(value, str):
            raise ValueError(f'{value!r} is one text: write a list, ["{value}"]')  # noqa: TRY004 — pydantic's way
        return tuple(value) if isinstance(value, list) else value

    return field_validator(*fields, mode="before")(convert)


class ModelSection(Section):
    """The model to start from."""

    base: str = Field(
        "smollm2-135m",
        min_length=1,
        description="A name of `astrollama model list`, a Hugging Face id, a folder or a GGUF file.",
    )


class SourceSection(Section):
    """Where the papers of `corpus build` come from; files given on the command line stand in for it."""

    kind: Literal["harvest", "files"] = Field(
        "harvest", description="`harvest`: from an OAI-PMH server. `files`: from `source.paths`."
    )
    url: str = Field("https://oaipmh.arxiv.org/oai", min_length=1, description="The OAI-PMH server. arXiv's.")
    set: str = Field("physics:astro-ph", min_length=1, description="The set to harvest; arXiv's are archives.")
    format: Literal["arXiv", "arXivRaw"] = Field(
        "arXiv", description="The metadata format. `arXivRaw` has the history of versions, and is larger."
    )
    from_date: DayOrNone = Field(
        "", description="Take records that changed on this day or later (`YYYY-MM-DD`). Empty: from the first."
    )
    until_date: DayOrNone = Field(
        "", description="Take records that changed on this day or before. Empty: up to the last."
    )
    contact: str = Field("", description="A mail address to send with each request, for the server's keepers.")
    delay: float = Field(3.0, ge=0, description="Seconds between two requests. 3: what arXiv asks for.")
    paths: tuple[str, ...] = Field((), description="Files and folders of papers, for `kind = 'files'`.")

    _tuples = _list_to_tuple("paths")


class CorpusSection(Section):
    """How papers become a corpus."""

    text_field: str = Field(
        "abstract",
        min_length=1,
        description="The field of a record that becomes the document's text: `text` for what `corpus latex` wrote.",
    )
    categories: tuple[str, ...] = Field(
        (),
        description="Archives or categories to take (`astro-ph`, `cs.CL`), by any category of a paper. Empty: all papers.",
    )
    from_month: MonthOrNone = Field(
        "", description="Take papers submitted in this month or later (`YYYY-MM`). Empty: from the first."
    )
    until_month: MonthOrNone = Field(
        "", description="Take papers submitted in this month or before. Empty: up to the last."
    )
    min_words: int = Field(
        20,
        ge=1,
        description="Texts with fewer words are dropped. 20: of 53,374 abstracts 29 lie below, mostly announcements.",
    )
    min_prose_ratio: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Least share of letters among the characters outside maths. 0.6: of 53,374 abstracts one lies below (a text without spaces), the next has 0.69.",
    )
    near_duplicate_threshold: float = Field(
        0.5,
        ge=0.4,
        le=1,
        description="Estimated Jaccard similarity of word 2-grams from which two texts are the same. 0.5: see docs/benchmarks.md; below it more and more pairs are missed: 6 % at 0.4.",
    )
    benchmarks: tuple[str, ...] = Field(
        (),
        description="Files of questions (JSONL) or texts (.txt, a paragraph an item), also .gz: training documents that share text with them are left out.",
    )
    ngram_words: int = Field(
        13, ge=8, le=50, description="Words in a row that count as shared text. 13: as in Brown et al. 2020 (GPT-3)."
    )
    held_out_overlap: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Share of the words of a training document, or of a held-out paper, in n-grams that both have, from which the document is left out. 0.2: below lie names of telescopes and surveys.",
    )
    split: Literal["date", "months", "random"] = Field(
        "date",
        description="Hold out the newest whole months (`date`), all from given months on (`months`), or a random share as the paper did (`random`).",
    )
    test_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of the documents to hold out for the test: by date at least so many, at random each with this probability.",
    )
    validation_fraction: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="Share of the documents to hold out for validation, apart from the test; likewise.",
    )
    test_from: MonthOrNone = Field("", description="First month (`YYYY-MM`) of the test, for `months`.")
    validation_from: MonthOrNone = Field(
        "", description="First month of the validation, which ends where the test begins."
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the MinHash permutations and of the random split.")

    _tuples = _list_to_tuple("categories", "benchmarks")

    @property
    def needs_dates(self) -> bool:
        """Whether a paper without a date has no place."""
        return self.split != "random" or bool(self.from_month or self.until_month)

    @model_validator(mode="after")
    def _split_is_told(self) -> Self:
        if self.split == "months" and not "" < self.validation_from < self.test_from:
            raise ValueError(
                f"corpus.split = 'months' needs corpus.validation_from before corpus.test_from, not {self.validation_from!r} and {self.test_from!r}"
            )
        if self.split != "months" and (self.validation_from or self.test_from):
            raise ValueError("corpus.test_from and corpus.validation_from have no effect: set corpus.split = 'months'")
        if self.until_month and self.until_month < self.from_month:
            raise ValueError(
                f"corpus.from_month = {self.from_month!r} lies after corpus.until_month = {self.until_month!r}: set the earlier first"
            )
        if self.benchmarks and self.min_words < self.ngram_words:
            raise ValueError(
                f"texts of corpus.min_words = {self.min_words} words could not be compared with corpus.benchmarks: set it to corpus.ngram_words = {self.ngram_words} at least"
            )
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("corpus.test_fraction and corpus.validation_fraction leave nothing to train on")
        return self


class CardSection(Section):
    """What the card of a corpus says that its data do not."""

    title: str = Field("A corpus of papers", min_length=1, description="The data set's name.")
    description: str = Field("", description="What it is, in a paragraph.")
    language: str = Field("en", min_length=2, description="ISO 639-1 code of the texts' language.")
    licence: str = Field("other", min_length=1, description="The Hugging Face hub's name of the data's licence.")
    tags: tuple[str, ...] = Field((), description="Words by which the data set is found on a hub.")
    citation: str = Field("", description="How to cite it.")

    _tuples = _list_to_tuple("tags")


class PackSection(Section):
    """How documents become sequences."""

    sequence_length: int = Field(512, ge=16, description="Tokens a sequence. 512: the paper's.")
    attention: Attention = Field(
        "document",
        description="`document`: no token sees another document and positions restart. `packed`: one stream cut into pieces, as the paper did.",
    )


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
        description="The linear layers that get an update. All linear layers of a block.",
    )

    _tuples = _list_to_tuple("targets")


class ReplaySection(Section):
    """General text among the corpus's, so that the model does not forget (Ibrahim et al. 2024, arXiv:2403.08763)."""

    share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the predicted tokens that are general text, from the tokens given with `--replay`. 0: none.",
    )


class TrainSection(Section):
    """The training run."""

    method: Method = Field(
        "full",
        description="Train every weight, a low-rank adapter (`lora`), or one on a base in 4 bits (`qlora`, GPU).",
    )
    budget: str = Field(
        "1 epochs",
        description="How long: `100_000 tokens`, `3 epochs` or `5 minutes`. The schedule spans exactly this; epochs are of the corpus, tokens are of all, and the run ends with the first step that reaches it.",
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

    _tuples = _list_to_tuple("trackers")

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


class EvaluateSection(Section):
    """What is measured after training."""

    num_documents: int = Field(
        200,
        ge=2,
        description="Held-out documents, drawn at random with `seed`. 200: 100 gave an interval 2.3 points wide.",
    )
    num_completions: int = Field(4, ge=0, description="Held-out abstracts that both models continue.")
    max_new_tokens: int = Field(120, ge=1, description="Tokens a completion. The paper allowed 1,024.")
    temperature: float = Field(
        0.3, ge=0, description="Of the sampling; below 0.01 the likeliest token is taken. 0.3: the paper's."
    )
    num_resamples: int = Field(10_000, ge=100, description="Bootstrap resamples an interval.")
    device: Device = Field("auto", description="`auto` takes the GPU where there is one.")
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Seed of the choice of documents, of the sampling and of the bootstrap."
    )


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of tokens, epochs or minutes of training time."""

    amount: float
    unit: BudgetUnit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `100_000 tokens`, `3 epochs` or `5 minutes`.

        Raises:
            ValueError: the text is no such budget, or nothing is left to do in it.
        """
        match = _BUDGET.fullmatch(text)
        units = get_args(BudgetUnit)
        unit = next((u for u in units if match and match[2] in (u, u[:-1])), None)
        if match is None or unit is None:
            raise ValueError(f"{text!r} is no budget: write for example '100_000 tokens', '3 epochs' or '5 minutes'")
        amount = float(match[1].replace("_", "").replace(",", ""))
        if not 0 < amount < 1e15 or (unit == "tokens" and amount < 1):
            raise ValueError(f"{text!r} leaves nothing to do: give a positive amount that a clock or a disk can hold")
        return cls(amount, unit)
