"""The report as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from flatgrad.diff.report.report_json import as_json
from tests.diff.made import CLEAN, FAILED, PROBLEM, REFERENCE, WRONG

KEYS = ["name", "line", "verdict", "reason", "detail", "expected_shape", "max_relative_error", "source", "reference"]


def test_one_report_is_one_object() -> None:
    data = json.loads(as_json((FAILED,)))
    assert list(data) == ["homework", "function", "ok", "gradients", "warnings"]
    assert (data["homework"], data["function"], data["ok"]) == ("hw.py", "net", False)
    assert data["warnings"] == ["dout is overwritten in line 12"]
    assert [gradient["name"] for gradient in data["gradients"]] == ["dscores", "dW2", "dh", "dW1", "dX", "dtmp"]
    for gradient in data["gradients"]:
        assert list(gradient) == KEYS
    assert data["gradients"][1] == {
        "name": "dW2",
        "line": 10,
        "verdict": "wrong",
        "reason": "missing-term",
        "detail": "the gradient of the regulariser in line 8 is not added",
        "expected_shape": [5, 3],
        "max_relative_error": 0.25,
        "source": "dW2 = h.T @ dscores",
        "reference": REFERENCE,
    }
    verdicts = [gradient["verdict"] for gradient in data["gradients"]]
    assert verdicts == ["match", "wrong", "wrong", "follows", "missing", "unknown"]
    assert data["gradients"][4]["line"] is None


def test_several_reports_are_a_list() -> None:
    data = json.loads(as_json((CLEAN, FAILED)))
    assert [one["ok"] for one in data] == [True, False]
    assert json.loads(as_json(())) == []


def test_what_cannot_be_judged_says_why() -> None:
    data = json.loads(as_json((PROBLEM,)))
    assert data["ok"] is False
    assert data["gradients"] == []
    assert (data["problem"], data["problem_line"]) == ("the forward pass raises AttributeError", 2)


def test_numbers_that_json_lacks_are_null() -> None:
    for error in (float("nan"), float("inf")):
        text = as_json((replace(FAILED, verdicts=(replace(WRONG, max_relative_error=error),)),))
        assert json.loads(text, parse_constant=lambda name: name)["gradients"][0]["max_relative_error"] is None


def test_a_notebook_says_cell_and_line() -> None:
    notebook = replace(FAILED, places=tuple((1 + k // 8, 1 + k % 8) for k in range(14)))
    gradient = json.loads(as_json((notebook,)))["gradients"][1]
    assert (gradient["cell"], gradient["line"]) == (2, 2)


def test_it_is_ascii_whatever_the_homework_holds() -> None:
    text = as_json((replace(FAILED, homework="\udcff\x1b重.py"),))
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["homework"] == "\udcff\x1b重.py"
