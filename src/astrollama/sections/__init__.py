"""The sections of a recipe: every setting with its type, its default and the reason for it."""

from astrollama.sections.base import MAX_SEED, Device, Section
from astrollama.sections.corpus import CardSection, CorpusSection, DayOrNone, MonthOrNone, SourceSection
from astrollama.sections.evaluation import ApiSection, EvaluateSection
from astrollama.sections.training import (
    EMBEDDINGS,
    Attention,
    Budget,
    BudgetUnit,
    EncoderSection,
    LoraSection,
    Method,
    ModelSection,
    Objective,
    PackSection,
    PairKind,
    ReplaySection,
    TrainSection,
    ValidationSection,
    budget_in_words,
)

__all__ = [
    "EMBEDDINGS",
    "MAX_SEED",
    "ApiSection",
    "Attention",
    "Budget",
    "BudgetUnit",
    "CardSection",
    "CorpusSection",
    "DayOrNone",
    "Device",
    "EncoderSection",
    "EvaluateSection",
    "LoraSection",
    "Method",
    "ModelSection",
    "MonthOrNone",
    "Objective",
    "PackSection",
    "PairKind",
    "ReplaySection",
    "Section",
    "SourceSection",
    "TrainSection",
    "ValidationSection",
    "budget_in_words",
]
