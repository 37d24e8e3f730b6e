"""Edits of the user's own text: spans replaced, the rest kept to the letter, comments included."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from flatgrad.ir.core import Span


@dataclass(slots=True)
class Edits:
    """Replacements in one text; spans nest, an outer one wins over those inside it."""

    text: str
    _starts: list[int] = field(default_factory=list)
    _replacements: dict[tuple[int, int], str] = field(default_factory=dict)
    # (start, -end), so that of two that begin together the outer one comes first
    _order: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._starts = [0]
        for line in self.text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def bounds(self, span: Span) -> tuple[int, int]:
        return self.offset(span.line, span.column), self.offset(span.end_line, span.end_column)

    def replace(self, span: Span, replacement: str) -> None:
        start, end = self.bounds(span)
        if (start, end) not in self._replacements:
            insort(self._order, (start, -end))
        self._replacements[start, end] = replacement

    def inner(self, span: Span) -> str:
        """The text of a span with the edits inside it, but not one of the whole span."""
        start, end = self.bounds(span)
        return self.between(start, end, whole=False)

    def rendered(self, span: Span) -> str:
        start, end = self.bounds(span)
        return self.between(start, end, whole=True)

    def between(self, start: int, end: int, whole: bool = True) -> str:
        position = start
        parts: list[str] = []
        for first in range(bisect_left(self._order, (start, -end)), len(self._order)):
            low, high = self._order[first][0], -self._order[first][1]
            if low >= end:
                break
            if low < position or high > end or (not whole and (low, high) == (start, end)):
                continue
            parts.append(self.text[position:low])
            parts.append(self._replacements[low, high])
            position = high
        parts.append(self.text[position:end])
        return "".join(parts)
