"""Where papers come from, and how they become a corpus."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from astrollama.sections.base import MAX_SEED, Section, list_to_tuple


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

    _tuples = list_to_tuple("paths")


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

    _tuples = list_to_tuple("categories", "benchmarks")

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

    _tuples = list_to_tuple("tags")
