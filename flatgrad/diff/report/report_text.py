"""A report for a terminal: a quiet line for what is right, the homework's line beside the reference for what is not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from flatgrad.diagnostics import printable, width_of
from flatgrad.diff.report.shown import (
    line_of,
    measured,
    number_of,
    place_of,
    said,
    shapes,
    source_lines,
    summary,
    uses,
)
from flatgrad.diff.verdicts import Outcome, Report, Verdict

COLORS = {
    Outcome.MATCH: "green",
    Outcome.WRONG: "red",
    Outcome.FOLLOWS: "yellow",
    Outcome.MISSING: "red",
    Outcome.UNKNOWN: "cyan",
}
WIDTH = 100  # where the output is no terminal
_INDENT = "    "
_GUTTER = 3


@dataclass(frozen=True, slots=True)
class Paint:
    """Colors, or none."""

    color: bool

    def __call__(self, text: str, fg: str | None = None, bold: bool = False, dim: bool = False) -> str:
        if not self.color or not text:
            return text
        return click.style(text, fg=fg, bold=bold or None, dim=dim or None)


def as_text(reports: Sequence[Report], width: int = WIDTH, color: bool = False) -> str:
    """The text of all reports, for a terminal of `width` columns; ends with a newline."""
    paint = Paint(color)
    parts = ["\n".join(_single_spaced(_report(report, width, paint))) for report in reports]
    if len(reports) > 1:
        parts.append("\n".join(_table(reports, paint)))
    return "\n\n\n".join(parts) + "\n" if parts else ""


def _table(reports: Sequence[Report], paint: Paint) -> Iterator[str]:
    """One line for each report."""
    titles = [printable(_title(report)) for report in reports]
    width = max(map(width_of, titles))
    for title, report in zip(titles, reports, strict=True):
        words = paint(summary(report), fg="green" if report.ok else "red")
        yield f"{title}{' ' * (width - width_of(title))}  {words}"


def _title(report: Report) -> str:
    return f"{report.homework}: {report.function}" if report.function else report.homework


def _single_spaced(lines: Iterator[str]) -> Iterator[str]:
    last = "x"
    for line in lines:
        if line or last:
            yield line
        last = line


def _report(report: Report, width: int, paint: Paint) -> Iterator[str]:
    yield paint(printable(_title(report)), bold=True)
    yield ""
    if report.problem:
        yield from _problem(report, width, paint)
    columns = max((width_of(printable(verdict.name)) for verdict in report.verdicts), default=0)
    for verdict in report.verdicts:
        yield from _verdict(report, verdict, columns, width, paint)
    if report.warnings:
        yield ""
    for warning in report.warnings:
        yield from _filled("warning: ", warning, width, paint, "yellow")
    if not report.problem:
        yield ""
        yield paint(summary(report), fg="green" if report.ok else "red", bold=True)


def _problem(report: Report, width: int, paint: Paint) -> Iterator[str]:
    yield from _filled("cannot be judged: ", report.problem, width, paint, "red")
    if report.problem_line is not None:
        yield from _excerpt(report, report.problem_line, line_of(report, report.problem_line), paint)
    if report.verdicts:
        yield ""


def _verdict(report: Report, verdict: Verdict, columns: int, width: int, paint: Paint) -> Iterator[str]:
    word = paint(f"{verdict.outcome.value:<8}", fg=COLORS[verdict.outcome], bold=verdict.outcome is not Outcome.MATCH)
    name = printable(verdict.name)
    place = place_of(report, verdict.line)
    words = printable(said(report, verdict))
    head = ": ".join(filter(None, (place, words)))
    first = f"{word}  {name}{' ' * (columns - width_of(name))}  "
    if verdict.outcome is Outcome.MATCH:
        yield (first + paint(head, dim=True)).rstrip()
        return
    inner = " " * (10 + columns + 2)
    lines = textwrap.wrap(head, max(width - len(inner), 30)) or [""]
    yield (first + lines[0]).rstrip()
    yield from (inner + line for line in lines[1:])
    body = [] if verdict.outcome is Outcome.FOLLOWS else list(_body(report, verdict, width, paint))
    while body and not body[-1]:
        body.pop()
    if body:
        yield ""
        yield from body
        yield ""


def _body(report: Report, verdict: Verdict, width: int, paint: Paint) -> Iterator[str]:
    if verdict.outcome is Outcome.WRONG or verdict.reference:
        yield from _side_by_side(report, verdict, width, paint)
    if verdict.detail:
        yield from _filled("", _sentence(verdict.detail), width, paint)
    for label, text in (
        ("right would be:", verdict.repair),
        ("expected:", verdict.expected),
        ("it is:", verdict.actual),
    ):
        if text:
            yield f"{_INDENT}{label}"
            yield from (f"{_INDENT}    {printable(line)}".rstrip() for line in textwrap.dedent(text).splitlines())
    told = " ".join(filter(None, (shapes(verdict), measured(verdict)))) if verdict.outcome is Outcome.WRONG else ""
    if told:
        yield from _filled("", told, width, paint)
    sentence, used = uses(report, verdict)
    if used:
        yield f"{_INDENT}{printable(sentence)}:"
        places = max(width_of(use.place) for use in used)
        for use in used:
            number = "" if use.number is None else f"({use.number}) "
            pad = " " * (places - width_of(use.place))
            room = width - len(_INDENT) - 4 - len(number) - places - 2
            yield f"{_INDENT}    {number}{paint(use.place, dim=True)}{pad}  {_cut(printable(use.text), room)}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= max(room, 20) else f"{text[: max(room, 20) - 1]}…"


def _sentence(text: str) -> str:
    text = printable(text.strip())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _side_by_side(report: Report, verdict: Verdict, width: int, paint: Paint) -> Iterator[str]:
    """The homework's statement and the generated lines: beside each other where both fit, else one below the other."""
    own = _numbered(report, verdict)
    other = [printable(line) for line in verdict.reference.splitlines()]
    if not other:
        yield from (f"{_INDENT}{paint(number, fg='blue')}{text}" for number, text in own)
        if own:
            yield ""
        return
    left = max((width_of(number + text) for number, text in own), default=0)
    right = max(map(width_of, other))
    if own and len(_INDENT) + left + _GUTTER + right <= width:
        left = max(left, width_of("homework"))
        yield f"{_INDENT}{paint('homework', dim=True)}{' ' * (left - 8 + _GUTTER)}{paint('flatgrad', dim=True)}"
        for k in range(max(len(own), len(other))):
            number, text = own[k] if k < len(own) else ("", "")
            pad = " " * (left - width_of(number + text) + _GUTTER)
            shown = _reference_line(other[k], paint) if k < len(other) else ""
            yield f"{_INDENT}{paint(number, fg='blue')}{text}{pad}{shown}".rstrip()
    else:
        for number, text in own:
            yield f"{_INDENT}{paint(number, fg='blue')}{text}"
        yield f"{_INDENT}{paint('flatgrad:', dim=True)}"
        yield from (f"{_INDENT}    {_reference_line(line, paint)}".rstrip() for line in other)
    yield ""


def _reference_line(line: str, paint: Paint) -> str:
    return paint(line, dim=True) if line.lstrip().startswith("#") else paint(line, fg="green")


def _numbered(report: Report, verdict: Verdict) -> list[tuple[str, str]]:
    """The homework's statement, each line with its number."""
    if not verdict.source.strip():
        return []
    lines = source_lines(textwrap.dedent(verdict.source).strip("\n"))
    if verdict.line is None:
        return [("", printable(line)) for line in lines]
    first = verdict.line
    numbers = [number_of(report, first + k) for k in range(len(lines))]
    digits = len(str(max(numbers)))
    return [(f"{number:>{digits}} | ", printable(line)) for number, line in zip(numbers, lines, strict=True)]


def _excerpt(report: Report, line: int, text: str, paint: Paint) -> Iterator[str]:
    if text:
        yield ""
        place = f"{place_of(report, line)}: " if report.places else f"{line} | "
        yield f"{_INDENT}{paint(place, fg='blue')}{printable(text)}"


def _filled(label: str, text: str, width: int, paint: Paint, fg: str | None = None) -> Iterator[str]:
    """A sentence over as many lines as it needs; a labelled one begins at the margin."""
    indent = "" if label else _INDENT
    inner = " " * len(label) if label else _INDENT
    for paragraph in printable_lines(text):
        room = max(width - len(inner), 30)
        lines = textwrap.wrap(paragraph, room, break_on_hyphens=False) or [""]
        yield f"{indent}{paint(label, fg=fg, bold=True)}{lines[0]}"
        yield from (f"{inner}{line}" for line in lines[1:])
        label, indent = "", inner


def printable_lines(text: str) -> list[str]:
    """The lines of a text, each as it may be printed."""
    return [printable(line) for line in text.splitlines()] or [""]
