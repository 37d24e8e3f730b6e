"""The judge, as the scores call it, and what is read off its reports."""

from __future__ import annotations

from dataclasses import dataclass, field

from flatgrad.diff.compare import compare
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.verdicts import Outcome, Report, Verdict
from tests.homework.mistakes.planted import Mistake

TIMEOUT = 10.0  # seconds for one run of a homework


def judged(
    text: str, name: str, model: tuple[str, str] | None = None, names: tuple[tuple[str, str], ...] = ()
) -> tuple[Report, ...]:
    """The reports of one homework; `model` is text and file name, `names` what `--names` says."""
    return compare(text, name, model, CompareOptions(names=names, timeout=TIMEOUT))


def of_function(reports: tuple[Report, ...], function: str) -> Report | None:
    """The report of a function: by its name, by the last part of it, or the only one."""
    for report in reports:
        if report.function == function:
            return report
    last = function.rpartition(".")[2]
    for report in reports:
        if report.function.rpartition(".")[2] in (last, f"{last}_backward", f"{last}_forward"):
            return report
    return reports[0] if len(reports) == 1 else None


@dataclass(frozen=True, slots=True)
class Finding:
    """How a mistake was judged.

    Attributes:
        found: the homework was judged, and something in it is wrong or missing.
        lines: for each fault, whether its line was named.
        reasons: for each fault, whether a right reason was given where it was named.
        blamed: verdicts `wrong` (or `missing`) at lines that are not at fault.
        notes: what was said, for people.
    """

    found: bool
    lines: tuple[bool, ...]
    reasons: tuple[bool, ...]
    blamed: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def said(verdict: Verdict) -> str:
    place = f"{verdict.name}@{verdict.line} {verdict.outcome.value} {verdict.reason}"
    return f"{place}: {verdict.source.strip()} | {verdict.detail}"


def finding(mistake: Mistake, reports: tuple[Report, ...]) -> Finding:
    nothing = tuple(False for _ in mistake.faults)
    report = of_function(reports, mistake.function)
    if report is None or report.problem:
        problem = report.problem if report else "no report"
        return Finding(False, nothing, nothing, notes=(problem,))
    bad = [verdict for verdict in report.verdicts if verdict.outcome in (Outcome.WRONG, Outcome.MISSING)]
    notebook = mistake.homework.endswith(".ipynb")
    lines, reasons = [], []
    fault_lines: set[int] = set()
    missing = {fault.missing for fault in mistake.faults if fault.missing}
    for fault in mistake.faults:
        at = mistake.lines(fault, report.text if notebook else None)
        fault_lines |= at
        hits = [verdict for verdict in bad if verdict.line in at]
        absent = any(verdict.outcome is Outcome.MISSING and verdict.variable == fault.missing for verdict in bad)
        lines.append(bool(hits) or absent)
        reasons.append(absent or any(verdict.reason in fault.reasons for verdict in hits))
    blamed = tuple(
        said(verdict) for verdict in bad if verdict.line not in fault_lines and verdict.variable not in missing
    )
    return Finding(not report.ok, tuple(lines), tuple(reasons), blamed, tuple(map(said, report.verdicts)))


def alarms(reports: tuple[Report, ...], functions: tuple[str, ...]) -> list[str]:
    """What is said against correct homework; no report, and `unknown` for what is returned, count too."""
    found = []
    for function in functions:
        if of_function(reports, function) is None:
            found.append(f"{function}: no report")
    for report in reports:
        if report.problem:
            found.append(f"{report.function}: {report.problem}")
        for verdict in report.verdicts:
            bad = verdict.outcome in (Outcome.WRONG, Outcome.FOLLOWS, Outcome.MISSING)
            if bad or (verdict.outcome is Outcome.UNKNOWN and verdict.required):
                found.append(f"{report.function}: {said(verdict)}")
    return found
