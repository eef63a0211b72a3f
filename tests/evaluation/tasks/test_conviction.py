from __future__ import annotations

import json
from pathlib import Path

import pytest

from astrollama.evaluation.continuations.openings import openings
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System
from astrollama.evaluation.task import Measurement, TaskResult
from astrollama.evaluation.tasks import conviction
from astrollama.sections import EvaluateSection
from tests.evaluation.generated import saying, tiny_system

pytestmark = pytest.mark.packaged_model  # MiniLM is fetched from the package registry

SETTINGS = EvaluateSection(num_conviction=6, temperatures=(1.0, 0.2), max_new_tokens=16, num_resamples=500)


@pytest.fixture(scope="module")
def data(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, seed=0)


def summarised(data: EvaluationData, *systems: System, settings: EvaluateSection = SETTINGS) -> TaskResult:
    measurements = {
        system.key: Measurement(json.loads(json.dumps(conviction.measure(system, data, settings).samples)))
        for system in systems
    }
    return conviction.summarise(measurements, data, settings, systems[0].key)


def test_a_model_against_itself_shows_no_difference(data: EvaluationData, tiny_model: Path) -> None:
    systems = tiny_system("adapted", tiny_model), tiny_system("base", tiny_model)
    result = summarised(data, *systems, settings=SETTINGS.model_copy(update={"max_new_tokens": 64}))
    assert {comparison.metric for comparison in result.comparisons} == set(result.infos)
    for comparison in result.comparisons:
        assert comparison.difference == 0
        assert comparison.ci95 == [0, 0]
        assert comparison.verdict == "undecided"
    curve, *_ = result.figures
    assert [len(series.x) for series in curve.series] == [2, 2]


def test_temperature_makes_a_model_more_varied(data: EvaluationData, tiny_model: Path) -> None:
    settings = SETTINGS.model_copy(update={"temperatures": (0.0, 1.0)})
    result = summarised(data, tiny_system("base", tiny_model), settings=settings)
    cold, hot = (row for row in result.tables[0].rows)
    assert cold[-1] == pytest.approx(0, abs=1e-5), "the likeliest token leaves no variety"
    assert hot[-1] > 0.1


def test_what_the_authors_wrote_has_conviction_and_nothing_new(data: EvaluationData) -> None:
    settings = SETTINGS.model_copy(update={"num_conviction": 1})
    truth = openings(data.test)[0].truth
    author = summarised(data, saying("author", truth), settings=settings).estimates["author"]
    assert author["conviction"].value == 1
    assert author["creativity"].value == pytest.approx(0, abs=1e-5)
    assert author["conviction"].ci95 is None, "one document has no interval"


def test_statements_that_invent_or_are_about_something_else_keep_to_nothing(data: EvaluationData) -> None:
    truth = openings(data.test)[0].truth
    invents = f"{conviction.statements_of(truth)[0].rstrip('.')} in NGC 9999 at 123.25 Mpc."
    strays = "My grandmother bakes bread on Sundays."
    settings = SETTINGS.model_copy(update={"num_conviction": 1})
    result = summarised(data, saying("invents", invents), saying("strays", strays), settings=settings)
    rows = {(row[0], row[1]): row[2:] for row in result.tables[0].rows}
    statements, kept, inventing, _, novelty, _ = rows["invents", 0.2]
    assert (kept, inventing) == (0, 1)
    assert statements == 2
    assert novelty > 0
    assert rows["strays", 0.2][:4] == [2, 0, 0, 1]


def test_a_system_that_says_nothing_has_no_conviction_to_speak_of(data: EvaluationData) -> None:
    result = summarised(data, saying("silent", ""), saying("speaking", "Stars shine."))
    assert "conviction" not in result.estimates["silent"]
    assert result.estimates["silent"]["creativity_at_0.2"].value == 0, "nothing is new, nothing varied"
    assert "conviction" not in {comparison.metric for comparison in result.comparisons}


def test_the_mean_is_the_area_under_the_curve(data: EvaluationData) -> None:
    settings = SETTINGS.model_copy(update={"temperatures": (0.0, 0.5, 2.0)})
    own = summarised(
        data, saying("one", "Stars shine.", "We bake bread.", "Galaxies turn."), settings=settings
    ).estimates["one"]
    cold, warm, hot = (own[f"creativity_at_{name}"].value for name in ("0", "0.5", "2"))
    assert own["creativity"].value == pytest.approx((0.5 * (cold + warm) / 2 + 1.5 * (warm + hot) / 2) / 2)
    assert own["creativity"].ci95 is not None


def test_a_single_temperature_is_its_own_mean(data: EvaluationData) -> None:
    settings = SETTINGS.model_copy(update={"temperatures": (0.3,)})
    own = summarised(data, saying("one", "Stars shine."), settings=settings).estimates["one"]
    assert own["conviction"].value == own["conviction_at_0.3"].value


def test_a_sentence_that_was_cut_says_nothing_yet() -> None:
    assert conviction.statements_of("One star. Two (bright) stars.") == ["One star.", "Two (bright) stars."]
    assert conviction.statements_of("One star. Two bri") == ["One star."]
    assert conviction.statements_of("Cut within the fir") == []
    assert conviction.statements_of("") == []


@pytest.mark.parametrize("before", [[], ["One star."]])
def test_a_sentence_without_an_end_counts_where_enough_of_it_is_whole(before: list[str]) -> None:
    ten = "We find that the disc of the galaxy has twice"
    assert conviction.statements_of(" ".join([*before, ten, "the ma"])) == [*before, f"{ten} the"]
    assert conviction.statements_of(" ".join([*before, ten, "th"])) == [*before, ten]
    assert conviction.statements_of(" ".join([*before, ten])) == before, "the last of ten words may be cut"


def test_the_limit_of_tokens_is_told(data: EvaluationData) -> None:
    for limit, told in ((16, 16), (1024, conviction.MAX_NEW_TOKENS)):
        settings = SETTINGS.model_copy(update={"max_new_tokens": limit})
        note, *_ = summarised(data, saying("one", "Stars shine."), settings=settings).notes
        assert f"up to {told} new tokens" in note


def test_nothing_to_do_is_told_beforehand(data: EvaluationData) -> None:
    assert conviction.missing(data, SETTINGS) is None
    nothing = SETTINGS.model_copy(update={"num_conviction": 0})
    assert conviction.missing(data, nothing) == "evaluate.num_conviction is 0"
