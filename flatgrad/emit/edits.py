"""Edits of the user's own text: spans replaced, the rest kept to the letter, comments included."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from flatgrad.ir.core import Span


@dataclass(slots=True)
class Edits:
    """Replacements in one text; spans nest, an outer one wins over those inside it."""

    text: str
    _starts: list[int] = field(default_factory=list)
    _replacements: dict[tuple[int, int], str] = field(default_factory=dict)
    _order: list[tuple[int, int]] | None = None

    def __post_init__(self) -> None:
        self._starts = [0]
        for line in self.text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def bounds(self, span: Span) -> tuple[int, int]:
        return self.offset(span.line, span.column), self.offset(span.end_line, span.end_column)

    def line_of(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def replace(self, span: Span, replacement: str) -> None:
        self._replacements[self.bounds(span)] = replacement
        self._order = None

    def inner(self, span: Span) -> str:
        """The text of a span with the edits inside it, but not one of the whole span."""
        start, end = self.bounds(span)
        return self.between(start, end, whole=False)

    def rendered(self, span: Span) -> str:
        start, end = self.bounds(span)
        return self.between(start, end, whole=True)

    def between(self, start: int, end: int, whole: bool = True) -> str:
        if self._order is None:
            self._order = sorted(self._replacements, key=lambda bounds: (bounds[0], -bounds[1]))
        position = start
        parts: list[str] = []
        low = bisect_right(self._order, (start, float("-inf")))
        for bounds in self._order[low:]:
            if bounds[0] >= end:
                break
            if bounds[0] < position or bounds[1] > end or (not whole and bounds == (start, end)):
                continue
            parts.append(self.text[position : bounds[0]])
            parts.append(self._replacements[bounds])
            position = bounds[1]
        parts.append(self.text[position:end])
        return "".join(parts)
