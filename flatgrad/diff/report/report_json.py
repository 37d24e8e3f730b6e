"""A report as JSON: one object for a function, a list of them for several."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from flatgrad.diff.report.shown import number_of
from flatgrad.diff.verdicts import Report, Verdict


def as_json(reports: Sequence[Report]) -> str:
    """The text of one object for one report, of a list for any other number. ASCII, and ends with a newline."""
    found = [_report(report) for report in reports]
    return json.dumps(found[0] if len(found) == 1 else found, indent=2, allow_nan=False) + "\n"


def _report(report: Report) -> dict[str, Any]:
    data: dict[str, Any] = {
        "homework": report.homework,
        "function": report.function,
        "ok": report.ok,
        "gradients": [_gradient(report, verdict) for verdict in report.verdicts],
        "warnings": list(report.warnings),
    }
    if report.problem:
        data["problem"] = report.problem
        data["problem_line"] = report.problem_line
    return data


def _gradient(report: Report, verdict: Verdict) -> dict[str, Any]:
    error = verdict.max_relative_error
    return {
        "name": verdict.name,
        **_place(report, verdict.line),
        "verdict": verdict.outcome.value,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "expected_shape": None if verdict.expected_shape is None else [int(n) for n in verdict.expected_shape],
        # JSON has no nan and no infinity.
        "max_relative_error": error if error is not None and math.isfinite(error) else None,
        "source": verdict.source,
        "reference": verdict.reference,
    }


def _place(report: Report, line: int | None) -> dict[str, int | None]:
    """The line; in a notebook the code cell, from 1, and the line in it."""
    if line is None or not report.places:
        return {"line": line}
    cell = report.places[line - 1][0] if line <= len(report.places) else None
    return {"cell": cell, "line": number_of(report, line)}
