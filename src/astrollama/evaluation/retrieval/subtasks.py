"""What is looked for by what in the retrieval task."""

from __future__ import annotations

from dataclasses import dataclass, field

from astrollama.corpus.sentences import halves
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.retrieval.citations import citation_gold
from astrollama.sections import EvaluateSection

SUBTASKS = {
    "title": "title to abstract",
    "half": "first half to second half",
    "citation": "abstract to references",
}


@dataclass(frozen=True)
class Subtask:
    """Queries, and texts among which each has right ones.

    Attributes:
        ids: of the papers that the Q queries are taken from.
        pool: the P texts that are ranked for each query.
        pool_ids: of the papers that these are taken from.
        gold: of each query the places in the pool of the right ones, one at least.
        excluded: of each query the places of those that are no candidates: the paper itself.
        about: numbers for the report.
    """

    name: str
    ids: list[str]
    queries: list[str]
    pool: list[str]
    pool_ids: list[str]
    gold: list[list[int]]
    excluded: list[list[int]]
    about: dict[str, int] = field(default_factory=dict)


def subtasks(data: EvaluationData, settings: EvaluateSection) -> list[Subtask]:
    """Those that have a query, and for each a candidate that is not right.

    Raises:
        SourceError: the file of citations is damaged.
    """
    found = [title_to_abstract(data, settings), first_to_second_half(data, settings)]
    if data.citations is not None and settings.num_citing:
        found.append(abstract_to_references(data, settings))
    return [subtask for subtask in found if subtask.queries and _has_wrong_ones(subtask)]


def title_to_abstract(data: EvaluationData, settings: EvaluateSection) -> Subtask:
    """Titles among the abstracts that the embeddings task embeds, and further ones of papers that are not held out.

    Held-out documents without a title ask nothing.
    """
    held_out = data.test[: settings.num_embeddings]
    further = data.not_held_out[: settings.num_distractors] if settings.num_distractors else []
    pool = [*held_out, *further]
    titled = [place for place, document in enumerate(held_out) if document.title.strip()][: settings.num_title_queries]
    return Subtask(
        name="title",
        ids=[pool[place].id for place in titled],
        queries=[pool[place].title for place in titled],
        pool=[document.text for document in pool],
        pool_ids=[document.id for document in pool],
        gold=[[place] for place in titled],
        excluded=[[] for _ in titled],
        about={"num_not_held_out": len(further)},
    )


def first_to_second_half(data: EvaluationData, settings: EvaluateSection) -> Subtask:
    """First halves of abstracts among the second halves of the same; texts of one word are left out."""
    documents = data.test[: settings.num_half_queries]
    divided = [(document.id, parts) for document in documents if (parts := halves(document.text))]
    ids = [document_id for document_id, _ in divided]
    return Subtask(
        name="half",
        ids=ids,
        queries=[first for _, (first, _) in divided],
        pool=[second for _, (_, second) in divided],
        pool_ids=ids,
        gold=[[place] for place in range(len(divided))],
        excluded=[[] for _ in divided],
    )


def abstract_to_references(data: EvaluationData, settings: EvaluateSection) -> Subtask:
    """Abstracts of citing papers among those of all their references and of the other citing papers.

    There are no further candidates: most papers of the gold were trained on, and papers that were not would be told apart
    by that alone.
    """
    assert data.citations is not None
    gold = citation_gold(data.citations, data, settings.num_citing)
    return Subtask(
        name="citation",
        ids=[gold.ids[place] for place in gold.queries],
        queries=[gold.texts[place] for place in gold.queries],
        pool=gold.texts,
        pool_ids=gold.ids,
        gold=gold.gold,
        excluded=[[place] for place in gold.queries],
        about={"num_citing": gold.num_citing, "num_absent": gold.num_absent},
    )


def _has_wrong_ones(subtask: Subtask) -> bool:
    return len(subtask.pool) > max(
        len(gold) + len(excluded) for gold, excluded in zip(subtask.gold, subtask.excluded, strict=True)
    )
