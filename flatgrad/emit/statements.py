"""The statements of forward, one after another: as they are written, with their numbers, comments and lines around."""

from __future__ import annotations

import ast
import textwrap

from flatgrad.emit.returns import ReturnWriting
from flatgrad.frontend.leaving import is_check
from flatgrad.frontend.source import header_end, span_of
from flatgrad.ir.core import Kind, Span, Stage


class StatementWriting(ReturnWriting):
    """Writes statements and the blocks in them."""

    def _body(self) -> list[str]:
        node = self.lowered.node
        start = 1 if ast.get_docstring(node) is not None else 0
        first = span_of(self.module, node.body[0]).end_line + 1 if start else self._header_end()
        return self._statements(node.body[start:], first)

    def _statements(self, statements: list[ast.stmt], first: int) -> list[str]:
        """Statements of one block with the comments between them; `first` is the line that these may begin at."""
        lines: list[str] = []
        for statement in statements:
            span = span_of(self.module, statement)
            stage = self.stages.get(span)
            if stage is not None or isinstance(statement, ast.Raise):
                # What is said above the user's own backward code goes with it.
                lines.extend(self._between(first, span.line))
            lines.extend(self._statement_lines(statement, span, stage))
            first = span.end_line + 1
        return lines

    def _compound(
        self, statement: ast.For | ast.While | ast.If | ast.With, stage: Stage, keyword: str = ""
    ) -> list[str]:
        """A loop, an `if` or a `with`: its head as it is written, its blocks one level in."""
        span = span_of(self.module, statement)
        line, column = header_end(self.module, statement)
        head = textwrap.dedent(self.edits.rendered(Span(span.line, span.column, line, column)))
        if keyword and not head.startswith(keyword):
            head = keyword + head.partition("if")[2]
        note = self._trailing(line, column, "")
        lines = [*(head + note).split("\n")]
        inner = [*self.heads.get(stage, []), *self._statements(statement.body, line + 1), *self.tails.get(stage, [])]
        lines += _indented(inner or ["pass"])
        if isinstance(statement, ast.With) or not statement.orelse:
            return lines
        end = span_of(self.module, statement.body[-1]).end_line
        other = statement.orelse[0]
        other_span = span_of(self.module, other)
        own_line = self.module.lines[other_span.line - 1][other_span.column :]
        other_stage = self.stages.get(other_span)
        if len(statement.orelse) == 1 and isinstance(other, ast.If) and own_line.startswith("elif") and other_stage:
            if not self.before.get(other_stage) and not self.after.get(other_stage):
                return lines + self._compound(other, other_stage, "elif")
            nested = [*self.before.get(other_stage, []), *self._compound(other, other_stage, "if")]
            return [*lines, "else:", *_indented([*nested, *self.after.get(other_stage, [])])]
        return [*lines, "else:", *_indented(self._statements(statement.orelse, end + 2))]

    def _trailing(self, line: int, column: int, number: str) -> str:
        comment = self.module.comments.get(line)
        note = comment.text.lstrip("#").strip() if comment is not None and comment.column >= column else ""
        tail = " ".join(part for part in (number, note) if part)
        return f"  # {tail}" if tail else ""

    def _header_end(self) -> int:
        arguments = self.lowered.node.args
        last = max(
            [
                self.lowered.node.lineno,
                *(a.end_lineno or 0 for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)),
            ]
        )
        return last + 1

    def _between(self, first: int, last: int) -> list[str]:
        """Comments and blank lines between two statements."""
        found = []
        for number in range(first, last):
            line = self.module.lines[number - 1].strip()
            if line.startswith("#") or not line:
                found.append(line)
        return found

    def _statement_lines(self, statement: ast.stmt, span: Span, stage: Stage | None) -> list[str]:
        lines: list[str] = []
        if stage is None and isinstance(statement, ast.Raise):
            # That of an `elif` that only checks something: the whole of it is one stage.
            return (
                textwrap.dedent(self.edits.rendered(span)) + self._trailing(span.end_line, span.end_column, "")
            ).split("\n")
        if stage is None or self._is_unread(statement):
            return lines
        number = f"({self.numbers[stage]})" if stage in self.numbers else ""
        trailing = self._trailing(span.end_line, span.end_column, number)
        if isinstance(statement, ast.Return):
            return self._return_lines(trailing, stage)
        if isinstance(statement, ast.Delete):
            return self._delete_lines(statement, trailing)
        lines.extend(self.before.get(stage, []))
        if isinstance(statement, ast.AugAssign) and (change := self._renaming(statement, stage)) is not None:
            lines.append(self._out_of_place(statement, *change) + trailing)
        elif stage in self.lowered.asides:
            lines.extend(self._aside(statement, span))
        elif isinstance(statement, ast.For | ast.While | ast.If | ast.With) and not _is_check(statement):
            lines.extend(self._compound(statement, stage))
        else:
            text = self.edits.rendered(span)
            lines.extend((textwrap.dedent(text) + trailing).split("\n"))
        lines.extend(self.after.get(stage, []))
        return lines

    def _delete_lines(self, statement: ast.Delete, trailing: str) -> list[str]:
        """`del a, b` without the names that are cached: backward needs them."""
        names = [self.edits.rendered(span_of(self.module, target)) for target in statement.targets]
        free = [name for name in names if name not in self.plan.cache]
        return [f"del {', '.join(free)}{trailing}"] if free else []

    def _aside(self, statement: ast.stmt, span: Span) -> list[str]:
        """A branch that returns something else: in place of the other results and of the cache stands None."""
        nothing = ", ".join(["None"] * len(self.plan.results))
        for part in ast.walk(statement):
            if isinstance(part, ast.Return) and part.value is not None:
                place = span_of(self.module, part.value)
                self.edits.replace(place, f"{self.edits.rendered(place)}, {nothing}")
        lines = textwrap.dedent(" " * span.column + self.edits.rendered(span)).split("\n")
        return lines

    def _renaming(self, statement: ast.AugAssign, stage: Stage) -> tuple[str, str] | None:
        """The names before and after an augmented assignment, where they are two, or stand for two arrays."""
        step = self.changes.get(stage)
        if step is None:
            return None
        after = self.names.get(step.out, step.out.name)
        before = self.plan.previous.get(step.out, after)
        # What it was is kept under another name: `c_first = c`, and the buffer is not to be written into.
        apart = stage in self.residuals.apart and step.out.type.kind is not Kind.SCALAR
        return (before, after) if before != after or apart else None

    def _out_of_place(self, statement: ast.AugAssign, before: str, after: str) -> str:
        value = ast.parse(self.edits.rendered(span_of(self.module, statement.value)), mode="eval").body
        total = ast.BinOp(ast.Name(before, ast.Load()), statement.op, value)
        assign = ast.Assign([ast.Name(after, ast.Store())], total, lineno=1)
        return ast.unparse(ast.fix_missing_locations(assign))


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line.strip() else line for line in lines] or ["    pass"]


def _is_check(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and is_check(statement)
