"""A report as one page to hand back: the homework's text, and beside each judged line its verdict.

The page loads nothing and runs nothing. A homework is somebody else's text: everything is escaped by the template, and
characters that turn or hide text are replaced.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from flatgrad import __version__
from flatgrad.diagnostics import printable
from flatgrad.diff.report.shown import Use, measured, number_of, place_of, said, shapes, source_lines, summary, uses
from flatgrad.diff.verdicts import Outcome, Report, Verdict

# Of two verdicts on one line the graver one colors it.
_GRAVITY = ("problem", "wrong", "follows", "unknown", "match")


@dataclass(frozen=True, slots=True)
class _Note:
    """What stands beside a line."""

    outcome: str
    name: str
    place: str
    said: str
    detail: str = ""
    facts: str = ""
    blocks: tuple[tuple[str, str], ...] = ()
    used: str = ""
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    number: str
    text: str
    mark: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines up to the next one that has notes, with the notes of the first of them."""

    lines: tuple[_Line, ...]
    notes: tuple[_Note, ...]


@dataclass(frozen=True, slots=True)
class _Summary:
    function: str
    text: str


@dataclass(frozen=True, slots=True)
class _Page:
    """One homework file with all that is said of its functions."""

    homework: str
    summaries: tuple[_Summary, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    placeless: tuple[_Note, ...]
    pieces: tuple[_Piece, ...]


def as_html(reports: Sequence[Report]) -> str:
    """One page for all reports; several functions of one file share its text."""
    from jinja2 import Environment, FunctionLoader

    from flatgrad.resources import template

    environment = Environment(
        loader=FunctionLoader(template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages = [_page(list(group)) for _, group in groupby(reports, key=lambda report: (report.homework, report.text))]
    title = ", ".join(dict.fromkeys(page.homework for page in pages)) or "flatgrad diff"
    return environment.get_template("diff.html.jinja").render(title=title, pages=pages, version=__version__)


def _page(reports: list[Report]) -> _Page:
    first = reports[0]
    notes: dict[int, list[_Note]] = {}
    marks: dict[int, str] = {}
    placeless: list[_Note] = []
    problems: list[str] = []
    total = len(source_lines(first.text))
    for report in reports:
        if report.problem:
            _mark(marks, report.problem_line, "problem")
            line = report.problem_line
            if line is not None and 1 <= line <= total:
                notes.setdefault(line, []).append(_Note("problem", _words(report.function), "", _words(report.problem)))
            else:
                problems.append(_words(report.problem))
        for verdict in report.verdicts:
            line = verdict.line
            if line is None or not 1 <= line <= total:
                placeless.append(_note(report, verdict))
                continue
            notes.setdefault(line, []).append(_note(report, verdict))
            for k in range(max(verdict.source.strip("\n").count("\n") + 1, 1)):
                _mark(marks, line + k, verdict.outcome.value)
    return _Page(
        homework=_words(first.homework),
        summaries=tuple(_Summary(_words(report.function), summary(report)) for report in reports),
        problems=tuple(problems),
        warnings=tuple(dict.fromkeys(_words(warning) for report in reports for warning in report.warnings)),
        placeless=tuple(placeless),
        pieces=tuple(_pieces(first, notes, marks)),
    )


def _mark(marks: dict[int, str], line: int | None, mark: str) -> None:
    if line is not None:
        marks[line] = min(marks.get(line, mark), mark, key=_GRAVITY.index)


def _pieces(report: Report, notes: dict[int, list[_Note]], marks: dict[int, str]) -> Iterator[_Piece]:
    lines: list[_Line] = []
    beside: tuple[_Note, ...] = ()
    for number, text in enumerate(source_lines(report.text), 1):
        if number in notes:
            if lines:
                yield _Piece(tuple(lines), beside)
            lines, beside = [], tuple(notes[number])
        shown = str(number_of(report, number)) if not report.places else _cell_number(report, number)
        lines.append(_Line(shown, printable(text), marks.get(number, "")))
    if lines:
        yield _Piece(tuple(lines), beside)


def _cell_number(report: Report, line: int) -> str:
    if line > len(report.places):
        return ""
    cell, inside = report.places[line - 1]
    return f"{cell}:{inside}"


def _note(report: Report, verdict: Verdict) -> _Note:
    place, words = _words(place_of(report, verdict.line)), _words(said(report, verdict))
    if verdict.outcome in (Outcome.MATCH, Outcome.FOLLOWS):
        return _Note(verdict.outcome.value, _words(verdict.name), place, words)
    blocks = (
        ("right would be", verdict.repair),
        ("expected", verdict.expected),
        ("it is", verdict.actual),
        ("flatgrad's lines", verdict.reference),
    )
    used, statements = uses(report, verdict)
    facts = " ".join(filter(None, (shapes(verdict), measured(verdict)))) if verdict.outcome is Outcome.WRONG else ""
    return _Note(
        outcome=verdict.outcome.value,
        name=_words(verdict.name),
        place=place,
        said=words,
        detail=_words(verdict.detail),
        facts=facts,
        blocks=tuple((label, _block(text)) for label, text in blocks if text),
        used=_words(used),
        uses=tuple(Use(use.number, use.place, printable(use.text)) for use in statements),
    )


def _words(text: str) -> str:
    return " ".join(printable(line) for line in text.splitlines())


def _block(text: str) -> str:
    return "\n".join(printable(line) for line in textwrap.dedent(text).strip("\n").splitlines())
