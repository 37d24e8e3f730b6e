"""Classes with a backward pass: the user's own, their methods as they are, what backward needs kept on the object.

The pair of functions that a method would be becomes two methods: what stands in the cache is assigned to attributes
where it is bound, and read from them again.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.docstrings import is_spoken
from flatgrad.emit.edits import Edits
from flatgrad.emit.names import Scope
from flatgrad.emit.plan import ClassText, FunctionPlan, FunctionText, MethodText, ModulePlan
from flatgrad.frontend.annotations import read_annotation
from flatgrad.frontend.contracts import lineage, method_of
from flatgrad.frontend.methods import MARK, VALUES, Method, bare, spoken
from flatgrad.frontend.shapetext import Unreadable
from flatgrad.frontend.source import Module, header_end, span_of
from flatgrad.ir.core import Call, Span, every_step

# One row of the table at the head of the module.
Row = tuple[str, str]


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
        for name in _free_names(owner):
            if name in found and name not in wanted:
                wanted.add(name)
                pending.append(name)
    texts = []
    kept = _KeptNames(plan)
    for name, owner in found.items():
        if name in wanted:
            pairs = {
                module.methods[key].name: (plans[key], module.methods[key], functions[key])
                for key in plans
                if module.methods[key].owner is owner
            }
            texts.append(_ClassWriter(module, owner, pairs, found, kept).text())
    return tuple(texts)


def class_rows(plan: ModulePlan, classes: Iterable[ClassText]) -> list[str]:
    """The rows of the table: each method with its backward pass."""
    rows = [row for one in classes for row in one.rows]
    width = max((len(first) for first, _ in rows), default=0)
    return [f"{first.ljust(width)}  {second}" for first, second in rows]


def _free_names(node: ast.AST) -> list[str]:
    return list(dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name)))


class _KeptNames:
    """The attributes on which the methods of one pass keep what their backward passes read: none may be that of two."""

    def __init__(self, plan: ModulePlan) -> None:
        calls = {
            one.name: {step.function for step in every_step(one.lowered.function.block) if isinstance(step, Call)}
            for one in plan.functions
            if one.name in plan.module.methods
        }
        self._with = {name: called & calls.keys() for name, called in calls.items()}
        self._names: dict[str, frozenset[str]] = {}

    def beside(self, method: str) -> frozenset[str]:
        """What is taken by the methods that may run in one pass with this one."""
        passes = [self._pass(one) for one in self._with]
        others = frozenset[str]().union(*(one for one in passes if method in one))
        return frozenset[str]().union(*(self._names.get(one, frozenset()) for one in others - {method}))

    def _pass(self, method: str) -> set[str]:
        found = [method]
        for one in found:
            found += [called for called in self._with[one] if called not in found]
        return set(found)

    def take(self, method: str, names: Iterable[str]) -> None:
        self._names[method] = frozenset(names)


@dataclass(frozen=True, slots=True)
class _ClassWriter:
    """One class: `pairs` are the methods that are written anew."""

    module: Module
    owner: ast.ClassDef
    pairs: Mapping[str, tuple[FunctionPlan, Method, FunctionText]]
    classes: Mapping[str, ast.ClassDef]
    kept: _KeptNames

    def text(self) -> ClassText:
        parts: list[str | tuple[MethodText, MethodText]] = []
        rows: list[Row] = []
        line = header_end(self.module, self.owner)[0] + 1
        dropped = {_backward_name(method) for _, method, _ in self.pairs.values()}
        simple: list[str] = []
        for statement in self.owner.body:
            if not isinstance(statement, ast.FunctionDef):
                simple += self._plain(statement, line)
            else:
                parts += ["\n".join(simple)] if simple else []
                simple = []
                if statement.name in self.pairs:
                    pair, row = _method_pair(*self.pairs[statement.name], self.kept)
                    parts.append(pair)
                    rows.append(row)
                elif statement.name not in dropped:
                    self._check(statement)
                    parts.append("\n".join(self._plain(statement, line)))
            line = (statement.end_lineno or statement.lineno) + 1
        parts += ["\n".join(simple)] if simple else []
        plain = "\n".join(part for part in parts if isinstance(part, str))
        return ClassText(self._head(), tuple(parts), tuple(rows), plain)

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
        bound = {part.id for part in _stores(method)}
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


# One method


def _method_pair(
    plan: FunctionPlan, method: Method, text: FunctionText, kept: _KeptNames
) -> tuple[tuple[MethodText, MethodText], Row]:
    backward_name = _backward_name(method)
    owner = method.owner.name
    results = ", ".join(text.results)
    if not method.receiver:
        forward = MethodText("@staticmethod", method.name, text.forward.signature, text.docstring, text.forward.lines)
        lines = (*text.backward_lines, f"return {text.backward_results}")
        backward = MethodText("@staticmethod", backward_name, text.backward_parameters, text.backward_docstring, lines)
        gradients = ", ".join(text.gradients)
        row = (
            f"{owner}.{method.name}({text.arguments}) -> {results}, cache;",
            f"{owner}.{backward_name}({text.backward_parameters}) -> {gradients}",
        )
        return (forward, backward), row
    writer = _Pair(plan, method, text, kept)
    forward_lines = writer.forward_lines()
    lines, returned, assigned = writer.backward_lines()
    parameters = text.backward_parameters.rpartition(", ")[0]
    upstream = [one for one in parameters.split(", ") if one]
    said = _backward_docstring(plan, [writer.upstream.get(name, name) for name in upstream], method)
    own = _own_signature(method, text.forward.signature)
    signature = f"{method.receiver}, {own}" if own else method.receiver
    forward = MethodText("", method.name, signature, text.docstring.replace(method.receiver + MARK, ""), forward_lines)
    renamed = [writer.upstream.get(name) or writer.local(name) for name in upstream]
    backward = MethodText("", backward_name, ", ".join([method.receiver, *renamed]), said, lines)
    arguments = ", ".join(name for name in text.arguments.split(", ") if name and MARK not in name)
    spoken_results = ["out" if f"d{name}" in writer.upstream else bare(name) for name in text.results]
    gives = f" -> {', '.join(returned)}" if returned else ""
    sets = f"{',' if returned else ''} sets {', '.join(assigned)}" if assigned else ""
    row = (
        f"{owner}.{method.name}({arguments}) -> {', '.join(spoken_results)};",
        f"{owner}.{backward_name}({', '.join(renamed)}){gives}{sets}",
    )
    return (forward, backward), row


def _backward_name(method: Method) -> str:
    return "backward" if method.is_forward else f"{method.name}_backward"


def _own_signature(method: Method, signature: str) -> str:
    """The parameters without the attributes, which stand at the end."""
    if not method.attributes:
        return signature
    added = ", ".join(method.attributes)
    rest = signature.removesuffix(added).rstrip(", ")
    return rest.removesuffix("*").rstrip(", ") if rest.endswith("*") else rest


def _backward_docstring(plan: FunctionPlan, upstream: Sequence[str], method: Method) -> str:
    """`Gradients from dout (N, M): returns dx (N, D); sets dW (D, M), db (M,).`"""
    wrt = plan.backward.wrt
    if not any(is_spoken(value.type.shape) for value in wrt):
        return ""

    def said(attributes: bool) -> str:
        chosen = [value for value in wrt if (MARK in value.name and method.is_forward) is attributes]
        return ", ".join(
            f"d{bare(value.name)} {value.type.shape}"
            if is_spoken(value.type.shape)
            else f"d{bare(value.name)} like {bare(value.name)}"
            for value in chosen
        )

    results = [plan.lowered.results[position] for position in plan.backward.upstream]
    head = "Gradient" if len(wrt) == 1 else "Gradients"
    if len(results) == 1 and results[0].value.type.shape.is_scalar:
        source = f"{head} of {bare(results[0].name) or 'out'}"
    else:
        shapes = [result.value.type.shape for result in results]
        parts = [
            f"d{bare(name[1:])}{f' {shape}' if is_spoken(shape) else ''}"
            for name, shape in zip(upstream, shapes, strict=True)
        ]
        source = f"{head} from {', '.join(parts)}"
    returned, assigned = said(False), said(True)
    parts = ([f"returns {returned}"] if returned else []) + ([f"sets {assigned}"] if assigned else [])
    return f"{source}: {'; '.join(parts)}."


class _Pair:
    """The two functions of a method on their way to two methods."""

    def __init__(self, plan: FunctionPlan, method: Method, text: FunctionText, kept: _KeptNames) -> None:
        self.plan = plan
        self.method = method
        self.text = text
        self.receiver = method.receiver + MARK
        self.cached = text.forward.returned
        self.lines = "\n".join(text.forward.lines).split("\n")
        self.tree = ast.parse("\n".join(self.lines))
        self.users = {part.id for part in ast.walk(method.original) if isinstance(part, ast.Name)}
        self.users |= {part.arg for part in ast.walk(method.original) if isinstance(part, ast.arg)}
        back = "\n".join(text.backward_lines).split("\n")
        self.back = back[1:] if self.cached else back
        self.back_tree = ast.parse("\n".join(self.back))
        gradients = [f"d{bare(value.name)}" for value in plan.backward.wrt if MARK in value.name]
        self.scope = Scope((method.taken - set(gradients)) | set(gradients) | kept.beside(plan.name))
        own = {part.id for tree in (self.tree, self.back_tree) for part in _variables(tree)}
        self.locals = Scope({*own, *self.users, *text.forward.results})
        self._local: dict[str, str] = {}
        # What the upstream gradient of a result is called that bears the name of a parameter.
        self.upstream = self._apart()
        self.kept: dict[str, str] = {}
        self.inserted: set[str] = set()
        for name in self.cached:
            self._keep(name)
        kept.take(plan.name, (bare(one) for one in self.kept.values()))

    def _apart(self) -> dict[str, str]:
        """`dout` for the gradient of a result that is called like a parameter: that has a gradient of its own."""
        parameters = {value.name for value in self.plan.lowered.function.block.params}
        results = [self.plan.lowered.results[position].name for position in self.plan.backward.upstream]
        found: dict[str, str] = {}
        for name in results:
            if name in parameters and f"d{name}" in self.text.backward_parameters.split(", "):
                found[f"d{name}"] = self.locals.take("dout" if len(results) == 1 else f"d{name}_out")
        return found

    def _apart_lines(self, edits: Edits) -> list[tuple[int, str]]:
        """Before the first line that binds such a name again it is the upstream gradient."""
        added: list[tuple[int, str]] = []
        for name, upstream in self.upstream.items():
            for statement in self.back_tree.body:
                binds = _binds(statement, name)
                if binds and not isinstance(statement, ast.Assign):
                    added.append((statement.lineno, f"{name} = {upstream}"))
                    break
                for part in ast.walk(statement):
                    if isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load):
                        edits.replace(_span(self.back, part), upstream)
                if binds:
                    break
        return added

    def _keep(self, name: str) -> None:
        """Decide on which attribute a name of the cache is kept."""
        if name.startswith(self.receiver):
            return
        held = self._held(name)
        if held is not None:
            self.kept[name] = held
            return
        self.kept[name] = self.receiver + self.scope.take(name.replace(self.receiver, ""))
        if name in self.users:
            self.inserted.add(name)

    def _held(self, name: str) -> str | None:
        """An attribute that holds what the name does from where it is bound to the end: `self.x = x`."""
        count = Counter(part.id for part in _stores(self.tree))
        parameters = {value.name for value in self.plan.lowered.function.block.params}
        if count[name] + (name in parameters) != 1:
            return None
        for statement in self.tree.body:
            if _returns(statement):
                return None
            match statement:
                case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Subscript() as value) if bound == name:
                    return self._entry(value)
                case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                    for target, value in zip(targets, values, strict=False):
                        if isinstance(target, ast.Name) and target.id == name and isinstance(value, ast.Subscript):
                            return self._entry(value)
                case ast.Assign(targets=targets, value=value):
                    names = [target.id for target in targets if isinstance(target, ast.Name)]
                    held = [one for one in names if one.startswith(self.receiver) and count[one] == 1]
                    same = (isinstance(value, ast.Name) and value.id == name) or name in names
                    if held and same and len(names) == len(targets):
                        return held[0]
        return None

    def _entry(self, node: ast.Subscript) -> str | None:
        """`self.params["W1"]`, where the method changes nothing of the dict."""
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str())) if name.startswith(
                self.receiver
            ):
                parents = [part for part in ast.walk(self.tree) if isinstance(part, ast.Subscript | ast.Call)]
                changed = any(
                    isinstance(part, ast.Subscript) and not isinstance(part.ctx, ast.Load) and _root(part) == name
                    for part in parents
                ) or any(
                    isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and _root(part.func) == name
                    for part in parents
                )
                if not changed and not _binds_any(self.tree, name):
                    return ast.unparse(node)
        return None

    # Forward

    def forward_lines(self) -> tuple[str, ...]:
        source = "\n".join(self.lines)
        edits = Edits(source)
        renamed = {name: kept for name, kept in self.kept.items() if name not in self.users and kept != name}
        for part in ast.walk(self.tree):
            if isinstance(part, ast.Name) and part.id in renamed:
                edits.replace(_span(self.lines, part), renamed[part.id])
        dropped: set[int] = set()
        added: dict[int, list[str]] = {}
        self._returns(self.tree.body, edits, dropped)
        self._unread(dropped)
        head = len(self.plan.guards)
        for name in self.cached:
            if name in self.inserted:
                for line, indent in self._places(name, head):
                    added.setdefault(line, []).append(" " * indent + f"{self.kept[name]} = {name}")
        first = added.pop(0, [])
        for number in dropped:
            end = (number + 1, 0) if number < len(self.lines) else (number, len(self.lines[number - 1]))
            edits.replace(Span(number, 0, *end), "")
        for number, more in added.items():
            last = len(self.lines[number - 1])
            edits.replace(Span(number, last, number, last), "".join(f"\n{line}" for line in more))
        text = edits.rendered(Span(1, 0, len(self.lines), len(self.lines[-1])))
        return (*first, *text.rstrip("\n").split("\n"))

    def _places(self, name: str, head: int) -> Iterator[tuple[int, int]]:
        """The lines behind which a name is kept, with their indentation: where it is bound, but behind loops."""
        given = any(value.name == name for value in self.plan.lowered.function.block.params)
        body = self.tree.body
        sure = [k for k, one in enumerate(body) if not isinstance(one, ast.If) and _binds(one, name)]
        if given and not sure:
            yield head, 0
        # What is bound once more on every way need not be kept before.
        first = max((k for k in sure if not any(_returns(one) for one in body[:k])), default=0)
        yield from dict.fromkeys(self._bindings(body[first:], name))

    def _bindings(self, body: Sequence[ast.stmt], name: str) -> Iterator[tuple[int, int]]:
        for statement in body:
            if not _binds(statement, name):
                continue
            if isinstance(statement, ast.If):
                yield from self._bindings([*statement.body, *statement.orelse], name)
            else:
                yield statement.end_lineno or statement.lineno, statement.col_offset

    def _returns(self, body: Sequence[ast.stmt], edits: Edits, dropped: set[int]) -> None:
        """`return out, cache` without the cache; a result that only the return reads needs no name."""
        for position, statement in enumerate(body):
            for inner in (getattr(statement, "body", []), getattr(statement, "orelse", [])):
                self._returns(inner, edits, dropped)
            if not isinstance(statement, ast.Return) or not isinstance(statement.value, ast.Tuple):
                continue
            *results, _ = statement.value.elts
            last = results[-1]
            name = last.id if isinstance(last, ast.Name) else ""
            before = body[position - 1] if position else None
            match before:
                case ast.Assign(targets=[ast.Name(id=bound) as target]) if (
                    bound == name and len(results) == 1 and name not in self.users and name not in self.kept
                ):
                    begin = _span(self.lines, target)
                    edits.replace(Span(begin.line, begin.column, begin.line, self._equals(begin)), "return ")
                    dropped.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
                    continue
            end, tail = _span(self.lines, last), _span(self.lines, statement)
            # A result in parentheses of its own keeps them: its span ends before they close.
            line, column = self._comma(end.end_line, end.end_column)
            edits.replace(Span(line, column, tail.end_line, tail.end_column), "")

    def _comma(self, line: int, column: int) -> tuple[int, int]:
        """Where the comma behind an element of a tuple is: there may be parentheses and comments before it."""
        while True:
            text = self.lines[line - 1]
            place = column + len(text[column:]) - len(text[column:].lstrip(") \t"))
            if text[place : place + 1] == ",":
                return line, place
            line, column = line + 1, 0

    def _equals(self, target: Span) -> int:
        """The column behind the equals sign of an assignment."""
        found = re.compile(r"\s*=\s*").match(self.lines[target.line - 1], target.end_column)
        return found.end() if found is not None else target.end_column

    def _unread(self, dropped: set[int]) -> None:
        """`self.cache = (x, w)` of the user's own backward pass, where nothing reads it any longer."""
        loads = {part.id for part in _variables(self.tree) if isinstance(part.ctx, ast.Load)}
        read = loads | self.method.read_elsewhere | set(self.cached) | set(self.kept.values())
        for statement in ast.walk(self.tree):
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple() | ast.List() | ast.Dict() as value) if (
                    name.startswith(self.receiver) and name not in read and statement in self.tree.body
                ):
                    if not any(isinstance(part, ast.Call) for part in ast.walk(value)):
                        dropped.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))

    # Backward

    def backward_lines(self) -> tuple[tuple[str, ...], list[str], list[str]]:
        """The lines, the gradients that are returned, and those that are assigned to the object."""
        text = self.text.backward_results
        names = text.split(", ") if text else []
        renamed: dict[str, str] = dict(self.kept)
        returned: list[str] = []
        said: list[str] = []
        assigned: list[str] = []
        for value, name in zip(self.plan.backward.wrt, names, strict=True):
            if MARK in value.name and self.method.is_forward:
                renamed[name] = f"{self.receiver}d{bare(value.name)}"
                assigned.append(f"d{bare(value.name)}")
            else:
                returned.append(self.local(name) if MARK in name else name)
                if name in self.upstream and not any(_binds(one, name) for one in self.back_tree.body):
                    returned[-1] = self.upstream[name]
                said.append(f"d{bare(value.name)}")
        edits = Edits("\n".join(self.back))
        stored = {part.id for part in _stores(self.back_tree)}
        for part in _variables(self.back_tree):
            wanted = renamed.get(part.id, part.id)
            local = MARK in part.id and (not part.id.startswith(self.receiver) or part.id in stored)
            if part.id not in renamed and local:
                wanted = self.local(part.id)
            if wanted != part.id:
                edits.replace(_span(self.back, part), wanted)
        added = self._apart_lines(edits)
        for number, line in added:
            edits.replace(Span(number, 0, number, 0), f"{line}\n")
        text = edits.rendered(Span(1, 0, len(self.back), len(self.back[-1]))) if self.back else ""
        # What a dict holds has no places of its own.
        lines = re.sub(rf"\b(\w+{VALUES})\[", r"list(\1)[", text).split("\n") if text else []
        if returned:
            lines.append(f"return {', '.join(returned)}")
        return tuple(lines or ["pass"]), said, assigned

    def local(self, name: str) -> str:
        """A variable that is named after an attribute, and is none."""
        if MARK not in name:
            return name
        if name not in self._local:
            self._local[name] = self.locals.take(name.replace(self.receiver, ""))
        return self._local[name]


def _variables(tree: ast.AST) -> Iterator[ast.Name]:
    return (part for part in ast.walk(tree) if isinstance(part, ast.Name))


def _stores(tree: ast.AST) -> Iterator[ast.Name]:
    return (part for part in _variables(tree) if not isinstance(part.ctx, ast.Load))


def _binds_any(tree: ast.AST, name: str) -> bool:
    return any(part.id == name for part in _stores(tree))


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _returns(statement: ast.stmt) -> bool:
    return any(isinstance(part, ast.Return) for part in ast.walk(statement))


def _binds(statement: ast.stmt, name: str) -> bool:
    return _binds_any(statement, name)


def _span(lines: Sequence[str], node: ast.expr | ast.stmt) -> Span:
    """The place of a node in characters."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None

    def column(line: int, offset: int) -> int:
        return len(lines[line - 1].encode()[:offset].decode(errors="ignore"))

    begin, end = column(node.lineno, node.col_offset), column(node.end_lineno, node.end_col_offset)
    return Span(node.lineno, begin, node.end_lineno, end)


# Static methods


def with_own_results(plan: ModulePlan, text: str) -> str:
    """The text of a module whose calls of static methods get what the user's own returned: where a cache has come
    behind the results, they leave it out.

    Raises:
        Refused: FG045 where such a method is handed on, so that who calls it is not known.
    """
    pairs = {
        (method.owner.name, method.name): len(one.lowered.results)
        for one in plan.functions
        if (method := plan.module.methods.get(one.name)) is not None and not method.receiver
        if [result.position for result in one.lowered.results] == list(range(one.lowered.width))
    }
    if not pairs:
        return text
    tree = ast.parse(text)
    lines = text.split("\n")
    edits = Edits(text)
    called: set[ast.expr] = set()
    for owner, node in _named_parts(tree):
        match node:
            case ast.Call(func=ast.Attribute() as function) if _static(function, owner, tree) in pairs:
                called.add(function)
                end = _span(lines, node)
                count = pairs[_static(function, owner, tree)]
                edits.replace(
                    Span(end.end_line, end.end_column, end.end_line, end.end_column), "[0]" if count == 1 else "[:-1]"
                )
            case ast.Attribute() if node not in called and _static(node, owner, tree) in pairs:
                name = ".".join(_static(node, owner, tree))
                message = f"{name} returns its cache as well now, and it is handed on"
                raise Refused((Diagnostic("FG045", message, None, "", "call it where it is needed"),))
    return edits.rendered(Span(1, 0, len(lines), len(lines[-1])))


def _named_parts(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """All parts of a module, calls before what is called, with the class in which each stands or ''."""
    for statement in tree.body:
        owner = statement.name if isinstance(statement, ast.ClassDef) else ""
        yield from ((owner, part) for part in ast.walk(statement))


def _static(node: ast.Attribute, owner: str, tree: ast.Module) -> tuple[str, str]:
    """The class and the name of what `Linear.forward` and, inside its class, `self.forward` mean."""
    if not isinstance(node.value, ast.Name):
        return "", ""
    classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
    first = owner if node.value.id in ("self", "cls") else node.value.id
    if first not in classes:
        return "", ""
    found = method_of(node.attr, lineage(classes[first], classes)[0])
    return (found[0].name, node.attr) if found is not None else ("", "")


# The whole text


_STRING = re.compile(r"""(?<!\w)([fF][rR]?|[rR][fF])?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")


def unmarked(text: str) -> str:
    """A text with its attributes as Python spells them; what a string says of them goes without their object."""

    def plain(match: re.Match[str]) -> str:
        whole = match.group(0)
        if MARK not in whole:
            return whole
        if not match.group(1):
            return re.sub(rf"\w+{MARK}", "", whole)
        parts = re.split(r"(\{[^{}]*\})", whole)
        return "".join(spoken(p) if p.startswith("{") else re.sub(rf"[^\W{MARK}]+{MARK}", "", p) for p in parts)

    return spoken(_STRING.sub(plain, text))
