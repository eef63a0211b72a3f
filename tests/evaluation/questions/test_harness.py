"""Questions through lm-evaluation-harness: the prompts, and the harness's own model of the same weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from astrollama.backends.base import Scorer
from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import NetworkError, UnsupportedError
from astrollama.evaluation.data import EvaluationData
from astrollama.evaluation.questions.question_sets import QuestionSet, question_sets
from astrollama.evaluation.questions.questions import Form, Question
from astrollama.models.load import load_model
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import find_model
from astrollama.sections import EvaluateSection
from tests.evaluation.answering import KnownAnswers
from tests.test_real_data import SHARED

with quiet_libraries():
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

    from astrollama.evaluation.questions.harness import HarnessModel, log_likelihoods

STAR = Question("star", "night_sky", "test", "Which is a star?", ("Mars", "Vega", "Io"), (1,))
MOON = Question("moon", "night_sky", "dev", "Which are moons?", ("Io", "Rhea", "Sun", "Mars"), (0, 1))
# what a jinja template would take for one of its own
ODD = Question("odd", "night_sky", "test", "What is {{ 1 + 1 }}?", ("{{ x }}", "2"), (0,))
ASKED = QuestionSet("rest", "night_sky", "file", (STAR, ODD), (MOON,), 2)

NUM_PACKAGED_QUESTIONS = 20

CHOICE_ABOUT = "The following are multiple choice questions (with answers) about night sky.\n\n"
ANSWER_ABOUT = "The following are questions (with answers) about night sky.\n\n"


def prompts(form: Form, num_fewshot: int) -> list[tuple[str, str]]:
    scorer = KnownAnswers([STAR, ODD], 1.0, lambda question: True)
    log_likelihoods(HarnessModel(scorer), [ASKED], form, num_fewshot)  # type: ignore[arg-type]
    return scorer.pairs


def test_a_choice_is_asked_for_as_in_mmlu() -> None:
    prompt = f"{CHOICE_ABOUT}Which is a star?\nA. Mars\nB. Vega\nC. Io\nAnswer:"
    odd = f"{CHOICE_ABOUT}What is {{{{ 1 + 1 }}}}?\nA. {{{{ x }}}}\nB. 2\nAnswer:"
    assert prompts("choice", 0) == [*((prompt, f" {letter}") for letter in "ABC"), (odd, " A"), (odd, " B")]


def test_an_answer_is_asked_for_without_the_choices() -> None:
    prompt = f"{ANSWER_ABOUT}Question: Which is a star?\nAnswer:"
    assert prompts("answer", 0)[:3] == [(prompt, " Mars"), (prompt, " Vega"), (prompt, " Io")]


@pytest.mark.parametrize("num_fewshot", [1, 5])
def test_examples_stand_before_the_question_with_an_answer_that_is_right(num_fewshot: int) -> None:
    choice, answer = prompts("choice", num_fewshot)[0][0], prompts("answer", num_fewshot)[0][0]
    example = "Which are moons?\nA. Io\nB. Rhea\nC. Sun\nD. Mars\nAnswer: A\n\n"
    assert choice == f"{CHOICE_ABOUT}{example}Which is a star?\nA. Mars\nB. Vega\nC. Io\nAnswer:"
    example = "Question: Which are moons?\nAnswer: Io\n\n"
    assert answer == f"{ANSWER_ABOUT}{example}Question: Which is a star?\nAnswer:"


def test_the_harness_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    prompts("choice", 1)
    assert capsys.readouterr() == ("", "")


def test_nothing_is_written_and_nothing_fetched(tmp_path: Path) -> None:
    """In a process of its own, whose home is empty: a library decides where its cache is when it is imported."""
    program = """if True:
        import socket
        socket.socket.connect = None
        from tests.evaluation.questions.test_harness import prompts
        assert len(prompts("answer", 1)) == 5
    """
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=home, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.rglob("*")) == []


def test_what_the_harness_asks_of_a_model(tiny_model: Path, sample_texts: list[str]) -> None:
    scorer = HFLanguageModel(load_model(str(tiny_model)))
    model = HarnessModel(scorer)
    (likelihood,) = scorer.loglikelihood_rolling(sample_texts[:1])
    assert model.loglikelihood_rolling([request((sample_texts[0],))]) == [-likelihood.nll]
    (pair,) = scorer.loglikelihood([("Dust", " grains")])
    assert model.loglikelihood([request(("Dust", " grains"))]) == [(-pair.nll, pair.greedy)]
    with pytest.raises(UnsupportedError, match="1 requests to the harness generate text"):
        model.generate_until([request(("Dust", {}))])


def request(arguments: tuple[Any, ...]) -> Instance:
    return Instance(request_type="loglikelihood", doc={}, arguments=arguments, idx=0, metadata=("0", 0, 1))


@pytest.mark.parametrize("form", ["choice", "answer"])
@pytest.mark.parametrize(("num_fewshot", "num_questions"), [(0, 240), (5, 20)])
def test_a_tiny_model_answers_as_in_the_harness_s_own(
    form: Form, num_fewshot: int, num_questions: int, tiny_model: Path
) -> None:
    """With five examples some prompts are longer than its context of 512 tokens."""
    settings = EvaluateSection(num_builtin_questions=num_questions // 2)
    sets = question_sets(EvaluationData(Path(), seed=0), settings, ["builtin_astronomy", "builtin_general"])
    own, theirs = HFLanguageModel(load_model(str(tiny_model))), harness_s_own(tiny_model)
    assert compared(own, theirs, sets, form, num_fewshot) == num_questions


@pytest.mark.packaged_model
def test_the_packaged_model_answers_as_in_the_harness_s_own() -> None:
    try:
        folder = find_model("smollm2-135m").path
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    mmlu = SHARED / "qa" / "mmlu.jsonl.gz"
    data = EvaluationData(Path(), seed=0, questions=(mmlu,) if mmlu.is_file() else ())
    (astronomy,) = question_sets(data, EvaluateSection(), ["astronomy" if data.questions else "builtin_astronomy"])
    first = replace(astronomy, asked=astronomy.asked[:NUM_PACKAGED_QUESTIONS])
    own, theirs = HFLanguageModel(load_model("smollm2-135m")), harness_s_own(folder)
    for form in get_args(Form):
        assert compared(own, theirs, [first], form, num_fewshot=0) == NUM_PACKAGED_QUESTIONS


def harness_s_own(folder: Path) -> LM:
    with quiet_libraries():
        from lm_eval.models.huggingface import HFLM

        return HFLM(str(folder), device="cpu", dtype="float32", add_bos_token=True, batch_size=8)


def compared(own: Scorer, theirs: LM, sets: Sequence[QuestionSet], form: Form, num_fewshot: int) -> int:
    """How many questions both answered, which must be in the same way."""
    found, expected = (
        [values for of_set in log_likelihoods(model, sets, form, num_fewshot) for values in of_set]
        for model in (HarnessModel(own), theirs)
    )
    for own_C, their_C in zip(found, expected, strict=True):
        assert own_C == pytest.approx(their_C, abs=1e-3)
        assert np.argmax(own_C) == np.argmax(their_C)
    return len(found)
