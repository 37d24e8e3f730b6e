"""The file of a live function: which definition is its own, what else binds a name, the text with changes."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.ir.core import Span


@dataclass(frozen=True, slots=True)
class FunctionFile:
    """The text that functions come from."""

    name: str
    source: str
    lines: tuple[str, ...]
    tree: ast.Module

    @staticmethod
    def of(function: FunctionType) -> FunctionFile:
        name = function.__code__.co_filename
        linecache.checkcache(name)
        lines = linecache.getlines(name, function.__globals__)
        help = (
            "give the source text itself, flatgrad.compile('''def f(x): ...'''), or put the function into a file; "
            "what is typed into a plain interpreter is not kept"
        )
        if not lines:
            message = f"the source of {function.__qualname__} cannot be found in {name}"
            raise Refused([Diagnostic("FG091", message, None, help=help)], "", name)
        source = "".join(lines)
        try:
            tree = ast.parse(source, name)
        except SyntaxError as error:
            message = f"the source of {function.__qualname__} cannot be read: {error.msg}"
            place = Span(error.lineno or 1, max((error.offset or 1) - 1, 0), error.lineno or 1, error.offset or 1)
            raise Refused([Diagnostic("FG091", message, place, help=help)], source, name) from None
        return FunctionFile(name, source, tuple(line.rstrip("\n") for line in lines), tree)

    def definition(self, function: FunctionType) -> ast.FunctionDef:
        """The node of a function. Raises Refused if the text is not what the function was made from."""
        code = function.__code__
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.FunctionDef)
                and node.name == code.co_name
                and _first_line(node) == code.co_firstlineno
                and self._runs(node, code)
            ):
                return node
        message = f"{self.name} does not hold the source of {function.__qualname__} as it runs"
        help = "the file has changed since it was imported, or something has rewritten the function: import it again"
        raise Refused([Diagnostic("FG091", message, None, help=help)], self.source, self.name)

    def _runs(self, node: ast.FunctionDef, code: CodeType) -> bool:
        if any(isinstance(part, ast.Assert) for part in ast.walk(node)):
            return True  # pytest rewrites assertions: the code is never that of the text
        module = compile(self.source, self.name, "exec", dont_inherit=True)
        return any(
            _same_code(found, code)
            for found in _codes_in(module)
            if found.co_name == code.co_name and found.co_firstlineno == code.co_firstlineno
        )

    def bindings(self, name: str) -> list[ast.stmt]:
        """The top-level statements that bind a name."""
        return [statement for statement in self.tree.body if name in _bound_names(statement)]

    def span(self, node: ast.stmt) -> Span:
        end_line = node.end_lineno or node.lineno
        return Span(
            node.lineno,
            self._column(node.lineno, node.col_offset),
            end_line,
            self._column(end_line, node.end_col_offset or 0),
        )

    def text_of(self, function: FunctionType) -> str:
        node = self.definition(function)
        return "\n".join(self._dedented(node, node.end_lineno or node.lineno))

    def hoisted(self, statement: ast.stmt, nodes: list[ast.FunctionDef]) -> str:
        """The text of a top-level statement, with nothing left of it but functions, undecorated and at top level."""
        first = _first_line(statement)
        last = statement.end_lineno or first
        lines = [""] * (last - first + 1)
        for node in nodes:
            start = node.lineno - first
            kept = self._dedented(node, last)
            lines[start : start + len(kept)] = kept
        return "\n".join(lines)

    def _dedented(self, node: ast.FunctionDef, last_of_statement: int) -> list[str]:
        end_line = node.end_lineno or node.lineno
        indent = self.lines[node.lineno - 1][: self._column(node.lineno, node.col_offset)]
        lines = []
        for number in range(node.lineno, end_line + 1):
            line = self.lines[number - 1]
            if number == last_of_statement:  # what follows on that line stays where it is
                line = line[: self._column(number, node.end_col_offset or 0)]
            lines.append(line[len(indent) :] if line.startswith(indent) else line.lstrip())
        return lines

    def rewritten(self, replaced: Mapping[ast.stmt, str], appended: list[str]) -> str:
        """The source with statements replaced, each in its own lines, and lines added at the end."""
        out: list[str] = []
        line, column = 1, 0
        for statement in self.tree.body:
            if statement not in replaced:
                continue
            first = _first_line(statement)
            span = self.span(statement)
            out.append(self._between(line, column, first, 0 if first < span.line else span.column))
            text = replaced[statement]
            if not text and self._shares_a_line(statement):
                text = "pass"
            out.append(text + "\n" * (span.end_line - first - text.count("\n")))
            line, column = span.end_line, span.end_column
        out.append(self._between(line, column, len(self.lines), len(self.lines[-1])))
        return "".join(out) + "\n" + "".join(f"{text}\n" for text in appended)

    def _shares_a_line(self, statement: ast.stmt) -> bool:
        return any(
            other is not statement and (other.lineno == statement.end_lineno or other.end_lineno == statement.lineno)
            for other in self.tree.body
        )

    def _between(self, line: int, column: int, end_line: int, end_column: int) -> str:
        if line == end_line:
            return self.lines[line - 1][column:end_column]
        middle = self.lines[line : end_line - 1]
        return "\n".join([self.lines[line - 1][column:], *middle, self.lines[end_line - 1][:end_column]])

    def _column(self, line: int, byte: int) -> int:
        return len(self.lines[line - 1].encode()[:byte].decode())


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def contains(statement: ast.stmt, node: ast.AST) -> bool:
    """Whether the node, itself and not one like it, is a part of the statement."""
    return any(part is node for part in ast.walk(statement))


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Assign(targets=targets):
            for target in targets:
                yield from _target_names(target)
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            yield from _target_names(target)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try() | ast.TryStar() | ast.Match():
            for part in ast.walk(statement):
                if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                    yield part.id


def _target_names(target: ast.expr) -> Iterator[str]:
    """The names that an assignment binds or changes: `x[0] = 1` changes x."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
            yield from _target_names(inner)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _target_names(part)


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes_in(constant)


def _same_code(first: CodeType, second: CodeType) -> bool:
    return (
        first.co_code == second.co_code
        and first.co_names == second.co_names
        and first.co_varnames == second.co_varnames
        and _plain_constants(first) == _plain_constants(second)
    )


def _plain_constants(code: CodeType) -> list[str]:
    # By their text: nan is not equal to itself, and True is equal to 1.
    return [repr(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
