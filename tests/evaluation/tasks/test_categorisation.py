import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from astrollama.backends.hf import HFLanguageModel
from astrollama.evaluation.categories.heads import load_head
from astrollama.evaluation.categories.zero_shot import category_probabilities, prompt_of
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.systems import System, SystemAbility
from astrollama.evaluation.task import Measurement
from astrollama.evaluation.tasks import categorisation
from astrollama.models.load import load_model
from astrollama.sections import EvaluateSection
from tests.evaluation.labelled import corpus_of, document, separable

SETTINGS = EvaluateSection(
    num_train_labelled=40, num_test_labelled=20, num_zero_shot=6, head_epochs=1, head_length=16, num_resamples=500
)
LOCAL: frozenset[SystemAbility] = frozenset({"score", "generate", "embed"})
MakeSystem = Callable[..., System]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("categorisation")


@pytest.fixture(scope="module")
def system(folder: Path, tiny_model: Path) -> MakeSystem:
    def make(key: str, abilities: frozenset[SystemAbility] = LOCAL) -> System:
        def load() -> HFLanguageModel:
            return HFLanguageModel(load_model(str(tiny_model)))

        return System(key, key, key, "other", abilities, key, folder / key, opener=load)

    return make


@pytest.fixture(scope="module")
def sample(sample_corpus: Path) -> EvaluationData:
    return EvaluationData(sample_corpus, seed=0)


@pytest.fixture(scope="module")
def measurements(sample: EvaluationData, system: MakeSystem) -> dict[str, Measurement]:
    """The tiny model twice, and the baselines."""
    systems = [system("adapted"), system("base"), *(system(key, frozenset({key})) for key in ("tfidf", "keywords"))]  # type: ignore[arg-type]
    return {own.key: measured(own, sample) for own in systems}


def measured(system: System, data: EvaluationData, settings: EvaluateSection = SETTINGS) -> Measurement:
    """Through JSON, as the runner keeps it."""
    assert categorisation.missing(data, settings) is None
    own = categorisation.measure(system, data, settings)
    return Measurement(json.loads(json.dumps(own.samples)), json.loads(json.dumps(own.details)))


def test_a_model_against_itself_shows_no_difference(
    sample: EvaluationData, measurements: dict[str, Measurement]
) -> None:
    result = categorisation.summarise(measurements, sample, SETTINGS, "adapted")
    itself = [own for own in result.comparisons if own.against == "base"]
    assert [own.metric for own in itself] == list(result.infos)
    assert all((own.difference, own.ci95, own.verdict) == (0, [0, 0], "undecided") for own in itself)
    assert {own.metric for own in result.comparisons if own.against == "keywords"} == {
        "macro_f1",
        "accuracy",
        "multi_macro_f1",
        "multi_subset_accuracy",
    }
    assert "full_macro_f1" in {own.metric for own in result.comparisons if own.against == "tfidf"}


def test_metrics_are_those_of_the_samples(sample: EvaluationData, measurements: dict[str, Measurement]) -> None:
    estimates = categorisation.summarise(measurements, sample, SETTINGS, "adapted").estimates
    for key, method, name in [
        ("tfidf", "words", "macro_f1"),
        ("tfidf", "full", "full_macro_f1"),
        ("keywords", "rules", "macro_f1"),
        ("base", "probe", "probe_macro_f1"),
        ("base", "head", "head_macro_f1"),
        ("base", "full", "full_macro_f1"),
        ("base", "zero_shot", "zero_shot_macro_f1"),
    ]:
        samples = [own for own in measurements[key].samples if method in own]
        truth, predicted = [own["label"] for own in samples], [own[method]["label"] for own in samples]
        expected = f1_score(truth, predicted, average="macro", labels=sorted(set(truth)), zero_division=0)
        assert estimates[key][name].value == pytest.approx(expected), name
        accuracy = estimates[key][name.replace("macro_f1", "accuracy")]
        assert accuracy.value == pytest.approx(accuracy_score(truth, predicted))
        assert accuracy.num_samples == (6 if method == "zero_shot" else 20)
        assert estimates[key][name].ci95 is not None
    main = measurements["base"].details["main"]
    assert estimates["base"]["macro_f1"].value == estimates["base"][f"{main}_macro_f1"].value


def test_the_method_that_counts_is_chosen_by_training_documents(measurements: dict[str, Measurement]) -> None:
    details = measurements["base"].details
    head = details["methods"]["head"]
    assert (head["num_train"], head["num_rest"]) == (32, 8)
    better = head["macro_f1_of_rest"] > head["macro_f1_of_rest_by_probe"]
    assert details["main"] == ("head" if better else "probe")


def test_all_categories_of_a_paper_count_for_the_multi_label_metrics(
    sample: EvaluationData, measurements: dict[str, Measurement]
) -> None:
    own = measurements["tfidf"]
    labels = own.details["labels"]
    truth, predicted = (
        np.array([[label in row for label in labels] for row in rows])
        for rows in ([s["labels"] for s in own.samples], [s["words"]["labels"] for s in own.samples])
    )
    assert truth.sum() > len(truth), "some are cross-listed"
    estimates = categorisation.summarise({"tfidf": own}, sample, SETTINGS, "adapted").estimates["tfidf"]
    expected = f1_score(truth[:, truth.any(0)], predicted[:, truth.any(0)], average="macro", zero_division=0)
    assert estimates["multi_macro_f1"].value == pytest.approx(expected)
    assert estimates["multi_subset_accuracy"].value == pytest.approx(accuracy_score(truth, predicted))


def test_the_report_shows_every_category_and_the_subjects_mistakes(
    sample: EvaluationData, measurements: dict[str, Measurement]
) -> None:
    result = categorisation.summarise(measurements, sample, SETTINGS, "adapted")
    assert [table.name for table in result.tables] == [f"categories_{key}" for key in measurements]
    for table in result.tables:
        assert sum(int(row[4] or 0) for row in table.rows) == 20
    bars, confusion = result.figures
    assert [list(series.x) for series in bars.series] == [
        ["linear probe", "fine-tuned head", "with words", "zero-shot"],
        ["linear probe", "fine-tuned head", "with words", "zero-shot"],
        ["words alone", "with words"],
        ["words alone"],
    ]
    assert sum(sum(series.y) for series in confusion.series) == 20
    assert any("the same 40 training abstracts" in note for note in result.notes)
    assert not any("Left out are" in note for note in result.notes)


def test_heads_are_kept_with_their_score(
    sample: EvaluationData, measurements: dict[str, Measurement], folder: Path
) -> None:
    estimates = categorisation.summarise(measurements, sample, SETTINGS, "adapted").estimates["base"]
    for kind, name in (("probe", "probe_macro_f1"), ("lora", "head_macro_f1"), ("words", "full_macro_f1")):
        head = load_head(folder / "base" / "heads" / kind)
        assert list(head.labels) == measurements["base"].details["labels"]
        assert head.measured == {
            "macro_f1": pytest.approx(estimates[name].value),
            "macro_f1_ci95": pytest.approx(estimates[name].ci95),
            "num_test": 20,
        }


def test_without_epochs_and_zero_shot_the_probe_is_all(
    sample: EvaluationData, system: MakeSystem, folder: Path
) -> None:
    settings = SETTINGS.model_copy(update={"head_epochs": 0, "num_zero_shot": 0})
    own = measured(system("plain"), sample, settings)
    assert set(own.samples[0]) == {"id", "label", "labels", "probe", "full"}
    assert own.details["main"] == "probe"
    encoder = measured(system("encoder", frozenset({"embed"})), sample, settings)
    assert encoder.samples == own.samples
    assert {path.name for path in (folder / "encoder" / "heads").iterdir()} == {"probe", "words"}


def test_a_model_has_the_words_of_tfidf_beside_its_best_method(
    sample: EvaluationData, measurements: dict[str, Measurement]
) -> None:
    details = measurements["base"].details
    own, words = details["methods"]["full"], measurements["tfidf"].details["methods"]["full"]
    assert (own["with"], own["num_words_train"]) == (details["main"], words["num_train"])
    for by_both, by_words in zip(measurements["base"].samples, measurements["tfidf"].samples, strict=True):
        agreed = by_both[details["main"]]["label"] == by_words["full"]["label"]
        assert not agreed or by_both["full"]["label"] == by_words["full"]["label"]


def test_a_scorer_that_cannot_embed_has_no_trained_method(sample: EvaluationData, system: MakeSystem) -> None:
    own = measured(system("scorer", frozenset({"score"})), sample)
    result = categorisation.summarise({"scorer": own}, sample, SETTINGS, "scorer")
    assert list(result.estimates["scorer"]) == ["zero_shot_macro_f1", "zero_shot_accuracy"]
    assert result.tables == []
    assert [figure.name for figure in result.figures] == ["macro_f1"]


def test_a_system_that_is_asked_nothing_has_no_numbers(sample: EvaluationData, system: MakeSystem) -> None:
    settings = SETTINGS.model_copy(update={"num_zero_shot": 0})
    own = measured(system("mute", frozenset({"score"})), sample, settings)
    result = categorisation.summarise({"mute": own}, sample, settings, "mute")
    assert (result.estimates, result.figures[0].series) == ({"mute": {}}, [])


def test_baselines_learn_what_can_be_told_apart(tmp_path: Path, system: MakeSystem) -> None:
    data = corpus_of(tmp_path / "corpus", separable(30, 0), separable(12, 1))
    own = measured(system("words", frozenset({"tfidf"})), data)
    assert all(sample["label"] == sample["words"]["label"] == sample["full"]["label"] for sample in own.samples)
    assert all(sample["words"]["probability"] > 0.5 for sample in own.samples)


@pytest.mark.parametrize("ability", ["tfidf", "embed", "keywords"])
def test_one_document_of_a_category_and_none_of_another_are_enough(
    ability: SystemAbility, tmp_path: Path, system: MakeSystem
) -> None:
    train = [*separable(10, 0)[::3], document(98, "gas dust galaxy", "astro-ph.GA"), document(99, "old", "astro-ph")]
    data = corpus_of(tmp_path / "corpus", train, separable(9, 1)[::3] + separable(9, 2)[1:2])
    own = measured(system(f"few {ability}", frozenset({ability})), data)
    assert own.details["labels"] == ["astro-ph.CO", "astro-ph.GA"]
    assert (own.details["num_train_without_label"], own.details["num_test_without_label"]) == (1, 0)
    result = categorisation.summarise({"few": own}, data, SETTINGS, "few")
    assert any("Left out are 1 training and 0 held-out abstracts" in note for note in result.notes)
    assert result.estimates["few"]["macro_f1"].num_samples == 4
    assert result.estimates["few"]["macro_f1"].ci95 is None, "four documents are too few"


def test_a_category_without_held_out_documents_is_told(tmp_path: Path, system: MakeSystem) -> None:
    held_out = [own for own in separable(18, 1) if own.primary_category != "astro-ph.SR"]
    data = corpus_of(tmp_path / "corpus", separable(30, 0), held_out)
    own = measured(system("absent", frozenset({"tfidf"})), data)
    result = categorisation.summarise({"absent": own}, data, SETTINGS, "absent")
    assert "No held-out abstract that was drawn has astro-ph.SR; macro-F1 is over the others." in result.notes
    assert result.estimates["absent"]["macro_f1"].value == 1
    assert result.tables[0].rows[2][1:] == [None, None, None, 0]


def test_another_field_has_its_own_categories_and_no_rules(tmp_path: Path, system: MakeSystem) -> None:
    train = [document(n, f"string {n}", ("hep-th", "cs.CL")[n % 2]) for n in range(50)]
    data = corpus_of(tmp_path / "corpus", train, train[:6])
    own = measured(system("rules elsewhere", frozenset({"keywords"})), data)
    words = measured(system("words elsewhere", frozenset({"tfidf"})), data)
    assert words.details["labels"] == ["cs.CL", "hep-th"]
    result = categorisation.summarise({"rules": own, "words": words}, data, SETTINGS, "rules")
    assert list(result.estimates) == ["words"]
    assert "rules is left out: there are keyword rules for the categories of astro-ph only." in result.notes


@pytest.mark.parametrize(
    ("categories", "held_out", "message"),
    [
        (["astro-ph.CO"], "astro-ph.CO", "fewer than two categories"),
        (["astro-ph", "gr-qc"], "astro-ph", "fewer than two categories"),
        (
            ["astro-ph.CO", "astro-ph.GA"],
            "gr-qc",
            "no held-out document has one of the categories astro-ph.CO, astro-ph.GA",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_missing(
    categories: list[str], held_out: str, message: str, tmp_path: Path
) -> None:
    train = [document(number, "text", category) for number, category in enumerate(categories)]
    data = corpus_of(tmp_path / "corpus", train, [document(9, "text", held_out)])
    assert message in (categorisation.missing(data, SETTINGS) or "")


def test_zero_shot_probabilities_are_calibrated_by_prompts_without_content(tiny_model: Path) -> None:
    model = HFLanguageModel(load_model(str(tiny_model)))
    labels = ["astro-ph.CO", "astro-ph.GA", "cs.CL"]
    names = [" Cosmology and Nongalactic Astrophysics", " Astrophysics of Galaxies", " cs.CL"]

    def softmax_of(text: str) -> np.ndarray:
        likelihoods = model.loglikelihood([(prompt_of(text, labels), name) for name in names])
        weights_C = np.exp([-own.nll / own.num_tokens for own in likelihoods])
        return np.asarray(weights_C / weights_C.sum())

    text = "We observe " + "galaxies " * 200
    prior_C = np.mean([softmax_of(empty) for empty in ("N/A", "[MASK]", "")], axis=0)
    expected_C = softmax_of(text) / prior_C
    found_NC = category_probabilities(model, [text], labels)
    assert found_NC == pytest.approx(expected_C[None] / expected_C.sum(), rel=1e-4)
    assert prompt_of(text, labels).count("galaxies ") == 147 + 1, "150 words of the text; one in a description"
