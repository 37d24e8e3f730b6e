"""The lines of a forward function and its backward one as those of two methods: the cache is kept on the object."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from flatgrad.emit.edits import Edits
from flatgrad.emit.names import Scope
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.emit.variables import binds_any, span_in, stores, variables
from flatgrad.frontend.methods import MARK, VALUES, Method, bare
from flatgrad.ir.core import Call, Span, every_step


class KeptNames:
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


class MethodLines:
    """The two functions of a method on their way to two methods."""

    def __init__(self, plan: FunctionPlan, method: Method, text: FunctionText, kept: KeptNames) -> None:
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
        own = {part.id for tree in (self.tree, self.back_tree) for part in variables(tree)}
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
                        edits.replace(span_in(self.back, part), upstream)
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
        count = Counter(part.id for part in stores(self.tree))
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
                if not changed and not binds_any(self.tree, name):
                    return ast.unparse(node)
        return None

    # Forward

    def forward_lines(self) -> tuple[str, ...]:
        source = "\n".join(self.lines)
        edits = Edits(source)
        renamed = {name: kept for name, kept in self.kept.items() if name not in self.users and kept != name}
        for part in ast.walk(self.tree):
            if isinstance(part, ast.Name) and part.id in renamed:
                edits.replace(span_in(self.lines, part), renamed[part.id])
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
                    begin = span_in(self.lines, target)
                    edits.replace(Span(begin.line, begin.column, begin.line, self._equals(begin)), "return ")
                    dropped.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
                    continue
            end, tail = span_in(self.lines, last), span_in(self.lines, statement)
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
        loads = {part.id for part in variables(self.tree) if isinstance(part.ctx, ast.Load)}
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
        stored = {part.id for part in stores(self.back_tree)}
        # What backward binds again, as the index of its loop, is a variable: the object keeps what forward left.
        again = [name for name in self.kept if name in stored]
        for name in again:
            del renamed[name]
        for part in variables(self.back_tree):
            wanted = renamed.get(part.id, part.id)
            local = MARK in part.id and (not part.id.startswith(self.receiver) or part.id in stored)
            if part.id not in renamed and local:
                wanted = self.local(part.id)
            if wanted != part.id:
                edits.replace(span_in(self.back, part), wanted)
        added = [(1, f"{name} = {self.kept[name]}") for name in again] + self._apart_lines(edits)
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


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _returns(statement: ast.stmt) -> bool:
    return any(isinstance(part, ast.Return) for part in ast.walk(statement))


def _binds(statement: ast.stmt, name: str) -> bool:
    return binds_any(statement, name)
