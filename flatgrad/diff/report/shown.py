"""What every form of a report shares: places, summaries, what a wrong value follows from; reports without answers."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flatgrad.diff.verdicts import Outcome, Report, Verdict
from flatgrad.diff.vocabulary import OUTCOMES, REASONS, joined

# The hint of a verdict on a statement that raises: it has no shape to speak of.
RAISES = "the statement raises"
_SAFE = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Use:
    """A forward statement that uses a variable. `number` is its step in the reference, None without one."""

    number: int | None
    place: str
    text: str


def source_lines(text: str) -> list[str]:
    """The lines of a source text. Not str.splitlines: that breaks where Python's own reader does not."""
    return re.split(r"\r\n|\r|\n", text.removesuffix("\n"))


def place_of(report: Report, line: int | None) -> str:
    """`line 24`, in a notebook `cell 3, line 2`; empty for no line."""
    if line is None:
        return ""
    if 1 <= line <= len(report.places):
        cell, inside = report.places[line - 1]
        return f"cell {cell}, line {inside}"
    return f"line {line}"


def number_of(report: Report, line: int) -> int:
    """A line's number as its reader counts: in a notebook from 1 in each cell."""
    return report.places[line - 1][1] if 1 <= line <= len(report.places) else line


def line_of(report: Report, line: int) -> str:
    """The text of a line of the homework, without its indentation; empty if there is none."""
    lines = source_lines(report.text)
    return lines[line - 1].strip() if 1 <= line <= len(lines) else ""


def summary(report: Report) -> str:
    """`3 right, 1 wrong, 2 follow from it`."""
    if report.problem:
        return "cannot be judged"
    counts = Counter(verdict.outcome for verdict in report.verdicts)
    if not report.verdicts:
        return "no gradient is assigned here"
    if counts[Outcome.MATCH] == len(report.verdicts):
        return f"all {len(report.verdicts)} right" if len(report.verdicts) > 1 else "1 right"
    wrong, follows = counts[Outcome.WRONG], counts[Outcome.FOLLOWS]
    verb = "follows" if follows == 1 else "follow"
    parts = [
        (counts[Outcome.MATCH], f"{counts[Outcome.MATCH]} right"),
        (wrong, f"{wrong} wrong"),
        (follows, f"{follows} {verb}{f' from {_it(wrong)}' if wrong else ''}"),
        (counts[Outcome.MISSING], f"{counts[Outcome.MISSING]} missing"),
        (counts[Outcome.UNKNOWN], f"{counts[Outcome.UNKNOWN]} not judged"),
    ]
    return ", ".join(text for count, text in parts if count)


def _it(wrong: int) -> str:
    return "it" if wrong == 1 else "them"


def causes(report: Report, verdict: Verdict) -> tuple[Verdict, ...]:
    """The wrong gradients that one which follows rests on: those that its statement reads, directly or through others.

    Where the statement names none, every earlier wrong one.
    """
    at = next((k for k, one in enumerate(report.verdicts) if one is verdict), len(report.verdicts))
    earlier = report.verdicts[:at]
    found: list[Verdict] = []
    seen: set[int] = set()
    waiting = [verdict]
    while waiting:
        read = _reads(waiting.pop())
        for k, one in enumerate(earlier):
            if k in seen or not {_spelled(one.target), one.name} & read:
                continue
            seen.add(k)
            if one.outcome is Outcome.WRONG:
                found.append(one)
            elif one.outcome in (Outcome.FOLLOWS, Outcome.UNKNOWN):
                waiting.append(one)
    return tuple(found) or tuple(one for one in earlier if one.outcome is Outcome.WRONG)


def _spelled(target: str) -> str:
    """A target with its quotes as `ast.unparse` writes them."""
    try:
        return ast.unparse(ast.parse(target.strip()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return target


def _reads(verdict: Verdict) -> set[str]:
    """The names, entries and attributes in the text of a statement; of an update its own target too."""
    try:
        tree = ast.parse(verdict.source.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(_SAFE.findall(verdict.source))
    found: set[str] = set()
    for part in ast.walk(tree):
        if isinstance(part, ast.AugAssign):
            found.add(ast.unparse(part.target))
        if isinstance(part, ast.Name | ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Load):
            found.add(ast.unparse(part))
    return found


def said(report: Report, verdict: Verdict) -> str:
    """What a report says beside the verdict's word: the kind of the mistake, or where it follows from."""
    if verdict.outcome is Outcome.WRONG:
        if verdict.reason == "shape" and verdict.hint == RAISES:
            return RAISES
        return REASONS.get(verdict.reason, verdict.reason) or OUTCOMES[verdict.outcome]
    if verdict.outcome is Outcome.FOLLOWS:
        if verdict.detail:
            return verdict.detail
        named = joined([_with_place(report, one) for one in causes(report, verdict)])
        return f"right, given what it was handed{f'; it follows from {named}' if named else ''}"
    if verdict.outcome is Outcome.MISSING:
        return f"{OUTCOMES[verdict.outcome]}{', and required' if verdict.required else ''}"
    if verdict.outcome is Outcome.UNKNOWN:
        return OUTCOMES[verdict.outcome]
    return ""


def _with_place(report: Report, verdict: Verdict) -> str:
    place = place_of(report, verdict.line)
    return f"{verdict.name} ({place})" if place else verdict.name


def uses(report: Report, verdict: Verdict) -> tuple[str, tuple[Use, ...]]:
    """`x is used in (2), (3) and (4)` with these statements; without numbers it names the lines."""
    numbers = dict(report.steps)
    found = tuple(
        Use(numbers.get(line), place_of(report, line), line_of(report, line)) for line in sorted(set(verdict.uses))
    )
    if not found:
        return "", ()
    if all(use.number is not None for use in found):
        named = [f"({use.number})" for use in sorted(found, key=lambda use: use.number or 0)]
    elif report.places:
        named = [use.place for use in found]
    else:
        named = [str(line) for line in sorted(set(verdict.uses))]
        named[0] = f"line{'s' if len(named) > 1 else ''} {named[0]}"
    return f"{verdict.variable or verdict.name[1:]} is used in {joined(named)}", found


def shapes(verdict: Verdict) -> str:
    """`Its shape is (5, 3), it should be (3, 5).` where the two differ; empty otherwise."""
    if verdict.expected_shape is None or verdict.actual_shape is None or verdict.expected_shape == verdict.actual_shape:
        return ""
    return f"Its shape is {_tuple(verdict.actual_shape)}, it should be {_tuple(verdict.expected_shape)}."


def _tuple(shape: tuple[int, ...]) -> str:
    return str(tuple(int(n) for n in shape))


def measured(verdict: Verdict) -> str:
    """`Its largest relative error is 0.5.`; empty where there is none."""
    error = verdict.max_relative_error
    return "" if error is None or not math.isfinite(error) else f"Its largest relative error is {error:.2g}."


def hinted(report: Report) -> Report:
    """The report without answers: the place and the kind of each mistake, no reference, no repair, no right values."""
    return replace(report, verdicts=tuple(map(_hint, report.verdicts)))


def _hint(verdict: Verdict) -> Verdict:
    hint = verdict.hint if verdict.outcome is not Outcome.FOLLOWS else ""
    return replace(
        verdict,
        detail=hint,
        expected_shape=None,
        reference="",
        uses=(),
        repair="",
        expected="",
        actual="",
    )


def worst(reports: Sequence[Report]) -> int:
    """The exit code of several reports."""
    return max((report.exit_code for report in reports), default=0)
