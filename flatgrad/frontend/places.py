"""Where the lines of a linked text come from, so that the user is told the places in the files as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flatgrad.diagnostics import Diagnostic, SourceFile
from flatgrad.frontend.source import Module
from flatgrad.ir.core import Span


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement in one line: what stood at `start` to `end` is `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """Where a line of the linked text comes from. `file` is None for the model's own, `line` 0 for what is new."""

    file: SourceFile | None
    line: int
    edits: tuple[Edit, ...] = ()
    shift: int = 0  # how many characters of the original line are left out before it


@dataclass(frozen=True, slots=True)
class Linked:
    """A module with what it borrows, and where each of its lines comes from."""

    module: Module
    lines: tuple[Line, ...] = ()

    def placed(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics with the places that the user knows."""
        return [self._placed(one) for one in diagnostics] if self.lines else list(diagnostics)

    def _placed(self, one: Diagnostic) -> Diagnostic:
        if one.file is not None or one.span is None or not 0 < one.span.line <= len(self.lines):
            return one
        line = self.lines[one.span.line - 1]
        labels = tuple(
            (self._span(span), text) for span, text in one.labels if self.lines[span.line - 1].file == line.file
        )
        return replace(one, span=self._span(one.span) if line.line else None, labels=labels, file=line.file)

    def _span(self, span: Span) -> Span:
        line, column = self._position(span.line, span.column)
        end_line, end_column = self._position(min(span.end_line, len(self.lines)), span.end_column)
        return Span(line, column, max(line, end_line), end_column)

    def _position(self, line: int, column: int) -> tuple[int, int]:
        origin = self.lines[line - 1]
        moved = 0
        for edit in origin.edits:
            start = edit.start + moved
            end = start + len(edit.text)
            if column < start:
                break
            if column < end:
                return origin.line, edit.start + origin.shift
            moved += len(edit.text) - (edit.end - edit.start)
        return origin.line, column - moved + origin.shift


def edited(
    module: Module, file: SourceFile | None, numbers: range, edits: Mapping[int, list[Edit]]
) -> list[tuple[str, Line]]:
    found: list[tuple[str, Line]] = []
    for number in numbers:
        text = module.lines[number - 1]
        made = tuple(sorted(edits.get(number, ()), key=lambda edit: edit.start))
        for edit in reversed(made):
            text = text[: edit.start] + edit.text + text[edit.end :]
        found.append((text, Line(file, number, made)))
    return found


def cut(lines: list[tuple[str, Line]], module: Module, span: Span) -> list[tuple[str, Line]]:
    """A statement without what stands beside it on its first and last line."""
    tail = len(module.lines[span.end_line - 1]) - span.end_column
    last, line = lines[-1]
    lines[-1] = (last[: len(last) - tail] if tail else last, line)
    first, line = lines[0]
    moved = tuple(replace(e, start=e.start - span.column, end=e.end - span.column) for e in line.edits)
    lines[0] = (first[span.column :], replace(line, edits=moved, shift=span.column))
    return lines
