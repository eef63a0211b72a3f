"""Whether questions are answered as by lm-evaluation-harness alone: `python benchmarks/harness_agreement.py --questions FILE`.

Every question of a subject, its examples too, is asked through the harness twice: with this project's model behind it, and
with the harness's own `hf` model of the same weights (float32, CPU, BOS before the prompt). Exits with 1 where one question
is answered differently.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from astrollama.backends.hf import HFLanguageModel
from astrollama.evaluation.questions.question_sets import QuestionSet, group_of
from astrollama.evaluation.questions.questions import Form, builtin_questions, read_questions
from astrollama.models.load import load_model
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import find_model
from astrollama.provenance import hardware

with quiet_libraries():
    from lm_eval.models.huggingface import HFLM

    from astrollama.evaluation.questions.harness import HarnessModel, log_likelihoods


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--questions", type=Path, help="JSON lines, such as MMLU; without it the built-in questions")
    parser.add_argument("--subject", default="astronomy")
    parser.add_argument("--fewshot", type=int, default=0, help="examples before each question")
    options = parser.parse_args()
    sets = [questions_of(options.questions, options.subject)]
    own = HarnessModel(HFLanguageModel(load_model(options.model)))
    with quiet_libraries():
        folder = str(find_model(options.model).path)
        theirs = HFLM(folder, device="cpu", dtype="float32", add_bos_token=True, batch_size=8)
    result = {}
    for form in get_args(Form):
        (found,), own_seconds = timed(own, sets, form, options.fewshot)
        (expected,), their_seconds = timed(theirs, sets, form, options.fewshot)
        pairs = list(zip(found, expected, strict=True))
        result[form] = {
            "questions": len(pairs),
            "answered_alike": sum(int(np.argmax(one) == np.argmax(other)) for one, other in pairs),
            "largest_difference_nats": max(float(np.abs(np.subtract(*pair)).max()) for pair in pairs),
            "right": sum(int(np.argmax(one)) in q.right for one, q in zip(found, sets[0].asked, strict=True)),
            "seconds": round(own_seconds, 1),
            "harness_s_own_seconds": round(their_seconds, 1),
        }
    print(json.dumps({"model": options.model, "subject": options.subject, **result, "hardware": hardware()}, indent=2))
    sys.exit(any(own["answered_alike"] != own["questions"] for own in result.values()))


def questions_of(path: Path | None, subject: str) -> QuestionSet:
    questions = read_questions(path) if path else builtin_questions(subject)
    own = [question for question in questions if question.subject == subject]
    asked = tuple(replace(question, split="test") for question in own)
    examples = tuple(question for question in own if question.split == "dev")
    return QuestionSet(group_of(subject), subject, path.name if path else "", asked, examples, len(asked))


def timed(model, sets, form, num_fewshot):  # type: ignore[no-untyped-def]
    started = time.monotonic()
    return log_likelihoods(model, sets, form, num_fewshot), time.monotonic() - started


if __name__ == "__main__":
    main()
