"""Statements and pieces of text in the place of others: for the passes that write a construct as simpler ones."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flatgrad.frontend.source import Module, read_module, span_of, text_at
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.ir.core import Span


def replaced(whole: Unfolded, node: ast.stmt, statements: Sequence[ast.stmt]) -> Unfolded:
    """The text with statements in the place of one that has its lines to itself, and where the lines come from."""
    indent = whole.module.lines[node.lineno - 1][: node.col_offset]
    return _with_lines(whole, node.lineno, (node.end_lineno or node.lineno) + 1, indent, statements)


def inserted(whole: Unfolded, after: ast.stmt, statements: Sequence[ast.stmt]) -> Unfolded:
    """The text with statements below one at the top level."""
    line = (after.end_lineno or after.lineno) + 1
    return _with_lines(whole, line, line, "", statements)


def edited(whole: Unfolded, node: ast.expr, text: str) -> Unfolded:
    """The text with another one in the place of an expression, which stands in one line."""
    module, span = whole.module, span_of(whole.module, node)
    if span.line != span.end_line:
        raise ValueError(f"an expression of several lines, {span.line} to {span.end_line}")
    lines, number = list(module.lines), span.line
    line = lines[number - 1]
    lines[number - 1] = f"{line[: span.column]}{text}{line[span.end_column :]}"
    places = {one: whole.places.get(one, Span(one, 0, 0, 0)) for one in range(1, len(lines) + 1)}
    places[number] = _origin(whole, number)
    return Unfolded(_read_again(module, lines), places)


def _with_lines(whole: Unfolded, first: int, behind: int, indent: str, statements: Sequence[ast.stmt]) -> Unfolded:
    """The text with statements in the place of the lines from `first` up to `behind`."""
    module = whole.module
    lines: list[str] = []
    places: dict[int, Span] = {}

    def keep(numbers: range) -> None:
        for number in numbers:
            lines.append(module.lines[number - 1])
            there = whole.places.get(number, Span(number, 0, 0, 0))
            places[len(lines)] = there

    keep(range(1, first))
    for statement in statements:
        shown = _with_numbers_as_written(module, statement)
        text = ast.unparse(ast.fix_missing_locations(shown))
        fresh = ast.parse(text)
        above = len(lines)
        lines += [f"{indent}{line}" for line in text.split("\n")]
        for old, new in zip(_statements(statement), _statements(fresh), strict=True):
            origin = _origin(whole, old.lineno)
            for inner in range(new.lineno, (new.end_lineno or new.lineno) + 1):
                places[above + inner] = origin
    keep(range(behind, len(module.lines) + 1))
    return Unfolded(_read_again(module, lines), places)


def _read_again(module: Module, lines: Sequence[str]) -> Module:
    again = read_module("\n".join(lines), module.filename)
    return replace(again, borrowed=module.borrowed, methods=module.methods)


def _origin(whole: Unfolded, number: int) -> Span:
    """The whole line that a statement stood in."""
    there = whole.places.get(number)
    if there is not None and there.end_line:
        return there
    line = whole.module.lines[number - 1]
    origin = number if there is None else there.line
    return Span(origin, len(line) - len(line.lstrip()), origin, len(line.rstrip()))


def _statements(node: ast.AST) -> list[ast.stmt]:
    found = [node] if isinstance(node, ast.stmt) else []
    for part in ast.iter_child_nodes(node):
        found += _statements(part)
    return found


class _AsWritten(ast.NodeTransformer):
    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, float) and hasattr(node, "end_lineno"):
            text = text_at(self.module, span_of(self.module, node))
            try:
                if float(text) == node.value:
                    return ast.Name(text, ast.Load())
            except ValueError:
                pass
        return node


def _with_numbers_as_written(module: Module, statement: ast.stmt) -> ast.stmt:
    """`1e-5` is not to become `1e-05`."""
    found = _AsWritten(module).visit(copy.deepcopy(statement))
    assert isinstance(found, ast.stmt)
    return found


@dataclass(frozen=True, slots=True)
class Moved:
    """Lines that are to stand below a statement of the top level, each with the line that it comes from."""

    below: ast.stmt
    lines: Sequence[tuple[str, int]]


def rearranged(
    whole: Unfolded, edits: Iterable[tuple[Span, str]], moved: Iterable[Moved], gone: Iterable[ast.stmt] = ()
) -> Unfolded:
    """The text with pieces of single lines replaced, with more lines between the statements of the top level, and
    without statements that have their lines to themselves."""
    lines = list(whole.module.lines)
    dropped = {number for one in gone for number in range(_first_line(one), (one.end_lineno or one.lineno) + 1)}
    touched: set[int] = set()
    for span, text in sorted(edits, key=lambda one: (one[0].line, one[0].column), reverse=True):
        line = lines[span.line - 1]
        lines[span.line - 1] = f"{line[: span.column]}{text}{line[span.end_column :]}"
        touched.add(span.line)
    below: dict[int, list[tuple[str, int]]] = {}
    for one in moved:
        below.setdefault(one.below.end_lineno or one.below.lineno, []).extend([("", 0), ("", 0), *one.lines])
    made: list[str] = []
    places: dict[int, Span] = {}
    for number, line in enumerate(lines, 1):
        if number in dropped:
            continue
        made.append(line)
        there = whole.places.get(number, Span(number, 0, 0, 0))
        places[len(made)] = _origin(whole, number) if number in touched else there
        for text, origin in below.get(number, ()):
            made.append(text)
            places[len(made)] = _moved_from(whole, text, origin or number)
    return Unfolded(_read_again(whole.module, made), places)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(one.lineno for one in decorators)])


def _moved_from(whole: Unfolded, text: str, number: int) -> Span:
    """Where a line stood that was moved, and perhaps changed."""
    line = whole.module.lines[number - 1]
    there = whole.places.get(number, Span(number, 0, 0, 0))
    if there.end_line or line.strip() != text.strip():
        return _origin(whole, number)
    return Span(there.line, there.column + len(line) - len(text), 0, 0)
