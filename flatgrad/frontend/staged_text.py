"""The text of a module in which statements are replaced by several, comments and indentation kept."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from flatgrad.frontend.source import Module, span_of
from flatgrad.ir.core import Span


class StagedText:
    """The module's text, with statements replaced by lines."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.starts = [0]
        for line in module.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.edits: list[tuple[int, int, str]] = []

    def text(self) -> str:
        parts: list[str] = []
        position = 0
        for start, end, replacement in sorted(self.edits):
            parts += [self.module.text[position:start], replacement]
            position = end
        return "".join([*parts, self.module.text[position:]])

    def stands_alone(self, statement: ast.stmt) -> bool:
        """Whether no other statement, and no `def`, is on the statement's lines."""
        span = span_of(self.module, statement)
        before = self.module.lines[span.line - 1][: span.column]
        after = self.module.lines[span.end_line - 1][span.end_column :].lstrip()
        return not before.strip() and not after.startswith(";")

    def verbatim(self, statement: ast.stmt) -> list[str]:
        start, end = self._bounds(span_of(self.module, statement))
        return [self.module.text[start:end]]

    def replace(self, statement: ast.stmt, texts: Sequence[str], block: Sequence[ast.stmt]) -> None:
        span = span_of(self.module, statement)
        start, end = self._bounds(span)
        text = self.module.text
        inner = [self.module.comments[n].text for n in range(span.line, span.end_line) if n in self.module.comments]
        indent = self._indentation(span.line, block)
        shared = ""
        if self.module.lines[span.line - 1][: span.column].strip():
            # `def f(x): return ...` and `a = 1; b = 2` are taken apart.
            shared = f"\n{indent}"
            start = len(text[:start].rstrip(" \t;"))
        semicolon = re.compile(r"[ \t]*;[ \t]*(?=#|\n|$)").match(text, end)
        tail = ""
        if semicolon is not None:
            end = semicolon.end()
            tail = "  " if text[end : end + 1] == "#" else ""
        self.edits.append((start, end, shared + f"\n{indent}".join([*inner, *texts]) + tail))

    def _indentation(self, line: int, block: Sequence[ast.stmt]) -> str:
        """That of the first statement on the line; of a body on the line of its head, one level more."""
        first = next(one for one in block if one.lineno == line)
        before = self.module.lines[line - 1][: span_of(self.module, first).column]
        head = before[: len(before) - len(before.lstrip())]
        return head + "    " if before.strip() else before

    def _bounds(self, span: Span) -> tuple[int, int]:
        return self.starts[span.line - 1] + span.column, self.starts[span.end_line - 1] + span.end_column
