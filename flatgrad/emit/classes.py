"""Classes with a backward pass: the user's own, their methods as they are, what backward needs kept on the object.

The pair of functions that a method would be becomes two methods: what stands in the cache is assigned to attributes
where it is bound, and read from them again.
"""

from __future__ import annotations

import ast
import builtins
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.edits import Edits
from flatgrad.emit.method_lines import KeptNames
from flatgrad.emit.method_pairs import Row, backward_method_name, method_pair
from flatgrad.emit.plan import ClassText, FunctionPlan, FunctionText, MethodText, ModulePlan
from flatgrad.emit.variables import stores
from flatgrad.frontend.annotations import read_annotation
from flatgrad.frontend.methods import MARK, Method
from flatgrad.frontend.shapetext import Unreadable
from flatgrad.frontend.source import Module, header_end, span_of
from flatgrad.ir.core import Span


def class_texts(plan: ModulePlan, functions: Mapping[str, FunctionText]) -> tuple[ClassText, ...]:
    """The classes that are written, in the order of the file: those of the methods, and those that they need.

    Raises:
        Refused: FG045 where a method that is kept reads a name that no module would define.
    """
    module = plan.module
    plans = {one.name: one for one in plan.functions if one.name in module.methods}
    found = {statement.name: statement for statement in module.tree.body if isinstance(statement, ast.ClassDef)}
    wanted = {module.methods[name].owner.name for name in plans}
    pending = list(wanted)
    while pending:
        owner = found[pending.pop()]
        for name in (*_free_names(owner), *_free_names_of_tables(module, owner)):
            if name in found and name not in wanted:
                wanted.add(name)
                pending.append(name)
    texts = []
    kept = KeptNames(plan)
    written: set[ast.Assign] = set()
    for name, owner in found.items():
        if name in wanted:
            tables = [one for one in _tables(module, owner) if one not in written]
            written |= set(tables)
            pairs = {
                module.methods[key].name: (plans[key], module.methods[key], functions[key])
                for key in plans
                if module.methods[key].owner is owner
            }
            texts.append(_ClassWriter(module, owner, pairs, found, kept, tables).text())
    return tuple(texts)


def class_rows(plan: ModulePlan, classes: Iterable[ClassText]) -> list[str]:
    """The rows of the table: each method with its backward pass."""
    rows = [row for one in classes for row in one.rows]
    width = max((len(first) for first, _ in rows), default=0)
    return [f"{first.ljust(width)}  {second}" for first, second in rows]


def _free_names_of_tables(module: Module, owner: ast.ClassDef) -> list[str]:
    return [name for table in _tables(module, owner) for name in _free_names(table.value)]


def _tables(module: Module, owner: ast.ClassDef) -> list[ast.Assign]:
    """The dicts of classes and functions at the head of the module that a class reads."""
    read = set(_free_names(owner)) - module.constants.keys()
    classes = {one.name for one in module.tree.body if isinstance(one, ast.ClassDef)}
    found: list[ast.Assign] = []
    for statement in module.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(values=values)) if name in read:
                known = {*classes, *module.functions, *module.imports}
                if all(one in known for value in values for one in _free_names(value)):
                    found.append(statement)
    return found


def _free_names(node: ast.AST) -> list[str]:
    return list(dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name)))


def _targets(table: ast.Assign) -> list[str]:
    return [one.id for one in table.targets if isinstance(one, ast.Name)]


@dataclass(frozen=True, slots=True)
class _ClassWriter:
    """One class: `pairs` are the methods that are written anew."""

    module: Module
    owner: ast.ClassDef
    pairs: Mapping[str, tuple[FunctionPlan, Method, FunctionText]]
    classes: Mapping[str, ast.ClassDef]
    kept: KeptNames
    tables: Sequence[ast.Assign]

    def text(self) -> ClassText:
        parts: list[str | tuple[MethodText, MethodText]] = []
        rows: list[Row] = []
        line = header_end(self.module, self.owner)[0] + 1
        dropped = {backward_method_name(method) for _, method, _ in self.pairs.values()}
        simple: list[str] = []
        for statement in self.owner.body:
            if not isinstance(statement, ast.FunctionDef):
                simple += self._plain(statement, line)
            else:
                parts += ["\n".join(simple)] if simple else []
                simple = []
                if statement.name in self.pairs:
                    pair, row = method_pair(*self.pairs[statement.name], self.kept)
                    parts.append(pair)
                    rows.append(row)
                elif statement.name not in dropped:
                    self._check(statement)
                    parts.append("\n".join(self._plain(statement, line)))
            line = (statement.end_lineno or statement.lineno) + 1
        parts += ["\n".join(simple)] if simple else []
        above = ["\n".join(self._plain(one, one.lineno)) for one in self.tables]
        plain = "\n".join([*above, *(part for part in parts if isinstance(part, str))])
        return ClassText("\n\n\n".join([*above, self._head()]), tuple(parts), tuple(rows), plain)

    def _head(self) -> str:
        line, column = header_end(self.module, self.owner)
        span = span_of(self.module, self.owner)
        first = min([span.line, *(one.lineno for one in self.owner.decorator_list)])
        return "\n".join([*self.module.lines[first - 1 : line - 1], self.module.lines[line - 1][:column]])

    def _plain(self, statement: ast.stmt, first: int) -> list[str]:
        """A statement as it stands, with the comments above it and without annotations of shapes."""
        decorators = statement.decorator_list if isinstance(statement, ast.FunctionDef) else []
        begin = min([statement.lineno, *(one.lineno for one in decorators)])
        edits = Edits(self.module.text)
        for part in ast.walk(statement):
            if isinstance(part, ast.arg) and part.annotation is not None and self._is_shape(part):
                edits.replace(span_of(self.module, part), part.arg)
        above = [line for line in self.module.lines[first - 1 : begin - 1] if line.strip()]
        end = span_of(self.module, statement)
        last = len(self.module.lines[end.end_line - 1])
        text = edits.rendered(Span(begin, 0, end.end_line, last))
        lines = textwrap.dedent("\n".join([*above, text])).split("\n")
        if lines[0][:1].isspace():  # a string that reaches further left than the code
            return ast.unparse(statement).split("\n")
        return lines

    def _is_shape(self, argument: ast.arg) -> bool:
        assert argument.annotation is not None
        if isinstance(argument.annotation, ast.Constant):
            return isinstance(argument.annotation.value, str)
        try:
            said = read_annotation(self.module, argument.arg, argument.annotation)
        except Unreadable:
            return False
        return said is not None and said.shape is not None and isinstance(argument.annotation, ast.Subscript)

    def _check(self, method: ast.FunctionDef) -> None:
        """Whether the module will define all that a method which is kept reads."""
        module = self.module
        known = {*module.imports, *module.functions, *module.constants, *self.classes, *dir(builtins)}
        known |= {name for table in _tables(module, self.owner) for name in _targets(table)}
        bound = {part.id for part in stores(method)}
        bound |= {part.arg for part in ast.walk(method) if isinstance(part, ast.arg)}
        bound |= {part.name for part in ast.walk(method) if isinstance(part, ast.FunctionDef | ast.ClassDef)}
        bound |= {p.name for p in ast.walk(method) if isinstance(p, ast.ExceptHandler) and p.name}
        for part in ast.walk(method):
            match part:
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    bound |= {(one.asname or one.name).partition(".")[0] for one in names}
        for part in ast.walk(method):
            if isinstance(part, ast.Name) and MARK not in part.id and part.id not in known | bound:
                message = f"{self.owner.name}.{method.name} reads {part.id}, which the module would not define"
                help = "bind it to a constant at the head of the file, or import it"
                raise Refused((Diagnostic("FG045", message, span_of(module, part), "", help),))
