"""Functions inside functions that are more than an expression, read as functions of the module.

    def f(x, w):                              def f(x, w):
        def poly(z):                              return np.sum(poly(x, w))
            s = 0.0
            for k in range(3):                def poly(z, w):
                s = s + z**k * w                  s = 0.0
            return s                              ...
        return np.sum(poly(x))

What the function reads of the one around it is handed over at each call: there it stands for what it stands for when
the function runs. A function that changes something of the one around it, and returns nothing, is written out where it
is called.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.emit.names import numbered_name
from flatgrad.frontend.flattened import Renamed, calls_in, matched_arguments, stored_in, without_docstring
from flatgrad.frontend.liveness import arguments
from flatgrad.frontend.rewriting import Moved, rearranged, replaced
from flatgrad.frontend.source import Module, header_end, span_of
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.ir.core import Span

Function = ast.FunctionDef
# Statements that are more than names for expressions.
_TURNS = (ast.For, ast.While, ast.AugAssign, ast.With, ast.If, ast.Try, ast.Delete)
_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_UNLIKE = (ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.Await, ast.FunctionDef, ast.ClassDef, ast.NamedExpr)


def without_nested(whole: Unfolded) -> Unfolded | None:
    """The text with one such function moved to the top level or written out; None where there is none."""
    module = whole.module
    for outer in module.functions.values():
        if outer not in module.tree.body:
            continue
        for block in _blocks(outer):
            for inner in block:
                found = _Nested.of(module, outer, inner) if isinstance(inner, Function) else None
                if found is None:
                    continue
                made = found.in_place(whole) if found.changes else found.at_top(whole)
                if made is not None:
                    return made
    return None


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
            for statement in block:
                if not isinstance(statement, Function | ast.ClassDef):
                    yield from _blocks(statement)


@dataclass(frozen=True, slots=True)
class _Nested:
    """A function inside another one.

    Attributes:
        reads: the names of the function around it that it reads.
        changes: whether it changes what one of them stands for.
        calls: where it is called.
    """

    module: Module
    outer: Function
    node: Function
    reads: tuple[str, ...]
    changes: bool
    calls: tuple[ast.Call, ...]

    @staticmethod
    def of(module: Module, outer: Function, node: Function) -> _Nested | None:
        body = without_docstring(node.body)
        parts = [part for statement in body for part in ast.walk(statement)]
        if node.decorator_list or node.args.vararg or node.args.kwarg or any(isinstance(one, _UNLIKE) for one in parts):
            return None
        own = {one.arg for one in arguments(node.args)} | stored_in(body)
        around = {one.arg for one in arguments(outer.args)} | stored_in(outer.body) | _defined(outer)
        read = {part.id for part in parts if isinstance(part, ast.Name)} - own
        captured = tuple(sorted(read & around))
        if node.name in captured or _defined(outer) & set(captured):
            return None
        changed = {_root(part) for part in parts if _is_change(part)} & set(captured)
        if not changed and not any(isinstance(part, _TURNS) for part in parts):
            return None
        # Every use is a call, and nobody else bears the name.
        uses = [part for part in ast.walk(outer) if isinstance(part, ast.Name) and part.id == node.name]
        calls = [part for part in ast.walk(outer) if isinstance(part, ast.Call) and part.func in uses]
        if len(calls) != len(uses) or not calls or stored_in(outer.body) & {node.name}:
            return None
        if any(_shadows(outer, call, captured) or matched_arguments(node, call) is None for call in calls):
            return None
        return _Nested(module, outer, node, captured, bool(changed), tuple(calls))

    # At the top level

    def at_top(self, whole: Unfolded) -> Unfolded | None:
        module = self.module
        around = next((one for one in module.tree.body if one is self.outer), None)
        span = span_of(module, self.node)
        if around is None or module.lines[span.line - 1][: span.column].strip():
            return None
        name = numbered_name(self.node.name, lambda one: one == self.node.name or one not in module.bound)
        if name in module.bound:
            name = numbered_name(f"{self.outer.name}_{self.node.name}", lambda one: one not in module.bound)
        places = {call: span_of(module, call) for call in self.calls}
        if any(place.line != place.end_line for place in places.values()):
            return None
        edits = [
            (place, self._handed(call, name, places))
            for call, place in places.items()
            if not any(_within(place, other) for one, other in places.items() if one is not call)
        ]
        moved = Moved(around, self._lines(name))
        return rearranged(whole, edits, [moved], [self.node])

    def _handed(self, call: ast.Call, name: str, places: Mapping[ast.Call, Span]) -> str:
        """A call with what is handed over besides; so are those among its arguments."""
        place, texts = places[call], list[str]()
        line = self.module.lines[place.line - 1]
        start = line.index("(", place.column) + 1
        inner = [one for one in self.calls if one is not call and _within(places[one], place)]
        for one in sorted(inner, key=lambda part: places[part].column):
            if places[one].column >= start:
                texts += [line[start : places[one].column], self._handed(one, name, places)]
                start = places[one].end_column
        texts.append(line[start : place.end_column - 1])
        by_name = bool(call.keywords or self.node.args.defaults or self.node.args.kwonlyargs)
        given = "".join(texts).rstrip().rstrip(",")
        handed = [f"{one}={one}" if by_name else one for one in self.reads]
        return f"{name}({', '.join(filter(None, [given, *handed]))})"

    def _lines(self, name: str) -> list[tuple[str, int]]:
        """The lines of the function, with what is handed over among its parameters."""
        module, node = self.module, self.node
        head = copy.deepcopy(node)
        extra = [ast.arg(one) for one in self.reads]
        if node.args.defaults or node.args.kwonlyargs:
            head.args.kwonlyargs += extra
            head.args.kw_defaults += [None] * len(extra)
        else:
            head.args.args += extra
        head.name, head.body = name, [ast.Pass()]
        first = ast.unparse(ast.fix_missing_locations(head)).split("\n")[0]
        line, column = header_end(module, node)
        rest = module.lines[line - 1][column:].strip()
        if rest and not rest.startswith("#"):
            whole = ast.unparse(ast.Module([*node.body], [])).split("\n")
            return [(first, node.lineno), *((f"    {one}", node.lineno) for one in whole)]
        indent = node.col_offset
        below = [
            (module.lines[number - 1][indent:], number) for number in range(line + 1, (node.end_lineno or line) + 1)
        ]
        return [(f"{first}  {rest}".rstrip(), node.lineno), *below]

    # In the place of its calls

    def in_place(self, whole: Unfolded) -> Unfolded | None:
        """The text with one call written out, or without the function where none is left."""
        body = without_docstring(self.node.body)
        if any(isinstance(part, ast.Return) for one in body for part in ast.walk(one)):
            return None
        for statement in ast.walk(self.outer):
            match statement:
                case ast.Expr(value=ast.Call() as call) if call in self.calls:
                    last = len(self.calls) == 1
                    made = replaced(whole, statement, self._statements(call))
                    return _without(made, self.outer.name, self.node.name) if last else made
                case ast.stmt() if any(call in self.calls for call in calls_in(statement)):
                    return None
        return None

    def _statements(self, call: ast.Call) -> Sequence[ast.stmt]:
        taken = {part.id for part in ast.walk(self.outer) if isinstance(part, ast.Name)} | set(self.module.bound)
        taken |= {one.arg for one in arguments(self.outer.args)}
        body = [copy.deepcopy(one) for one in without_docstring(self.node.body)]
        stored = stored_in(body)
        names: dict[str, ast.expr] = {}
        heads: list[ast.stmt] = []

        def fresh(wanted: str) -> str:
            # The function's own use of the name counts for nothing: it is what is renamed.
            outside = taken - stored if wanted in stored and wanted not in self._elsewhere() else taken
            name = numbered_name(wanted, lambda one: one not in outside)
            taken.add(name)
            return name

        for parameter, given in (matched_arguments(self.node, call) or {}).items():
            if isinstance(given, ast.Name | ast.Constant) and parameter not in stored:
                names[parameter] = given
                continue
            name = fresh(parameter)
            heads.append(ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], given), call))
            names[parameter] = ast.Name(name, ast.Load())
        for name in sorted(stored):
            names.setdefault(name, ast.Name(fresh(name), ast.Load()))
        return [*heads, *(Renamed(names).visit(one) for one in body)]

    def _elsewhere(self) -> set[str]:
        """The names of the function around it outside of this one."""
        own = set(ast.walk(self.node))
        return {part.id for part in ast.walk(self.outer) if isinstance(part, ast.Name) and part not in own}


def _without(whole: Unfolded, outer: str, name: str) -> Unfolded:
    node = next(
        one for block in _blocks(whole.module.functions[outer]) for one in block
        if isinstance(one, Function) and one.name == name
    )  # fmt: skip
    return rearranged(whole, (), (), [node])


def _defined(outer: Function) -> set[str]:
    """The functions and classes inside a function."""
    return {one.name for block in _blocks(outer) for one in block if isinstance(one, Function | ast.ClassDef)}


def _is_change(part: ast.AST) -> bool:
    match part:
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute())):
            return True
    return False


def _root(part: ast.AST) -> str:
    while not isinstance(part, ast.Name):
        match part:
            case ast.Subscript(value=inner) | ast.Attribute(value=inner) | ast.Expr(value=inner):
                part = inner
            case ast.Call(func=inner):
                part = inner
            case _:
                return ""
    return part.id


def _shadows(outer: Function, call: ast.Call, names: Sequence[str]) -> bool:
    """Whether a call stands where one of the names is another thing than in the function around it."""
    for scope in ast.walk(outer):
        if isinstance(scope, Function) and scope is not outer and any(part is call for part in ast.walk(scope)):
            bound = {one.arg for one in arguments(scope.args)} | stored_in(scope.body)
        elif isinstance(scope, ast.Lambda) and any(part is call for part in ast.walk(scope)):
            bound = {one.arg for one in arguments(scope.args)}
        elif isinstance(scope, _SCOPES) and any(part is call for part in ast.walk(scope)):
            bound = stored_in([scope])
        else:
            continue
        if bound & set(names):
            return True
    return False


def _within(one: Span, other: Span) -> bool:
    return one.line == other.line and other.column <= one.column and one.end_column <= other.end_column
