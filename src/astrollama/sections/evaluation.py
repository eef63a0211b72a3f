"""What is measured, and on which APIs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from astrollama.sections.base import MAX_SEED, Device, Section, list_to_tuple

NonNegative = Annotated[float, Field(ge=0)]


class ApiSection(Section):
    """Models behind the OpenAI protocol; the key is read from the environment, `OPENAI_API_KEY`."""

    base_url: str = Field("", description="Where the API is; empty for `OPENAI_BASE_URL`, or OpenAI's own.")
    max_cost: float = Field(
        1.0, ge=0, description="US dollars that new answers may cost in all; checked before each call."
    )
    prices: dict[str, tuple[NonNegative, NonNegative]] = Field(
        {},
        description="US dollars a million tokens read and written, by model, for example `{my-model = [0.5, 1.5]}`; without it what is known of the model.",
    )
    workers: int = Field(4, ge=1, le=64, description="Calls at once.")

    @field_validator("prices", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: tuple(own) if isinstance(own, list) else own for name, own in value.items()}


class EvaluateSection(Section):
    """What is measured. The amounts are for two cores and 135 million parameters; an interval narrows as their square root."""

    num_documents: int = Field(
        120,
        ge=2,
        description="Held-out documents for perplexity, drawn at random with `seed`. 100 gave an interval 1.6 points wide.",
    )
    packed_length: int = Field(
        512, ge=8, description="Tokens a piece of the packed perplexity. 512: the paper's (recalled)."
    )
    num_calibration: int = Field(
        60, ge=2, description="Held-out documents for the calibration of next-token probabilities."
    )
    num_choices: int = Field(80, ge=0, description="Held-out abstracts whose true continuation is chosen among four.")
    num_completions: int = Field(16, ge=0, description="Held-out abstracts that every system continues.")
    num_repeats: int = Field(
        2, ge=1, description="Times that each is continued, for the agreement among repeated samples."
    )
    max_new_tokens: int = Field(120, ge=1, description="Tokens a completion. The paper allowed 1,024.")
    temperature: float = Field(
        0.3, ge=0, description="Of the sampling; below 0.01 the likeliest token is taken. 0.3: the paper's."
    )
    published: bool = Field(
        False,
        description="Use the paper's settings: 1,024 new tokens, temperature 0.3, 10,000 abstracts embedded, packed pieces of 512.",
    )
    num_embeddings: int = Field(
        300,
        ge=2,
        description="Held-out abstracts whose embeddings are compared with each other. The paper took 10,000: 85 minutes a model on two cores.",
    )
    num_poolings: int = Field(
        60,
        ge=0,
        description="Of these, how many are embedded by the last token and by echo as well; 0 leaves both out.",
    )
    num_title_queries: int = Field(
        300, ge=0, description="Titles whose abstract is looked for among all embedded abstracts."
    )
    num_distractors: int = Field(
        0,
        ge=0,
        description="Further candidates for titles: abstracts that are not held out; more than there are takes all.",
    )
    fused_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the cosine where it is fused with BM25's score. The more candidates, the less it should be.",
    )
    num_half_queries: int = Field(
        100, ge=0, description="Abstracts whose second half is looked for by their first half."
    )
    num_citing: int = Field(30, ge=0, description="Citing papers whose references are looked for, with `--citations`.")
    num_train_labelled: int = Field(
        300,
        ge=2,
        description="Training abstracts that a linear probe or a head learns categories from; TF-IDF and MiniLM learn from them too.",
    )
    num_words_labelled: int = Field(
        1_000_000,
        ge=2,
        description="Training abstracts that words are taught by where they stand beside a model's vectors; more than there are takes all.",
    )
    num_test_labelled: int = Field(200, ge=2, description="Held-out abstracts that are put into categories.")
    num_zero_shot: int = Field(60, ge=0, description="Of these, how many by likelihood alone.")
    head_epochs: int = Field(1, ge=0, description="Epochs of training a head with LoRA; 0 leaves it out.")
    head_length: int = Field(96, ge=8, description="Tokens of an abstract that the head reads: the first.")
    head_lr: float = Field(5e-4, gt=0, description="Peak learning rate of the head.")
    head_rank: int = Field(8, ge=1, description="Rank of the head's low-rank layers; alpha is twice of it.")
    head_embeddings: bool = Field(
        False, description="Let the head change embeddings too: with few layers and thousands of labels."
    )
    num_builtin_questions: int = Field(
        120,
        ge=1,
        description="Built-in elementary questions of astronomy, and as many general ones; there are 120 each.",
    )
    num_astronomy_questions: int = Field(
        1_000, ge=1, description="Questions of the subject astronomy in files, at most. MMLU has 152."
    )
    num_subjects: int = Field(
        1_000, ge=1, description="Subjects of a file besides astronomy, at most, drawn at random. MMLU has 56."
    )
    num_questions: int = Field(5, ge=1, description="Questions of any other subject in files, at most.")
    num_fewshot: int = Field(
        0,
        ge=0,
        le=25,
        description="Examples before each question, taken from the file's `dev` part. MMLU is mostly reported with 5.",
    )
    num_general_tokens: int = Field(
        20000, ge=100, description="Tokens of general text whose perplexity tells what was forgotten."
    )
    num_conviction: int = Field(8, ge=0, description="Held-out abstracts continued at each temperature.")
    temperatures: tuple[NonNegative, ...] = Field(
        (0.1, 0.4, 0.7, 1.0, 1.3), min_length=1, description="Of the curve of conviction against creativity."
    )
    num_resamples: int = Field(
        10_000, ge=100, description="Bootstrap resamples an interval; a tenth of it where each resample takes long."
    )
    device: Device = Field("auto", description="`auto` takes the GPU where there is one.")
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Seed of the choice of documents, of the sampling and of the bootstrap."
    )

    _tuples = list_to_tuple("temperatures")
