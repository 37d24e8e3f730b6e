"""Functions that hand each other tuples, written as one.

`out, cache = f_forward(x)` and then `dx = f_backward(dout, cache)`: what the one hands to the other is no number and no
array, so neither is a step of its own with a gradient. A function that does this is read as if the statements of both
stood in it, each under names of its own; so is one that calls such a function. What the compiler writes is of this
kind: that is how it reads its own modules.

A function whose own backward code alone does so stays as it is, as that code falls away.
"""

from __future__ import annotations

import ast
import copy
import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.closures import altering_decorator, defaults_of
from flatgrad.frontend.liveness import own_statements, root_name
from flatgrad.frontend.memory import Known
from flatgrad.frontend.own_backward import Matter, own_backward
from flatgrad.frontend.slicing import slice_function
from flatgrad.frontend.source import Module, read_module
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.ir.core import Span

# More calls than this are not written out in one function.
MOST_CALLS = 200


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A module whose functions are flat, and the places of its lines in the text that was read.

    `names`: the functions that were written out.
    """

    module: Module
    places: Mapping[int, Span]
    names: frozenset[str] = frozenset()

    def placed(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics with the places of the text that was read: a statement that was moved is shown whole."""
        return [
            replace(
                one,
                span=self._span(one.span),
                labels=tuple((self._span(span) or span, text) for span, text in one.labels),
            )
            for one in diagnostics
        ]

    def _span(self, span: Span | None) -> Span | None:
        if span is None or not self.places:
            return span
        there = self.places.get(span.line)
        if there is None or there.end_line != 0:
            return there
        lines = there.line - span.line
        return Span(span.line + lines, span.column, span.end_line + lines, span.end_column)


def unfold(module: Module, wanted: Sequence[str]) -> Unfolded:
    """The module with those of the wanted functions written out that hand tuples from one function to another."""
    flat = _Flat(module)
    written = {name: node for name in wanted if (node := flat.function(name)) is not None}
    return _rewritten(module, written) if written else Unfolded(module, {})


class _Flat:
    """Writes functions out, callees first."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.functions = {
            name: node for name, node in module.functions.items() if name not in module.borrowed.pairs
        }
        self.hands: dict[str, bool] = {}

    def function(self, name: str) -> ast.FunctionDef | None:
        """The function written out; None where it stays as it is."""
        node = self.functions.get(name)
        if node is None or name in self.module.methods or not self._hands_on(name):
            return None
        node = copy.deepcopy(node)
        described = self._docstring(node)
        for _ in range(MOST_CALLS):
            if not _Unfolding(self, node).once():
                break
        if described is not None:
            node.body.insert(0, described)
        _drop_idle_tuples(node)
        while _split_containers(node):
            for block in _blocks(node):
                _take_apart(block, 0, len(block), ())
            _drop_idle_tuples(node)
        return ast.fix_missing_locations(node)

    def _docstring(self, node: ast.FunctionDef) -> ast.Expr | None:
        """What is said of the parameters of the first function that is written out, where they are handed to it under
        their own names, and nothing is said of them here: its shapes hold for them."""
        if _without_docstring(node.body) is not node.body:
            return None
        own = {argument.arg for argument in node.args.args}
        for statement in node.body:
            for call in _calls(statement):
                called = self.callee(call, frozenset(own))
                if called is None:
                    continue
                given = {a.id: p for p, a in (_arguments(called, call) or {}).items() if isinstance(a, ast.Name)}
                if all(name == parameter for name, parameter in given.items() if name in own):
                    first = called.body[0]
                    if _without_docstring(called.body) is not called.body and isinstance(first, ast.Expr):
                        return copy.deepcopy(first)
                    return self._docstring(called)
                return None
        return None

    def callee(self, node: ast.Call, shadowed: frozenset[str]) -> ast.FunctionDef | None:
        """The function of the file that is called, where it can be written out in the place of the call."""
        if not isinstance(node.func, ast.Name) or node.func.id in shadowed or f"{OWN}.{node.func.id}" in BY_PATH:
            return None
        found = self.functions.get(node.func.id)
        return found if found is not None and _is_plain(found) and _arguments(found, node) is not None else None

    def written_out(self, node: ast.Call, shadowed: frozenset[str]) -> ast.FunctionDef | None:
        """The function that is called, where it has to be written out in a function that hands tuples on: one that
        gives an array for arrays stays a call."""
        called = self.callee(node, shadowed)
        if called is None:
            return None
        base = called.name.removesuffix("_forward").removesuffix("_backward")
        paired = called.name.endswith("_backward") or f"{base}_backward" in self.functions
        return called if paired or _gives_tuples(called) or _taken_apart(called) or self._hands_on(called.name) else None

    # Which functions

    def _hands_on(self, name: str) -> bool:
        """Whether a function hands a tuple from one function to another, or calls one that does."""
        if name not in self.hands:
            self.hands[name] = False
            node = self.functions[name]
            ignored = frozenset(own_backward(node))
            sliced = slice_function(node, Known(self.module), ignored) if ignored else None
            dropped = sliced.backward if sliced is not None else frozenset()
            self.hands[name] = self._has_pair(node, dropped)
        return self.hands[name]

    def _has_pair(self, node: ast.FunctionDef, dropped: frozenset[ast.stmt]) -> bool:
        shadowed = frozenset(_stored(node))
        tuples: set[str] = set()
        statements = [one for one in own_statements(node.body) if one not in dropped]
        names = {
            call.func.id
            for statement in statements
            for call in _calls(statement)
            if isinstance(call.func, ast.Name) and call.func.id in self.functions
        }
        if any(f"{name.removesuffix('_forward')}_backward" in names - {name} for name in names):
            return True  # what is written for the one would bear the name of the other
        for statement in statements:
            for call in _calls(statement):
                called = self.callee(call, shadowed)
                if called is None:
                    continue
                if self._hands_on(called.name):
                    return True
                matched = _arguments(called, call) or {}
                apart = _taken_apart(called)
                for parameter, argument in matched.items():
                    root = root_name(argument)
                    if root in tuples or (parameter in apart and root in shadowed and self._from_call(node, root)):
                        return True
            match statement:
                case ast.Assign(targets=[target], value=ast.Call() as call):
                    called = self.callee(call, shadowed)
                    if called is not None:
                        tuples |= _tuples_among(called, target)
        return False

    def _from_call(self, node: ast.FunctionDef, name: str) -> bool:
        for statement in own_statements(node.body):
            match statement:
                case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Call() as call):
                    if any(isinstance(part, ast.Name) and part.id == name for part in parts):
                        return self.callee(call, frozenset()) is not None
        return False


def _tuples_among(called: ast.FunctionDef, target: ast.expr) -> set[str]:
    """The names of a target that are given tuples, lists or dicts by a call."""
    returned = called.body[-1].value if isinstance(called.body[-1], ast.Return) else None
    displays = Matter.of(called).displays
    found: set[str] = set()
    for one, given in _paired(target, returned):
        shown = isinstance(given, ast.Tuple | ast.List | ast.Dict) or (
            isinstance(given, ast.Name) and given.id in displays
        )
        if isinstance(one, ast.Name) and shown:
            found.add(one.id)
    return found


def _gives_tuples(called: ast.FunctionDef) -> bool:
    """Whether one of several results is a tuple, a list or a dict."""
    returned = called.body[-1].value if isinstance(called.body[-1], ast.Return) else None
    displays = Matter.of(called).displays
    return isinstance(returned, ast.Tuple) and any(
        isinstance(one, ast.Tuple | ast.List | ast.Dict) or (isinstance(one, ast.Name) and one.id in displays)
        for one in returned.elts
    )


def _paired(target: ast.expr, value: ast.expr | None) -> list[tuple[ast.expr, ast.expr | None]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _globals(node: ast.FunctionDef) -> set[str]:
    """The names of the module that a function reads."""
    body = [part for statement in node.body for part in ast.walk(statement) if isinstance(part, ast.Name)]
    return {part.id for part in body} - _stored(node)


def _taken_apart(node: ast.FunctionDef) -> set[str]:
    """The parameters that a function unpacks."""
    parameters = {argument.arg for argument in node.args.args}
    return {
        statement.value.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Tuple)
        and isinstance(statement.value, ast.Name)
        and statement.value.id in parameters
    }


class _Unfolding:
    """One function, one call at a time."""

    def __init__(self, flat: _Flat, node: ast.FunctionDef) -> None:
        self.flat = flat
        self.node = node
        self.shadowed = frozenset(_stored(node))
        self.taken = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        self.taken |= {argument.arg for argument in node.args.args} | flat.module.bound

    def once(self) -> bool:
        """Write out the first call that can be; False where there is none."""
        for block in _blocks(self.node):
            for position, statement in enumerate(block):
                found = self._call(statement)
                if found is None:
                    continue
                call, called = found
                if isinstance(statement, ast.Assign) and statement.value is call:
                    new = self._written(block, position, call, called, statement.targets[0])
                elif isinstance(statement, ast.Expr):
                    new = self._written(block, position, call, called, None)
                else:
                    # What is returned is given a name first.
                    name = self._free("out" if statement.value is call else "grads")  # type: ignore[attr-defined]
                    held = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], call), statement)
                    _Replaced(call, ast.Name(name, ast.Load())).visit(statement)
                    new = [held, statement]
                block[position : position + 1] = new
                return True
        return False

    def _call(self, statement: ast.stmt) -> tuple[ast.Call, ast.FunctionDef] | None:
        candidates: list[ast.expr] = []
        match statement:
            case ast.Assign(targets=[_], value=ast.Call() as call) | ast.Expr(value=ast.Call() as call):
                candidates = [call]
            case ast.Return(value=ast.Call() as call):
                candidates = [call]
            case ast.Return(value=ast.Tuple(elts=elements)):
                # Nothing that runs before the call may be left behind it.
                simple = [one for one in elements if not isinstance(one, ast.Name | ast.Constant)]
                candidates = simple if len(simple) == 1 else []
        for candidate in candidates:
            called = self.flat.written_out(candidate, self.shadowed) if isinstance(candidate, ast.Call) else None
            if called is not None and isinstance(candidate, ast.Call) and not _globals(called) & self.shadowed:
                return candidate, called
        return None

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}{number}", number + 1
        self.taken.add(name)
        return name

    def _written(
        self, block: list[ast.stmt], position: int, call: ast.Call, called: ast.FunctionDef, target: ast.expr | None
    ) -> list[ast.stmt]:
        """The statements of the callee, with its parameters bound before and its result after them."""
        place = block[position]
        body = [copy.deepcopy(one) for one in _without_docstring(called.body)]
        changed = _changed(body)
        arguments = _arguments(called, call)
        assert arguments is not None
        names: dict[str, ast.expr] = {}
        heads: list[ast.stmt] = []
        defaults = defaults_of(called)
        for parameter, argument in arguments.items():
            simple = isinstance(argument, ast.Name | ast.Constant)
            if isinstance(argument, ast.Constant) and argument is defaults.get(parameter):
                simple = True
            if simple and parameter not in changed:
                names[parameter] = argument
                continue
            wanted = ast.Name(self._free(parameter), ast.Store())
            heads.append(ast.copy_location(ast.Assign([wanted], argument), place))
            names[parameter] = ast.Name(wanted.id, ast.Load())
        for name in _stored_in(body):
            names.setdefault(name, ast.Name(self._free(name), ast.Load()))
        body = _early_ways_out(body)
        last = body.pop() if isinstance(body[-1], ast.Return) else None
        renamed = [_Renamed(names).visit(one) for one in body]
        result = _Renamed(names).visit(last.value) if last is not None and last.value is not None else None
        tails: list[ast.stmt] = []
        if target is not None:
            result = result if result is not None else ast.Constant(None)
            pairs, before = self._kept(_paired(target, result))
            tails = [ast.copy_location(one, place) for one in before]
            if len(pairs) > 1 and self._in_order(pairs):
                tails += [ast.copy_location(ast.Assign([one], value or result), place) for one, value in pairs]
            else:
                tails += [ast.copy_location(ast.Assign([target], result), place)]
        merged = [*block[:position], *heads, *renamed, *tails]
        first, end = position, len(merged) - len(tails)
        _take_apart(merged, first, end, block[position + 1 :])
        return merged[position:]

    def _kept(
        self, pairs: list[tuple[ast.expr, ast.expr | None]]
    ) -> tuple[list[tuple[ast.expr, ast.expr | None]], list[ast.stmt]]:
        """The same results, tuples first, where what a tuple holds is bound again under a name of its own."""
        bound = {part.id for target, _ in pairs for part in ast.walk(target) if isinstance(part, ast.Name)}
        before: list[ast.stmt] = []
        names: dict[str, ast.expr] = {}
        tuples = [(target, value) for target, value in pairs if isinstance(value, ast.Tuple)]
        for _, value in tuples:
            for part in ast.walk(value) if value is not None else ():
                if isinstance(part, ast.Name) and part.id in bound and part.id not in names:
                    own = self._free(f"{part.id}_before")
                    names[part.id] = ast.Name(own, ast.Load())
                    before.append(ast.Assign([ast.Name(own, ast.Store())], ast.Name(part.id, ast.Load())))
        renamed: list[tuple[ast.expr, ast.expr | None]] = [(t, _Renamed(names).visit(v)) for t, v in tuples]
        return [*renamed, *(pair for pair in pairs if pair not in tuples)], before

    def _in_order(self, pairs: Sequence[tuple[ast.expr, ast.expr | None]]) -> bool:
        """Whether results can be bound one after the other: none is read after a target of its name is bound."""
        bound: set[str] = set()
        for target, value in pairs:
            if value is not None and any(isinstance(p, ast.Name) and p.id in bound for p in ast.walk(value)):
                return False
            bound |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        return True


def _take_apart(block: list[ast.stmt], first: int, end: int, behind: Sequence[ast.stmt]) -> None:
    """`a, b = cache` where `cache = (x, y)` stands above: a is x where neither is bound again, else `a = x`."""
    position = first
    while position < len(block):
        statement = block[position]
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Name(id=name)):
                held = _held(block, position, name)
                if held is None or len(held) != len(targets) or not all(isinstance(t, ast.Name) for t in targets):
                    position += 1
                    continue
                rest = [*block[position + 1 :], *behind]
                names: dict[str, ast.expr] = {}
                kept: list[ast.stmt] = []
                again = _stored_in(rest)
                changed = _changed(block[position + 1 :])
                for target, value in zip(targets, held, strict=True):
                    assert isinstance(target, ast.Name)
                    if target.id in changed or value.id in again or target.id in _stored_in(behind):
                        kept.append(ast.copy_location(ast.Assign([target], ast.Name(value.id, ast.Load())), statement))
                    elif target.id != value.id:
                        names[target.id] = ast.Name(value.id, ast.Load())
                block[position : position + 1] = kept
                position += len(kept)
                for later in range(position, len(block)):
                    block[later] = _Renamed(names).visit(block[later])
                continue
        position += 1


def _held(block: Sequence[ast.stmt], position: int, name: str) -> list[ast.Name] | None:
    """The names in the tuple that a name stands for, where they still stand for the same."""
    for before in range(position - 1, -1, -1):
        statement = block[before]
        match statement:
            case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Tuple(elts=values)) if bound == name:
                between = _stored_in(block[before + 1 : position])
                names = [value for value in values if isinstance(value, ast.Name)]
                if len(names) < len(values) or any(value.id in between for value in names):
                    return None
                return names
            case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Name(id=other)) if bound == name:
                between = _stored_in(block[before + 1 : position])
                return None if other in between else _held(block, before, other)
        if name in _stored_in([statement]):
            return None
    return None


def _early_ways_out(body: list[ast.stmt]) -> list[ast.stmt]:
    """`if y is None: return scores, None`: whoever takes the result apart comes no further than that."""
    found: list[ast.stmt] = []
    for statement in body:
        match statement:
            case ast.If(body=[*_, ast.Return() as early], orelse=[]) if statement is not body[-1]:
                raised = ast.Raise(
                    ast.Call(
                        ast.Name("TypeError", ast.Load()),
                        [ast.Constant(f"nothing to go on with where {ast.unparse(statement.test)}")],
                        [],
                    )
                )
                statement = ast.copy_location(ast.If(statement.test, [ast.copy_location(raised, early)], []), statement)
        found.append(statement)
    return found


def _split_containers(node: ast.FunctionDef) -> bool:
    """A list or a dict of tuples as one for each of their parts; False where there is none."""
    made = {
        statement.targets[0].id: statement
        for block in _blocks(node)
        for statement in block
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.List | ast.Dict)
        and not ast.unparse(statement.value).strip("[]{}")
    }
    for name, begin in made.items():
        parts = _parts_of(node, name)
        if parts is not None:
            _split(node, name, begin, parts)
            return True
    return False


def _parts_of(node: ast.FunctionDef, name: str) -> list[str] | None:
    """What to call the parts of what a list or a dict holds; None where that is anything else than tuples of names,
    or where more is done with it than to store them and to read them one at a time."""
    parts: list[str] | None = None
    uses = sum(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
    seen = 1
    for block in _blocks(node):
        for position, statement in enumerate(block):
            match statement:
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="append"), args=[
                    ast.Name(id=held)
                ])) | ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root))], value=ast.Name(id=held)) if (
                    root == name
                ):  # fmt: skip
                    values = _held(block, position, held)
                    if values is None or parts is not None:
                        return None
                    parts = [value.id for value in values]
                    seen += 1
                case ast.Assign(targets=[ast.Name()], value=ast.Subscript(value=ast.Name(id=root))) if root == name:
                    seen += 1
    return parts if seen == uses else None


def _split(node: ast.FunctionDef, name: str, begin: ast.Assign, parts: Sequence[str]) -> None:
    taken = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    taken |= {argument.arg for argument in node.args.args}

    def free(wanted: str) -> str:
        number = 2
        found = wanted
        while found in taken or keyword.iskeyword(found):
            found, number = f"{wanted}{number}", number + 1
        taken.add(found)
        return found

    containers = [free(_plural(part)) for part in parts]
    for block in _blocks(node):
        for position in range(len(block) - 1, -1, -1):
            statement = block[position]
            new: list[ast.stmt] | None = None
            if statement is begin:
                new = [ast.Assign([ast.Name(one, ast.Store())], copy.deepcopy(begin.value)) for one in containers]
            match statement:
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="append"))) if (
                    root == name
                ):
                    new = [
                        ast.Expr(
                            ast.Call(
                                ast.Attribute(ast.Name(one, ast.Load()), "append", ast.Load()),
                                [ast.Name(part, ast.Load())],
                                [],
                            )
                        )
                        for one, part in zip(containers, parts, strict=True)
                    ]
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root), slice=key)]) if root == name:
                    new = [
                        ast.Assign(
                            [ast.Subscript(ast.Name(one, ast.Load()), copy.deepcopy(key), ast.Store())],
                            ast.Name(part, ast.Load()),
                        )
                        for one, part in zip(containers, parts, strict=True)
                    ]
                case ast.Assign(
                    targets=[ast.Name() as target], value=ast.Subscript(value=ast.Name(id=root), slice=key)
                ) if root == name:
                    names = [free(f"{part}_step") for part in parts]
                    new = [
                        ast.Assign(
                            [ast.Name(own, ast.Store())],
                            ast.Subscript(ast.Name(one, ast.Load()), copy.deepcopy(key), ast.Load()),
                        )
                        for own, one in zip(names, containers, strict=True)
                    ]
                    held = ast.Tuple([ast.Name(own, ast.Load()) for own in names], ast.Load())
                    new.append(ast.Assign([target], held))
            if new is not None:
                block[position : position + 1] = [ast.copy_location(one, statement) for one in new]


def _filled_only(node: ast.FunctionDef) -> set[str]:
    """The lists and dicts that are filled with names and never read."""
    made: set[str] = set()
    uses: dict[str, int] = {}
    for part in ast.walk(node):
        match part:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=[]) | ast.Dict(keys=[])):
                made.add(name)
                uses[name] = uses.get(name, 0) - 1
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[ast.Name()])
            ):
                uses[name] = uses.get(name, 0) - 1
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=ast.Name()):
                uses[name] = uses.get(name, 0) - 1
            case ast.Name(id=name):
                uses[name] = uses.get(name, 0) + 1
    return {name for name in made if uses[name] == 0}


def _plural(name: str) -> str:
    return f"{name}_steps" if name.endswith("s") else f"{name}s"


def _drop_idle_tuples(node: ast.FunctionDef) -> None:
    """Take away tuples of names that nobody reads any more."""
    while True:
        read = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
        read |= {root_name(part.target) for part in ast.walk(node) if isinstance(part, ast.AugAssign)}
        gone = False
        idle = _filled_only(node)
        for block in _blocks(node):
            for statement in list(block):
                match statement:
                    case ast.Assign(
                        targets=[ast.Name(id=name)], value=ast.Tuple() | ast.Name() | ast.Subscript()
                    ) if name not in read:
                        block.remove(statement)
                        gone = True
                    case (
                        ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")))
                        | ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))])
                        | ast.Assign(targets=[ast.Name(id=name)], value=ast.List() | ast.Dict())
                    ) if name in idle:
                        block.remove(statement)
                        gone = True
            if not block:
                block.append(ast.Pass())
        if not gone:
            return


# Reading and changing trees


class _Renamed(ast.NodeTransformer):
    """Names for other names, or for constants where they are read."""

    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        new = self.names.get(node.id)
        if new is None:
            return node
        if isinstance(new, ast.Name):
            return ast.copy_location(ast.Name(new.id, node.ctx), node)
        return ast.copy_location(copy.deepcopy(new), node)


class _Replaced(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit_Call(self, node: ast.Call) -> ast.expr:
        return self.new if node is self.old else node


def _is_plain(node: ast.FunctionDef) -> bool:
    """Whether the statements of a function may stand where it is called: it ends in its one `return`, but for ways out
    that give nothing to go on with."""
    if altering_decorator(node) is not None or node.args.vararg or node.args.kwarg or node.decorator_list:
        return False
    body = _without_docstring(node.body)
    if not body or not isinstance(body[-1], ast.Return):
        return False
    inner = (ast.FunctionDef, ast.Lambda, ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Await)
    if any(isinstance(part, inner) for statement in body for part in ast.walk(statement)):
        return False
    returns = [one for one in own_statements(body) if isinstance(one, ast.Return)]
    early = [one for one in body[:-1] if isinstance(one, ast.If) and _gives_up(one)]
    return len(returns) == 1 + len(early)


def _gives_up(statement: ast.If) -> bool:
    match statement:
        case ast.If(body=[*_, ast.Return(value=ast.Tuple(elts=[_, *others]))], orelse=[]):
            asks = isinstance(statement.test, ast.Compare) and isinstance(statement.test.ops[0], ast.Is)
            return asks and any(isinstance(one, ast.Constant) and one.value is None for one in others)
    return False


def _arguments(called: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr] | None:
    """What each parameter is given, defaults that are constants included; None where that cannot be told."""
    arguments = called.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    every = [*names, *(argument.arg for argument in arguments.kwonlyargs)]
    if any(isinstance(one, ast.Starred) for one in call.args) or len(call.args) > len(names):
        return None
    found: dict[str, ast.expr] = dict(zip(names, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in found or keyword.arg not in every:
            return None
        found[keyword.arg] = keyword.value
    defaults = defaults_of(called)
    for name in every:
        if name not in found:
            default = defaults.get(name)
            if not isinstance(default, ast.Constant | ast.UnaryOp):
                return None
            found[name] = default
    return found


def _calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """The calls in the expressions of a statement, those of statements inside it not."""
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.expr):
            yield from (one for one in ast.walk(part) if isinstance(one, ast.Call))


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
            for statement in list(block):
                yield from _blocks(statement)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body[0]:
        case ast.Expr(value=ast.Constant(value=str())):
            return body[1:]
    return body


def _stored(node: ast.FunctionDef) -> set[str]:
    return _stored_in(node.body) | {argument.arg for argument in node.args.args}


def _stored_in(statements: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind, those of comprehensions among them."""
    return {
        part.id
        for statement in statements
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    }


def _changed(statements: Sequence[ast.stmt]) -> set[str]:
    """The names that statements bind again."""
    return _stored_in(statements)


# The text


def _rewritten(module: Module, written: Mapping[str, ast.FunctionDef]) -> Unfolded:
    """The text with these functions in the place of those that bear their names."""
    lines: list[str] = []
    places: dict[int, Span] = {}
    number = 1
    by_line = {module.functions[name].lineno: name for name in written}
    while number <= len(module.lines):
        name = by_line.get(number)
        if name is None:
            lines.append(module.lines[number - 1])
            places[len(lines)] = Span(number, 0, 0, 0)
            number += 1
            continue
        node = written[name]
        text = ast.unparse(node)
        first = len(lines)
        lines += text.split("\n")
        fresh = ast.parse(text).body[0]
        for old, new in zip(_statements(node), _statements(fresh), strict=True):
            line = getattr(old, "lineno", number)
            shown = module.lines[line - 1] if 0 < line <= len(module.lines) else ""
            span = Span(line, len(shown) - len(shown.lstrip()), line, len(shown.rstrip()))
            for inner in range(new.lineno, (new.end_lineno or new.lineno) + 1):
                places[first + inner] = span
        number = (module.functions[name].end_lineno or number) + 1
    again = read_module("\n".join(lines), module.filename)
    return Unfolded(replace(again, borrowed=module.borrowed, methods=module.methods), places, frozenset(written))


def _statements(node: ast.AST) -> list[ast.stmt]:
    found = [node] if isinstance(node, ast.stmt) else []
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.stmt):
            found += _statements(part)
    return found
