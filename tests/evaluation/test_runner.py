"""The runner with tiny models: what is measured is kept, extended and never measured twice; what must not be compared is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.evaluation.report.schema import Report
from astrollama.evaluation.tasks import calibration, perplexity
from tests.conftest import make_tiny_model, tiny_recipe
from tests.models.test_merge import make_trained

FEW = {"num_documents": 8, "num_calibration": 6, "num_resamples": 200, "packed_length": 64}


@pytest.fixture(scope="module")
def third_tiny_model(tmp_path_factory: pytest.TempPathFactory, sample_texts: list[str]) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("third") / "third-llama", sample_texts, seed=2)


def command(
    model: Path, base: Path, corpus: Path, out: Path, *more: str, tasks: str = "perplexity,calibration"
) -> list[str]:
    settings = [part for key, value in FEW.items() for part in ("--set", f"evaluate.{key}={value}")]
    given = ["--corpus", corpus, "--base", base, "--out", out, "--tasks", tasks]
    return ["evaluate", str(model), *map(str, given), *settings, *more]


def report_of(out: Path) -> dict:  # type: ignore[type-arg]
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    Report.model_validate(report)
    return report


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="module")
def out(
    other_tiny_model: Path, tiny_model: Path, sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    assert run(command(other_tiny_model, tiny_model, sample_corpus, folder)) == 0
    return folder


def test_every_task_tells_of_every_system(out: Path) -> None:
    report = report_of(out)
    assert [system["key"] for system in report["systems"]] == ["adapted", "base"]
    assert list(report["tasks"]) == ["perplexity", "calibration"]
    for task in report["tasks"].values():
        assert set(task["systems"]) == {"adapted", "base"}
        for system in task["systems"].values():
            value = system["metrics"][task["primary_metric"]]
            low, high = value["ci95"]
            assert low <= value["value"] <= high
        assert {comparison["against"] for comparison in task["comparisons"]} == {"base"}
    assert report["seconds"] > 0
    assert report["leak"] is None


def test_each_sample_is_on_disk(out: Path) -> None:
    lines = (out / "measurements" / "adapted" / "perplexity.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == FEW["num_documents"] == report_of(out)["num_documents"]
    assert report_of(out)["num_tokens"] == sum(json.loads(line)["num_tokens"] for line in lines)


def test_a_second_time_nothing_is_done(
    out: Path, other_tiny_model: Path, tiny_model: Path, sample_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run(command(other_tiny_model, tiny_model, sample_corpus, out)) == 0
    assert "the evaluation is already there" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_other_settings_are_refused(
    out: Path, other_tiny_model: Path, tiny_model: Path, sample_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(other_tiny_model, tiny_model, sample_corpus, out, "--set", "evaluate.seed=3")) == 2
    assert "holds another run (settings.seed is 0, now 3)" in capsys.readouterr().err


def test_a_crash_loses_one_measurement_at_most(
    other_tiny_model: Path, tiny_model: Path, sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    ordinary = calibration.measure
    with monkeypatch.context() as patch:

        def fail_for_the_base(system, data, settings):  # type: ignore[no-untyped-def]
            if system.key == "base":
                raise KeyboardInterrupt
            return ordinary(system, data, settings)

        patch.setattr(calibration, "measure", fail_for_the_base)
        assert run(command(other_tiny_model, tiny_model, sample_corpus, out)) == 130
    assert not (out / "report.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (out / "measurements").rglob("*.json*")}
    assert {path.name for path in kept} == {
        "perplexity.json",
        "perplexity.jsonl",
        "calibration.json",
        "calibration.jsonl",
    }
    assert run(command(other_tiny_model, tiny_model, sample_corpus, out)) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert set(report_of(out)["tasks"]["calibration"]["systems"]) == {"adapted", "base"}


def test_more_tasks_and_systems_add_to_what_is_there(
    other_tiny_model: Path,
    tiny_model: Path,
    third_tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert run(command(other_tiny_model, tiny_model, sample_corpus, out, tasks="perplexity")) == 0
    assert "held-out documents: 1 task\n" in capsys.readouterr().err
    alone = report_of(out)["tasks"]["perplexity"]["systems"]
    measured: list[str] = []
    ordinary = perplexity.measure
    monkeypatch.setattr(
        perplexity, "measure", lambda system, *rest: measured.append(system.key) or ordinary(system, *rest)
    )
    more = command(
        other_tiny_model, tiny_model, sample_corpus, out, "--with", str(third_tiny_model), tasks="calibration"
    )
    assert run(more) == 0
    assert "held-out documents: 1 task, and 1 task of earlier commands\n" in capsys.readouterr().err
    assert measured == ["third-llama"]
    together = report_of(out)["tasks"]["perplexity"]["systems"]
    assert {key: together[key] for key in alone} == alone
    assert set(together) == {*alone, "third-llama"}


def test_fewer_tasks_take_nothing_away(
    other_tiny_model: Path,
    tiny_model: Path,
    third_tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert run(command(other_tiny_model, tiny_model, sample_corpus, out, "--with", str(third_tiny_model))) == 0
    before = report_of(out)
    assert run(command(other_tiny_model, tiny_model, sample_corpus, out, tasks="perplexity")) == 0
    assert "the evaluation is already there" in capsys.readouterr().err
    assert report_of(out) == before


def test_a_further_model_that_cannot_do_a_task_costs_that_task_alone(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    shutil.copytree(tiny_model, short)
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 32}))
    out = tmp_path / "out"
    assert run(command(tiny_model, tiny_model, sample_corpus, out, "--with", str(short))) == 0
    tasks = report_of(out)["tasks"]
    left_out = tasks["perplexity"]["systems"]["short"]["left_out"]
    assert "pieces of 64 tokens are longer than the context" in left_out
    assert tasks["calibration"]["systems"]["short"]["left_out"] is None
    assert set(tasks["perplexity"]["systems"]) == {"adapted", "base", "short"}


@pytest.mark.usefixtures("no_key")
def test_what_was_paid_for_is_shown_without_the_key(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astrollama.evaluation.data import EvaluationData
    from astrollama.evaluation.measuring import measure_all
    from astrollama.evaluation.systems import System
    from astrollama.evaluation.task import Measurement
    from astrollama.sections import EvaluateSection

    data, settings = EvaluationData(sample_corpus, 0), EvaluateSection()
    paid = System("gpt", "gpt", "openai:gpt", "other", frozenset({"score"}), "gpt", tmp_path)
    monkeypatch.setattr(calibration, "measure", lambda *_: Measurement([{"id": "a", "text": "one\u2028line\x85"}]))
    first = measure_all([calibration], [paid], data, settings, {})  # type: ignore[list-item]
    paid.unavailable = "no key"
    again = measure_all([calibration], [paid], data, settings, {})  # type: ignore[list-item]
    assert again.kept == first.kept
    assert again.kept["calibration"]["gpt"].measurement.samples[0]["text"] == "one\u2028line\x85"


def test_a_model_against_itself_shows_no_difference(tiny_model: Path, sample_corpus: Path, tmp_path: Path) -> None:
    assert run(command(tiny_model, tiny_model, sample_corpus, tmp_path / "out")) == 0
    comparisons = [one for task in report_of(tmp_path / "out")["tasks"].values() for one in task["comparisons"]]
    assert len(comparisons) >= 4
    for comparison in comparisons:
        assert comparison["difference"] == 0
        assert comparison["ci95"] == [0, 0]
        assert comparison["verdict"] == "undecided"


def test_documents_that_a_run_was_trained_on_are_refused(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astrollama.corpus.build import import_corpus
    from astrollama.models.load import load_tokenizer
    from astrollama.sections import CorpusSection
    from astrollama.sources.files import FileSource
    from astrollama.sources.sample import SAMPLE
    from astrollama.tokens.shards import pack_corpus
    from astrollama.training.run import train

    pack_corpus(sample_corpus, load_tokenizer(tiny_model), str(tiny_model), tmp_path / "tokens")
    recipe = tiny_recipe(tiny_model, 'train.budget="600 tokens"')
    train(recipe, tmp_path / "tokens", tmp_path / "run", resume=False)
    import_corpus(FileSource([SAMPLE]), CorpusSection(test_fraction=0.5), tmp_path / "leaky")
    for model in (tmp_path / "run", tmp_path / "run" / "model"):
        out = tmp_path / "out"
        assert run(command(model, tiny_model, tmp_path / "leaky", out)) == 2
        assert "was trained on" in capsys.readouterr().err
        assert not out.exists()
    assert run(command(tiny_model, tmp_path / "run", tmp_path / "leaky", tmp_path / "out")) == 2
    assert "was trained on" in capsys.readouterr().err


@pytest.mark.usefixtures("no_key")
def test_a_missing_key_is_an_empty_column_that_says_so(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(command(tiny_model, tiny_model, sample_corpus, out, "--with", "gpt-4", tasks="perplexity")) == 0
    report = report_of(out)
    (gpt,) = [system for system in report["systems"] if system["key"] == "gpt-4"]
    assert "OPENAI_API_KEY" in gpt["unavailable"]
    assert report["tasks"]["perplexity"]["systems"]["gpt-4"]["metrics"] == {}
    assert "OPENAI_API_KEY" in (out / "report.html").read_text(encoding="utf-8")
    assert "OPENAI_API_KEY" in capsys.readouterr().out


def test_what_a_system_cannot_do_is_left_out_with_the_reason(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-asked")
    out = tmp_path / "out"
    assert run(command(tiny_model, tiny_model, sample_corpus, out, "--with", "gpt-4", tasks="perplexity")) == 0
    left_out = report_of(out)["tasks"]["perplexity"]["systems"]["gpt-4"]["left_out"]
    assert left_out == "gpt-4 cannot tell how likely a text is"


def test_an_api_that_cannot_be_reached_is_one_line(
    tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    more = ["--with", "openai:absent", "--set", 'api.base_url="http://127.0.0.1:9/v1"']
    more += ["--set", "api.prices={absent = [0.0, 0.0]}", "--set", "evaluate.num_completions=2"]
    assert run(command(tiny_model, tiny_model, sample_corpus, tmp_path / "out", *more, tasks="completion")) == 1
    error = capsys.readouterr().err
    assert "127.0.0.1:9" in error.splitlines()[-1]
    assert "secret" not in error


def test_an_unknown_task_is_told_what_was_meant(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(tiny_model, tiny_model, sample_corpus, tmp_path / "out", tasks="perplexty")) == 2
    assert "did you mean perplexity?" in capsys.readouterr().err


def test_the_base_is_not_measured_twice(
    other_tiny_model: Path,
    tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    again = shutil.copytree(tiny_model, tmp_path / "copied")
    more = ["--with", str(tiny_model), "--with", str(again)]
    arguments = command(other_tiny_model, tiny_model, sample_corpus, tmp_path / "out", *more, tasks="perplexity")
    assert run(arguments) == 0
    assert [system["key"] for system in report_of(tmp_path / "out")["systems"]] == ["adapted", "base"]
    told = [line for line in capsys.readouterr().err.splitlines() if "is compared already" in line]
    assert len(told) == 2
    assert all("is tiny-llama (base), which" in line for line in told)
    assert run(arguments) == 0
    assert "the evaluation is already there" in capsys.readouterr().err


def test_a_changed_measurement_is_refused_and_a_deleted_one_made_again(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tiny_model, tiny_model, sample_corpus, tmp_path / "out", tasks="perplexity")
    assert run(arguments) == 0
    samples = tmp_path / "out" / "measurements" / "base" / "perplexity.jsonl"
    before = samples.read_bytes()
    samples.write_bytes(before.replace(b'"nll": ', b'"nll": 1', 1))
    assert run(arguments) == 2
    assert "base/perplexity.jsonl was changed since it was measured" in capsys.readouterr().err
    assert (tmp_path / "out" / "manifest.json").is_file(), "nothing was done"
    samples.unlink()
    assert run(arguments) == 0
    assert samples.read_bytes() == before
    capsys.readouterr()
    assert run(arguments) == 0
    assert "the evaluation is already there" in capsys.readouterr().err


@pytest.mark.usefixtures("no_key")
def test_an_earlier_system_that_cannot_be_used_any_more_is_left_out(
    tiny_model: Path,
    third_tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = shutil.copytree(third_tiny_model, tmp_path / "gone")
    plain = command(tiny_model, tiny_model, sample_corpus, tmp_path / "out", tasks="perplexity")
    assert run([*plain, "--with", "gpt-4", "--with", str(gone)]) == 0
    assert [system["key"] for system in report_of(tmp_path / "out")["systems"]][2:] == ["gpt-4", "gone"]
    shutil.rmtree(gone)
    elsewhere = ["--set", 'api.base_url="http://127.0.0.1:9/v1"']
    assert run([*plain, *elsewhere, "--with", "gpt-4"]) == 2, "what this very command names is no memory"
    capsys.readouterr()
    assert run([*plain, *elsewhere]) == 0
    told = capsys.readouterr().err
    assert "gpt-4, which an earlier command named, is left out: the price of gpt-4 is known at OpenAI alone" in told
    assert f"{gone}, which an earlier command named, is left out: there is no model" in told
    assert [system["key"] for system in report_of(tmp_path / "out")["systems"]] == ["adapted", "base"]
    assert run([*plain, *elsewhere]) == 0
    assert "earlier command" not in capsys.readouterr().err


@pytest.fixture
def encoder(tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter that is taken for an encoder which sees both ways."""
    folder = make_trained(tiny_model, tmp_path / "encoder", "lora")
    (folder / "encoder.json").write_text('{"pooling": "mean", "attention": "bidirectional", "num_layers": 2}')
    return folder


def test_tasks_that_the_model_itself_cannot_do_are_left_out_and_told(
    encoder: Path, tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--set", "evaluate.num_title_queries=12", "--set", "evaluate.num_half_queries=0"]
    words = command(encoder, tiny_model, sample_corpus, tmp_path / "out", *few, tasks="perplexity,retrieval")
    assert run(words) == 0
    reason = "encoder cannot tell how likely a text is"
    assert f"perplexity is left out: {reason}" in capsys.readouterr().err
    report = report_of(tmp_path / "out")
    assert list(report["tasks"]) == ["retrieval"]
    assert report["tasks_left_out"] == {"perplexity": reason}
    assert not list((tmp_path / "out").rglob("perplexity.jsonl")), "the base alone would be compared with nothing"


def test_tasks_of_which_the_model_can_do_none_are_refused(
    encoder: Path, tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(encoder, tiny_model, sample_corpus, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: the task perplexity is not for this model: encoder cannot tell how likely a text is"
    )
    assert error.endswith("give --tasks embeddings,retrieval,categorisation\n")
    assert not (tmp_path / "out").exists()
