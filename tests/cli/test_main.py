"""The command line as a user meets it: exit codes, one-line errors, nothing heavy before it is needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from astrollama.cli.main import run
from astrollama.sources.sample import SAMPLE

ASTROLLAMA = [sys.executable, "-m", "astrollama.cli"]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that an error is."""
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize("words", [[], ["train"], ["corpus", "import"], ["model", "pull"]], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys
from astrollama.cli.main import run
assert run({[*words, "--help"]!r}) == 0
heavy = {{"torch", "transformers", "numpy", "pyarrow", "matplotlib", "huggingface_hub", "datasketch"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: astrollama" in done.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from astrollama import __version__

    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"astrollama {__version__}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'? see astrollama --help"),
        (["train"], "Missing argument 'recipe': see astrollama train --help"),
        (["train", "demo", "--tokens", "x", "--out", "y", "--fast"], "No such option: --fast"),
        (
            ["complete", "x", "--temperature", "hot"],
            "Invalid value for '--temperature': 'hot' should be a valid number",
        ),
        (["complete", "x", "--temperature", "inf"], "'--temperature': 'inf' should be less than or equal to 100: see"),
        (["complete", "x", "--temperature", "-1"], "'--temperature': '-1' should be greater than or equal to 0: see"),
        (["complete", "x", "--max-new-tokens", "0"], "'--max-new-tokens': '0' should be greater than or equal to 1"),
        (
            ["complete", "x", "--seed", "5000000000"],
            "'--seed': '5000000000' should be less than or equal to 4294967295",
        ),
        (["complete", "x", "--model", "minilm"], "minilm makes vectors alone: name a language model, or for vectors"),
        (["export", "x", "--out", "y", "--format", "pt"], "'--format': 'pt' is not one of 'hf', 'adapter', 'gguf'"),
        (["results", "/nowhere", "--out", "r.md"], "error: there is no /nowhere: check the path"),
        (["complete", "  "], "the text to continue is empty"),
        (["corpus", "stats", "/nowhere"], "/nowhere is not a directory"),
        (["pack", "/nowhere", "--out", "y", "--model", "gpt-5"], "there is no model 'gpt-5'"),
        (["train", "nowhere.toml", "--tokens", "x", "--out", "y"], "there is no recipe nowhere.toml"),
        (["train", "demo", "--tokens", "/nowhere", "--out", "y"], "/nowhere is not a directory"),
        (["evaluate", "run", "--corpus", "x", "--out", "y", "--tasks", "poetry"], "there is no task 'poetry'"),
        (["demo", "--minutes", "-1"], "train.budget"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert message in error_line(capsys)


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["corpus", "stats", "/nowhere", "--debug"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "error: /nowhere is not a directory" in error


def test_a_mistake_of_ours_is_one_line_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import astrollama.models.registry

    monkeypatch.setattr(astrollama.models.registry, "list_models", lambda: 1 / 0)
    assert run(["model", "list"]) == 1
    assert "unexpected ZeroDivisionError: division by zero: this is a mistake of ours" in error_line(capsys)


def test_import_pack_and_stats_speak_json(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, tokens = str(tmp_path / "corpus"), str(tmp_path / "tokens")
    assert run(["corpus", "import", str(SAMPLE), "--out", corpus, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert counts["records"] == counts["train"] + counts["validation"] + counts["test"] == 240
    assert run(["pack", corpus, "--out", tokens, "--model", str(tiny_model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["documents"] == counts["train"]
    assert run(["corpus", "stats", corpus, "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["total"]["papers"] == 240
    assert Path(stats["plot"]).stat().st_size > 10_000


def test_a_damaged_kept_report_is_no_reason_to_delete_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "results"
    kept.mkdir()
    (kept / "one.json").write_text('{"schema_version": ', encoding="utf-8")
    assert run(["results", "--out", str(tmp_path / "results.md")]) == 2
    message = error_line(capsys)
    assert f"{kept / 'one.json'} cannot be read" in message
    assert "restore it, or move it away" in message
    assert "delete" not in message


def test_white_space_at_the_end_of_a_prompt_is_left_out(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for text in ("a\tstar", "a\tstar\n\n \t"):
        assert run(["complete", text, "--model", str(tiny_model), "--max-new-tokens", "5", "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert told[0]["text"] == "a\tstar"


def test_the_base_of_an_adapter_is_shown_without_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "show", "astrosmol-135m"]) == 0
    shown = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.replace("base digest", "base_digest").splitlines()
    )
    assert shown["base"] == "smollm2-135m"
    assert len(shown["base_digest"]) == 64


def test_skipped_records_are_counted_and_kept(
    tmp_path: Path, write_jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = SAMPLE.read_bytes().splitlines()
    path = write_jsonl(
        *lines[:20], b'{"id": "x", "abstract": ', *lines[20:40], b"\xff\xfe", json.loads(lines[41]) | {"abstract": None}
    )
    out = str(tmp_path / "corpus")
    assert run(["corpus", "import", str(path), "--out", out]) == 2
    assert "papers.jsonl, record 21: broken json" in error_line(capsys)
    assert not Path(out).exists()
    assert run(["corpus", "import", str(path), "--out", out, "--on-error", "skip"]) == 0
    assert "1 broken_json, 1 no_abstract, 1 not_utf8" in capsys.readouterr().out


def test_ctrl_c_during_an_import_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    record = json.loads(SAMPLE.read_bytes().splitlines()[0])
    with path.open("w") as file:
        for number in range(30_000):
            file.write(json.dumps(record | {"id": str(number), "abstract": f"{record['abstract']} {number}"}) + "\n")
    out = tmp_path / "corpus"
    process = subprocess.Popen(
        [*ASTROLLAMA, "corpus", "import", str(path), "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not out.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    # a shell says 130 to both: Python ends itself by the signal if it came in the middle of an import
    assert process.returncode in (130, -signal.SIGINT)
    assert error.strip().splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in error
    assert not out.exists()


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{' '.join(ASTROLLAMA)} corpus sample | true"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
