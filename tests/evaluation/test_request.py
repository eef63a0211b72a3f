"""What is asked for: amounts beside a quick look, and mistakes that are told before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.corpus.store import read_documents
from astrollama.evaluation import candidates
from tests.evaluation.test_runner import command, report_of


def test_what_the_command_sets_stands_in_a_quick_look(tiny_model: Path, sample_corpus: Path, tmp_path: Path) -> None:
    arguments = command(tiny_model, tiny_model, sample_corpus, tmp_path / "out", "--quick", tasks="perplexity")
    assert run([*arguments, "--set", "evaluate.num_documents=11"]) == 0
    report = report_of(tmp_path / "out")
    assert report["num_documents"] == report["settings"]["num_documents"] == 11
    assert report["settings"]["num_choices"] == 6, "what is not set is what a quick look takes"
    assert report["quick"]["note"] == "A quick look."


def test_a_recipes_amounts_do_not_stand_in_a_quick_look(tiny_model: Path, sample_corpus: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", str(tiny_model), "--base", str(tiny_model), "--corpus", str(sample_corpus)]
    arguments += ["--out", str(tmp_path / "out"), "--tasks", "perplexity", "--recipe", "demo", "--quick"]
    assert run([*arguments, "--set", "evaluate={num_resamples=200}"]) == 0
    settings = report_of(tmp_path / "out")["settings"]
    assert (settings["num_documents"], settings["num_completions"], settings["num_resamples"]) == (8, 6, 200)


def test_a_quick_look_says_what_it_leaves_out(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    citations = tmp_path / "citations.jsonl"
    citations.write_text('{"id": "2301.00001", "refs": ["1807.06209"]}\n')
    more = ["--quick", "--citations", str(citations)]
    out = tmp_path / "out"
    assert run(command(tiny_model, tiny_model, sample_corpus, out, *more, tasks="conviction,perplexity")) == 0
    told = capsys.readouterr()
    reason = "--quick leaves it out; --set evaluate.num_conviction=8 keeps it"
    assert report_of(out)["tasks_left_out"] == {"conviction": reason}
    assert f"conviction was left out: {reason}" in told.out
    assert "--citations has no effect: no task that is asked for reads it" in told.err


@pytest.mark.packaged_model
def test_a_quick_look_looks_for_citations_where_the_command_sets_how_many(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    papers = [document.id for document in read_documents(sample_corpus / "train.parquet")]
    citations = tmp_path / "citations.jsonl"
    citations.write_text("".join(f'{{"id": "{papers[i]}", "refs": ["{papers[i + 1]}"]}}\n' for i in range(3)))
    plain = ["evaluate", str(tiny_model), "--base", str(tiny_model), "--corpus", str(sample_corpus), "--quick"]
    plain += ["--tasks", "retrieval", "--citations", str(citations)]
    assert run([*plain, "--out", str(tmp_path / "none")]) == 0
    reason = "--quick leaves it out; --set evaluate.num_citing=30 keeps it"
    assert f"--citations has no effect: {reason}" in capsys.readouterr().err
    assert "Left out: citations." in report_of(tmp_path / "none")["quick"]["note"]
    assert run([*plain, "--out", str(tmp_path / "some"), "--set", "evaluate.num_citing=2"]) == 0
    assert "has no effect" not in capsys.readouterr().err
    systems = report_of(tmp_path / "some")["tasks"]["retrieval"]["systems"]
    assert systems["adapted"]["metrics"]["citation_ndcg_at_10"]["num_samples"] == 2


@pytest.mark.parametrize("content", [None, "", "{}\n", "{"], ids=["missing", "empty", "no references", "broken"])
def test_a_file_of_citations_is_checked_before_anything_else(
    content: str | None,
    tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(candidates, "model_digest", pytest.fail)
    citations = tmp_path / "citations.jsonl"
    if content is not None:
        citations.write_text(content)
    more = ["--quick", "--citations", str(citations)]
    assert run(command(tiny_model, tiny_model, sample_corpus, tmp_path / "out", *more, tasks="retrieval")) == 2
    assert str(citations) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--with", "gpt4"], "there is no model 'gpt4': did you mean gpt-4?"),
        (["--with", "smollm2-135n"], "did you mean smollm2-135m?"),
        (["--with", "openai:x", "--set", "api.base_url=nowhere"], "the API's base URL 'nowhere' cannot be used"),
        (["--with", "openai:x"], "the price of x is not known"),
        (["--base", "nothing-here"], "there is no model 'nothing-here'"),
        (["--out", "full"], "is not empty and holds no run of this stage"),
        (["--out", "full/notes.txt"], "is a file"),
    ],
)
def test_mistakes_are_told_before_weights_are_read(
    more: list[str],
    told: str,
    tiny_model: Path,
    sample_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(candidates, "model_digest", pytest.fail)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    assert run([*command(tiny_model, tiny_model, sample_corpus, tmp_path / "out"), *more]) == 2
    assert told in capsys.readouterr().err


def test_a_base_alone_is_told_how_it_can_be_measured(
    tiny_model: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(tiny_model), "--corpus", str(sample_corpus), "--out", str(tmp_path / "out")]
    assert run(arguments) == 2
    assert f"a model that is a base itself is shown beside others by --base {tiny_model}" in capsys.readouterr().err
