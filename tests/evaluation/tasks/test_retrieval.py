import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from astrollama.backends.base import Ability
from astrollama.backends.hf import HFLanguageModel
from astrollama.corpus.store import read_documents
from astrollama.errors import SourceError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.intervals import MIN_SAMPLES_FOR_INTERVAL
from astrollama.evaluation.retrieval.subtasks import subtasks
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import retrieval
from astrollama.models.load import load_model
from astrollama.models.pooling import Pooling
from astrollama.sections import EvaluateSection

Write = Callable[..., Path]
SETTINGS = EvaluateSection(num_embeddings=12, num_title_queries=10, num_half_queries=8, num_citing=5, num_resamples=200)


class Hashed:
    """Counts of hashed words: a real, deterministic encoder."""

    name = "hashed words"
    digest = None
    abilities: frozenset[Ability] = frozenset({"embed"})

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        counts = HashingVectorizer(n_features=512, alternate_sign=False, norm=None).transform(texts)
        return np.asarray(counts.toarray(), dtype=np.float32)


class Constant(Hashed):
    """The same vector for every text, but for rounding."""

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        noise = 1e-7 * np.random.default_rng(len(texts)).normal(size=(len(texts), 8))
        return (1 + noise).astype(np.float32)


@pytest.fixture(scope="module")
def data(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> EvaluationData:
    """With citations of held-out papers and training papers."""
    held_out = [document.id for document in read_documents(sample_corpus / "test.parquet")]
    trained = [document.id for document in read_documents(sample_corpus / "train.parquet")]
    lines = [
        {"id": held_out[0], "refs": [trained[0], trained[1]]},
        {"id": held_out[1], "refs": [held_out[0], "9999.99999"]},
        {"id": trained[2], "refs": [trained[3]]},
    ]
    path = tmp_path_factory.mktemp("citations") / "citations.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return EvaluationData(sample_corpus, 0, citations=path, trained_on=frozenset(trained))


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., System]:
    def make(key: str, model: object = None) -> System:
        abilities = frozenset({"embed"}) if model else frozenset({key})
        return System(key, key, key, "other", abilities, key, tmp_path / key, opener=lambda: model)

    return make


def measured(system: System, data: EvaluationData, settings: EvaluateSection = SETTINGS) -> Measurement:
    """Through JSON, as the runner keeps it."""
    own = retrieval.measure(system, data, settings)
    return Measurement(json.loads(json.dumps(own.samples)), json.loads(json.dumps(own.details)))


def test_a_system_against_itself_shows_no_difference(
    data: EvaluationData, system: Callable[..., System], tiny_model: Path
) -> None:
    model = HFLanguageModel(load_model(str(tiny_model), "cpu"))
    measurements = {key: measured(system(key, model), data) for key in ("adapted", "base")}
    measurements |= {key: measured(system(key), data) for key in ("bm25", "tfidf")}
    result = retrieval.summarise(measurements, data, SETTINGS, "adapted")
    itself = [comparison for comparison in result.comparisons if comparison.against == "base"]
    assert [comparison.metric for comparison in itself] == list(result.infos)
    assert all((own.difference, own.verdict) == (0, "undecided") for own in itself)
    others = [comparison for comparison in result.comparisons if comparison.against == "bm25"]
    assert any(own.verdict == "worse" for own in others), "random weights search worse than words"


def test_metrics_by_subtask_and_only_those_that_a_pool_is_large_enough_for(
    data: EvaluationData, system: Callable[..., System]
) -> None:
    result = retrieval.summarise({"bm25": measured(system("bm25"), data)}, data, SETTINGS, "adapted")
    assert result.primary_metric == "title_ndcg_at_10"
    shared = ("ndcg_at_10", "mrr", "recall_at_1")
    assert list(result.infos) == [
        *(f"title_{metric}" for metric in (*shared, "recall_at_10")),
        *(f"half_{metric}" for metric in shared),
        *(f"citation_{metric}" for metric in shared),
        *(f"title_fused_{metric}" for metric in (*shared, "recall_at_10")),
        *(f"half_fused_{metric}" for metric in shared),
        *(f"citation_fused_{metric}" for metric in shared),
    ], "12, 8 and 6 candidates"
    estimates = result.estimates["bm25"]
    assert list(estimates) == list(result.infos)
    assert [estimates[f"{name}_mrr"].num_samples for name in ("title", "half", "citation")] == [10, 8, 3]
    assert estimates["title_recall_at_1"].value > 0.5
    assert result.details["num_candidates"] == {"title": 12, "half": 8, "citation": 6}


def test_values_are_those_of_the_ranks(data: EvaluationData, system: Callable[..., System]) -> None:
    measurement = measured(system("words", Hashed()), data)
    ranks = [sample["ranks"]["raw"][0] for sample in measurement.samples if sample["subtask"] == "title"]
    estimates = retrieval.summarise({"words": measurement}, data, SETTINGS, "words").estimates["words"]
    assert max(ranks) > 1
    assert estimates["title_mrr"].value == pytest.approx(np.mean([1 / rank for rank in ranks]))
    assert estimates["title_recall_at_1"].value == pytest.approx(np.mean([rank == 1 for rank in ranks]))
    expected = np.mean([1 / np.log2(1 + rank) if rank <= 10 else 0 for rank in ranks])
    assert estimates["title_ndcg_at_10"].value == pytest.approx(expected)


def test_a_constant_encoder_finds_nothing(data: EvaluationData, system: Callable[..., System]) -> None:
    measurement = measured(system("constant", Constant()), data)
    for sample in measurement.samples:
        num_candidates = {"title": 12, "half": 8, "citation": 5}[sample["subtask"]]
        own = sample["ranks"]["raw"]
        assert own == list(range(num_candidates - len(own) + 1, num_candidates + 1))
    estimates = retrieval.summarise({"constant": measurement}, data, SETTINGS, "constant").estimates["constant"]
    assert [own.value for name, own in estimates.items() if name.endswith("recall_at_1") and "fused" not in name] == [
        0,
        0,
        0,
    ]


def test_encoders_have_their_variants_in_the_tables_and_words_have_none(
    data: EvaluationData, system: Callable[..., System]
) -> None:
    measurements = {"words": measured(system("words", Hashed()), data), "tfidf": measured(system("tfidf"), data)}
    result = retrieval.summarise(measurements, data, SETTINGS, "words")
    assert [table.name for table in result.tables] == ["title", "half", "citation"]
    for table in result.tables:
        assert [row[:2] for row in table.rows] == [
            *(["words", variant] for variant in ("raw", "centred", "whitened", "top removed", "fused")),
            ["tfidf", "raw"],
        ]
        assert {len(row) for row in table.rows} == {len(table.columns)}
    (figure,) = result.figures
    assert [series.x for series in figure.series] == [["title to abstract", "first half to second half"]] * 2, (
        "three citing papers are too few for an interval"
    )


def test_the_notes_tell_what_was_seen_in_training(data: EvaluationData, system: Callable[..., System]) -> None:
    measurements = {"bm25": measured(system("bm25"), data)}
    notes = " ".join(retrieval.summarise(measurements, data, SETTINGS, "bm25").notes)
    assert "Seen in training: 4 of 6 citing and cited papers, by the models compared: what it gains" in notes
    assert "drawn from 3 that have a reference in the corpus; 1 references" in notes
    unknown = replace(data, trained_on=frozenset())
    notes = " ".join(retrieval.summarise(measurements, unknown, SETTINGS, "bm25").notes)
    assert "Seen in training: how many of the citing and cited papers were is not known." in notes


@pytest.mark.parametrize("records", [[{"refs": ["9999.99999"]}], [{"refs": ["sample:0013", "sample:0164"]}]])
def test_citations_that_leave_nothing_to_choose_leave_that_subtask_out_and_say_so(
    data: EvaluationData, system: Callable[..., System], write_jsonl: Write, records: list[dict[str, object]]
) -> None:
    held_out = [document.id for document in data.test]
    elsewhere = replace(data, citations=write_jsonl(*(record | {"id": held_out[0]} for record in records)))
    result = retrieval.summarise({"bm25": measured(system("bm25"), elsewhere)}, elsewhere, SETTINGS, "bm25")
    assert not any(name.startswith("citation") for name in result.infos)
    assert "Too few papers of papers.jsonl are in the corpus with their references to look for these." in result.notes


def test_a_damaged_file_of_citations_is_told_before_anything_is_measured(
    data: EvaluationData, write_jsonl: Write
) -> None:
    with pytest.raises(SourceError, match="line 1: no id of a citing paper"):
        retrieval.missing(replace(data, citations=write_jsonl({"refs": []})), SETTINGS)


def test_citations_are_checked_also_where_they_are_not_looked_for_and_that_is_told(
    data: EvaluationData, system: Callable[..., System], write_jsonl: Write
) -> None:
    none = SETTINGS.model_copy(update={"num_citing": 0})
    with pytest.raises(SourceError, match="line 1"):
        retrieval.missing(replace(data, citations=write_jsonl({"refs": []})), none)
    notes = retrieval.summarise({"bm25": measured(system("bm25"), data, none)}, data, none, "bm25").notes
    assert "The citations of citations.jsonl are not looked for: evaluate.num_citing is 0." in notes


def test_a_paper_is_not_among_its_own_results(data: EvaluationData) -> None:
    citation = subtasks(data, SETTINGS)[-1]
    assert citation.name == "citation"
    assert [citation.pool_ids[own] for (own,) in citation.excluded] == citation.ids
    assert all(not set(gold) & set(own) for gold, own in zip(citation.gold, citation.excluded, strict=True))


def test_titles_are_looked_for_among_the_texts_that_the_embeddings_task_embeds(data: EvaluationData) -> None:
    title = subtasks(data, SETTINGS)[0]
    assert title.pool == [document.text for document in data.test[:12]]
    assert [title.pool_ids[place] for (place,) in title.gold] == title.ids
    untitled = replace(data)
    untitled.__dict__["test"] = [replace(document, title=" ") for document in data.test[:1]] + data.test[1:]
    assert subtasks(untitled, SETTINGS)[0].ids == [document.id for document in data.test[1:11]]


@pytest.mark.parametrize("num_documents", [2, 3, MIN_SAMPLES_FOR_INTERVAL])
@pytest.mark.parametrize("model", [Hashed(), None])
def test_few_documents_are_enough(
    data: EvaluationData, system: Callable[..., System], num_documents: int, model: object
) -> None:
    few = replace(data, citations=None)
    few.__dict__["test"] = data.test[:num_documents]
    result = retrieval.summarise(
        {"adapted": measured(system("adapted" if model else "tfidf", model), few)}, few, SETTINGS, "adapted"
    )
    estimate = result.estimates["adapted"]["title_ndcg_at_10"]
    assert estimate.num_samples == num_documents
    assert (estimate.ci95 is None) == (num_documents < MIN_SAMPLES_FOR_INTERVAL)


def test_without_queries_the_task_is_left_out_with_the_reason(data: EvaluationData) -> None:
    nothing = SETTINGS.model_copy(update={"num_title_queries": 0, "num_half_queries": 0, "num_citing": 0})
    assert retrieval.missing(data, SETTINGS) is None
    assert "nothing to look for" in (retrieval.missing(data, nothing) or "")


def test_further_candidates_are_papers_that_are_not_held_out(data: EvaluationData) -> None:
    few, more, all_ = (
        next(
            own
            for own in subtasks(data, SETTINGS.model_copy(update={"num_distractors": number}))
            if own.name == "title"
        )
        for number in (0, 7, 10**6)
    )
    held_out = {document.id for document in data.test}
    assert more.queries == few.queries == all_.queries
    assert more.pool[: len(few.pool)] == few.pool
    assert len(more.pool) == len(few.pool) + 7
    assert held_out.isdisjoint(more.pool_ids[len(few.pool) :])
    assert len(all_.pool) == len(few.pool) + len(data.not_held_out)
    assert len(set(all_.pool_ids)) == len(all_.pool_ids)


def test_a_ranking_is_fused_with_that_of_words(data: EvaluationData, system: Callable[..., System]) -> None:
    measurements = {
        "adapted": measured(system("adapted", Constant()), data),
        "bm25": measured(system("bm25"), data),
        "tfidf": measured(system("tfidf"), data),
    }
    result = retrieval.summarise(measurements, data, SETTINGS, "adapted")
    own, words = result.estimates["adapted"], result.estimates["bm25"]
    assert own["title_ndcg_at_10"].value < 0.5
    assert own["title_fused_ndcg_at_10"].value == pytest.approx(words["title_ndcg_at_10"].value, abs=0.2)
    assert words["title_fused_ndcg_at_10"].value == words["title_ndcg_at_10"].value
    assert "title_fused_ndcg_at_10" not in result.estimates["tfidf"]
    assert ("title_fused_ndcg_at_10", "bm25") in {(c.metric, c.against) for c in result.comparisons}
