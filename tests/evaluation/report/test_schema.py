"""What `report.json` holds is what its schema and its reference page say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from astrollama.evaluation.figures import Table
from astrollama.evaluation.intervals import Estimate
from astrollama.evaluation.report import plain_json, task_json
from astrollama.evaluation.report.schema import Report
from astrollama.evaluation.task import Comparison, MetricInfo, TaskResult
from tests.evaluation.report.fakes import PAPER, fake_report

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return fake_report(leak={"num_documents": 3, "text": "three"}, quick={"note": "few"}, paper=PAPER)


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report_page", REFERENCE / "report_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_report_is_strict_json_and_comes_back_the_same(report: dict[str, Any]) -> None:
    text = json.dumps(report, allow_nan=False)
    assert Report.model_validate_json(text).model_dump(mode="json") == json.loads(text)


@pytest.mark.parametrize(
    "change",
    [
        {"unheard_of": 1},
        {"schema_version": 1},
        {"kind": "other"},
        {"leak": {"num_documents": 0, "text": "none"}},
        {"paper": [{"name": "a", "title": "b", "columns": [], "rows": []}]},
    ],
)
def test_what_the_schema_does_not_say_is_refused(report: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Report.model_validate(report | change)


def test_every_key_is_required_and_has_a_description(report: dict[str, Any], page: ModuleType) -> None:
    for key in report:
        with pytest.raises(ValidationError, match=key):
            Report.model_validate({name: own for name, own in report.items() if name != key})
    parts = page.parts_of(Report)
    assert len(parts) > 15
    for part in parts:
        for name, field in part.model_fields.items():
            assert field.description, (part, name)
            assert field.is_required(), (part, name)


def test_the_reference_page_and_the_json_schema_are_made_from_the_models(page: ModuleType) -> None:
    assert (REFERENCE / "report.md").read_text(encoding="utf-8") == page.report_page()
    assert (REFERENCE / "report.schema.json").read_text(encoding="utf-8") == page.report_schema()
    assert "| `ci95` | [low, high] or null |" in page.report_page()
    assert "| `x` | list of number or text or null |" in page.report_page()


def test_numbers_that_are_not_finite_are_null_and_show_no_difference() -> None:
    broken = Estimate(float("inf"), np.array([np.inf, np.nan, 1.0]), 30)
    result = TaskResult(
        "ece",
        {"ece": MetricInfo("error", "lower", "of what")},
        {"adapted": {"ece": broken}},
        [Comparison("ece", "base", float("nan"), [float("nan"), 0.5], "better")],
        details={"array": np.array([[1, 2], [3, 4]]), "number": np.float32(0.5), 2023: (np.int64(7), float("-inf"))},
    )
    task = task_json(result, "Calibration", 1, {"adapted": 2.5}, {"gpt-4": "no key"})
    assert task["systems"] == {
        "adapted": {
            "metrics": {"ece": {"value": None, "ci95": None, "num_samples": 30}},
            "left_out": None,
            "seconds": 2.5,
        },
        "gpt-4": {"metrics": {}, "left_out": "no key", "seconds": None},
    }
    assert task["comparisons"] == [
        {"metric": "ece", "against": "base", "difference": None, "ci95": None, "verdict": "undecided"}
    ]
    assert task["details"] == {"array": [[1, 2], [3, 4]], "number": 0.5, "2023": [7, None]}


def test_a_system_that_was_measured_is_not_left_out() -> None:
    few = Estimate(0.5, None, 3)
    infos = {"ece": MetricInfo("error", "lower", "of what")}
    result = TaskResult("ece", infos, {"adapted": {"ece": few}}, [])
    task = task_json(result, "Calibration", 1, {}, {"adapted": "too slow"})
    assert task["systems"]["adapted"]["left_out"] is None
    assert task["systems"]["adapted"]["metrics"]["ece"] == {"value": 0.5, "ci95": None, "num_samples": 3}


def test_a_table_becomes_an_object() -> None:
    table = Table("a", "b", ("c",), ((1.5,), (None,), ("text",)))
    assert plain_json(table) == {
        "name": "a",
        "title": "b",
        "columns": ["c"],
        "rows": [[1.5], [None], ["text"]],
        "note": "",
    }
