"""Loops over lists that are written out, as the statements of their rounds.

`for W in [W1, W2]: loss += reg * np.sum(W * W)` is read as two statements, of W1 and of W2: the elements need not have
one shape, and in the backward pass each has a gradient of its own. So are loops over `weights` where that is
`[W1, W2]` and nothing changes the list, over `zip`, `enumerate`, `reversed` and dict displays, and over the positions
of such a list. What the position decides is decided here: `if i < len(weights) - 1`.

An element that a round may change, or that is more than a name, is worked out before the loop, as Python does.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flatgrad.frontend.liveness import MUTATORS, live_after, root_name
from flatgrad.frontend.rewriting import replaced
from flatgrad.frontend.source import Module, read_module, span_of
from flatgrad.frontend.strings import is_text
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.frontend.written_lists import MOST_ROUNDS, READERS, Displays

# More statements in all rounds are not written out.
MOST_STATEMENTS = 120
# More loops than this are not written out in one file.
MOST_LOOPS = 100

# What the targets of one round stand for.
Round = tuple[tuple[ast.expr, ast.expr], ...]
Function = ast.FunctionDef


def unroll(whole: Unfolded) -> Unfolded:
    """The module with the rounds of such loops written one below the other."""
    whole = replace(whole, module=_with_keys(whole.module))
    for _ in range(MOST_LOOPS):
        found = next(_written_loops(whole.module), None)
        if found is None:
            break
        loop, statements = found
        whole = replaced(whole, loop, statements)
    return whole


def _with_keys(module: Module) -> Module:
    """`for W in params.values()` as `for key, W in params.items()`: backward asks for the key."""
    lines = list(module.lines)
    for function in module.functions.values():
        taken = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)} | module.bound
        given = {one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
        for loop in ast.walk(function):
            match loop:
                case ast.For(
                    target=ast.Name() as target,
                    iter=ast.Call(
                        func=ast.Attribute(value=ast.Name(id=name), attr="values") as called, args=[]
                    ) as view,
                ) if name in given and target.lineno == view.end_lineno and "key" not in taken | given:
                    first, last = span_of(module, target), span_of(module, called)
                    line = lines[first.line - 1]
                    if line.count(".values()") == 1 and line[last.end_column - 6 : last.end_column] == "values":
                        line = f"{line[: last.end_column - 6]}items{line[last.end_column :]}"
                        lines[first.line - 1] = f"{line[: first.column]}key, {line[first.column :]}"
    if tuple(lines) == module.lines:
        return module
    again = read_module("\n".join(lines), module.filename)
    return replace(again, borrowed=module.borrowed, methods=module.methods)


def _written_loops(module: Module) -> Iterator[tuple[ast.For, list[ast.stmt]]]:
    for function in ast.walk(module.tree):
        if not isinstance(function, Function):
            continue
        for loop in ast.walk(function):
            if isinstance(loop, ast.For) and _is_candidate(loop) and not _is_inside_another(function, loop):
                statements = _Unrolling(module, function, loop).run()
                if statements is not None:
                    yield loop, statements


def _is_inside_another(function: Function, loop: ast.For) -> bool:
    """Whether a loop belongs to a function inside this one."""
    inner = [p for p in ast.walk(function) if isinstance(p, Function | ast.Lambda | ast.ClassDef) and p is not function]
    return any(loop in ast.walk(one) for one in inner)


def _is_candidate(loop: ast.For) -> bool:
    if loop.orelse or any(_ends_round(one) for one in loop.body):
        return False
    for part in (inner for one in loop.body for inner in ast.walk(one)):
        if isinstance(part, ast.Yield | ast.YieldFrom | ast.Await | ast.Global | ast.Nonlocal | ast.FunctionDef):
            return False
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "\n" in part.value:
            return False
    return True


def _ends_round(statement: ast.stmt) -> bool:
    match statement:
        case ast.Break() | ast.Continue():
            return True
        case ast.If(body=body, orelse=orelse) | ast.Try(body=body, orelse=orelse):
            return any(_ends_round(one) for one in [*body, *orelse])
        case ast.With(body=body):
            return any(_ends_round(one) for one in body)
    return False


@dataclass(slots=True)
class _Unrolling:
    """One loop of a function."""

    module: Module
    function: Function
    loop: ast.For

    @property
    def known(self) -> Displays:
        return Displays(self.function, self.loop)

    def run(self) -> list[ast.stmt] | None:
        """The statements that the loop comes to, None where it is left as it is."""
        names = {part.id for part in ast.walk(self.function) if isinstance(part, ast.Name)}
        own = {part.arg for part in ast.walk(self.function) if isinstance(part, ast.arg)} | self.module.bound
        own |= {p.id for p in ast.walk(self.function) if isinstance(p, ast.Name) and not isinstance(p.ctx, ast.Load)}
        if own & names & (READERS | {"str"}):
            return None  # one of Python's own functions is another here
        rounds = self._rounds(self.loop.iter, self.loop.target)
        if rounds is None or len(rounds) > MOST_ROUNDS:
            return None
        if not rounds:
            return [ast.copy_location(ast.Pass(), self.loop)]
        if len(rounds) * sum(isinstance(p, ast.stmt) for s in self.loop.body for p in ast.walk(s)) > MOST_STATEMENTS:
            return None
        if all(_is_number(value) for one in rounds for _, value in one) and not self._is_position():
            return None
        stored = self._stored(self.loop.body)
        head: list[ast.stmt] = []
        settled: list[Round] = []
        for number, one in enumerate(rounds, 1):
            pairs: list[tuple[ast.expr, ast.expr]] = []
            for target, value in one:
                kept = self._kept(target, value, number, stored, head)
                if kept is None:
                    return None
                pairs.append((target, kept))
            settled.append(tuple(pairs))
        lasting = live_after(self.function).get(self.loop, frozenset())
        statements = list(head)
        for one in settled:
            statements += self._round(one, stored)
        for target, value in settled[-1]:
            if isinstance(target, ast.Name) and target.id in lasting and not self._is_bound(target.id, stored):
                statements.append(self._binding(target, value))
        return statements

    # What a round runs over

    def _rounds(self, node: ast.expr, target: ast.expr) -> list[Round] | None:
        values = self.known.elements(node)
        if values is None:
            return None
        found = [_matched(target, value) for value in values]
        return None if any(one is None for one in found) else [one for one in found if one is not None]

    def _is_position(self) -> bool:
        """Whether the target of a loop over numbers is the place in a list that is written out, or makes a key of a
        dict that the loop fills."""
        names = {part.id for part in ast.walk(self.loop.target) if isinstance(part, ast.Name)}
        for part in (inner for one in self.loop.body for inner in ast.walk(one)):
            match part:
                case ast.Subscript(value=ast.Name(id=name), slice=index, ctx=ast.Load()):
                    inside = {one.id for one in ast.walk(index) if isinstance(one, ast.Name)}
                    if names & inside and (self.known.display(name) is not None or self._is_short_list(name)):
                        return True
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=index), ctx=ast.Store()):
                    if index in names and self._is_short_list(name):
                        return True
                case ast.Subscript(value=ast.Name(id=name), slice=ast.BinOp() | ast.JoinedStr() | ast.Call() as index):
                    inside = {one.id for one in ast.walk(index) if isinstance(one, ast.Name)}
                    bound = self.known.bound_once(name) if isinstance(part.ctx, ast.Store) and names & inside else None
                    if bound is not None and isinstance(bound.value, ast.Dict) and _is_text(index):
                        return True
        return False

    def _is_short_list(self, name: str) -> bool:
        """Whether a name stands for a list of known length that the loop puts other elements in, or that is another
        list later: `states = [h1, h2]`, `states = new_states`."""
        found = False
        for part in ast.walk(self.function):
            match part:
                case ast.arg(arg=other) if other == name:
                    return False
                case ast.Call(func=ast.Attribute(value=ast.Name(id=other), attr=method)) if other == name:
                    if method in MUTATORS:
                        return False
                case ast.Assign(targets=[ast.Name(id=other)], value=value) if other == name:
                    match value:
                        case ast.List(elts=[_, *_]) | ast.BinOp(op=ast.Mult(), left=ast.List(elts=[_, *_])):
                            found = True
                        case ast.ListComp(generators=[ast.comprehension(iter=over, ifs=[])]):
                            found = found or self.known.elements(over) is not None
        return found

    # What a round reads

    def _stored(self, body: Sequence[ast.stmt]) -> frozenset[str]:
        """The names that a round binds or may change, and the roots of what it writes into."""
        found: set[str] = set()
        for part in (inner for one in body for inner in ast.walk(one)):
            match part:
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                    found.add(name)
                case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                    found.add(root_name(part))
                case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in MUTATORS:
                    found.add(root_name(owner))
        return frozenset(found)

    def _kept(
        self, target: ast.expr, value: ast.expr, number: int, stored: frozenset[str], head: list[ast.stmt]
    ) -> ast.expr | None:
        """What can be written for a value in its round; None where no name for it is free."""
        root = root_name(value)
        targets = {part.id for part in ast.walk(self.loop.target) if isinstance(part, ast.Name)}
        match value:
            case ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
                return value
            case ast.Name() if root not in stored | targets:
                return value
            case ast.Attribute() | ast.Subscript() if root and root not in stored | targets and _is_place(value):
                if not self._is_called_on(root) or (isinstance(value, ast.Subscript) and self.known.display(root)):
                    return value
        name = f"{target.id if isinstance(target, ast.Name) else 'item'}{number}"
        taken = {part.id for part in ast.walk(self.function) if isinstance(part, ast.Name)} | set(self.module.bound)
        taken |= {part.arg for part in ast.walk(self.function) if isinstance(part, ast.arg)}
        if name in taken:
            return None
        head.append(self._binding(ast.Name(name, ast.Store()), value))
        return ast.Name(name, ast.Load())

    def _is_called_on(self, root: str) -> bool:
        """Whether a round calls a method of an object that it reads from, or hands it to a function."""
        for part in (inner for one in self.loop.body for inner in ast.walk(one)):
            if isinstance(part, ast.Call):
                handed = [*part.args, *(keyword.value for keyword in part.keywords)]
                if root_name(part.func) == root or any(isinstance(o, ast.Name) and o.id == root for o in handed):
                    return True
        return False

    def _is_bound(self, name: str, stored: frozenset[str]) -> bool:
        """Whether each round binds a target, as it changes it or hands it to a function that may be called later."""
        if name in stored:
            return True
        return any(
            isinstance(part, ast.Lambda) and any(isinstance(p, ast.Name) and p.id == name for p in ast.walk(part))
            for one in self.loop.body
            for part in ast.walk(one)
        )

    def _round(self, one: Round, stored: frozenset[str]) -> list[ast.stmt]:
        written: dict[str, ast.expr] = {}
        statements: list[ast.stmt] = []
        for target, value in one:
            if isinstance(target, ast.Name) and not self._is_bound(target.id, stored):
                written[target.id] = value
            else:
                statements.append(self._binding(target, value))
        body = [_Written(written).visit(copy.deepcopy(statement)) for statement in self.loop.body]
        return [*statements, *self.known.folding().statements(body)]

    def _binding(self, target: ast.expr, value: ast.expr) -> ast.stmt:
        stored = copy.deepcopy(target)
        for part in ast.walk(stored):
            if isinstance(part, ast.Name | ast.Tuple | ast.List | ast.Starred):
                part.ctx = ast.Store()
        made = ast.Assign([stored], copy.deepcopy(value), lineno=self.loop.lineno, col_offset=self.loop.col_offset)
        return ast.fix_missing_locations(made)


def _matched(target: ast.expr, value: ast.expr) -> Round | None:
    """What the names of a target stand for; None where the element is of another form."""
    match target, value:
        case ast.Name(), _:
            return ((target, value),)
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=items) | ast.List(elts=items))):
            if len(targets) != len(items) or any(isinstance(one, ast.Starred) for one in [*targets, *items]):
                return None
            parts = [_matched(one, item) for one, item in zip(targets, items, strict=True)]
            return None if None in parts else tuple(pair for part in parts if part is not None for pair in part)
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), ast.Subscript() | ast.Name()):
            parts = [_matched(one, ast.Subscript(value, ast.Constant(k), ast.Load())) for k, one in enumerate(targets)]
            return None if None in parts else tuple(pair for part in parts if part is not None for pair in part)
    return None


def _is_number(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.UnaryOp(operand=operand):
            return _is_number(operand)
        case ast.Tuple(elts=items):
            return all(_is_number(item) for item in items)
    return False


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a string, by its form."""
    return is_text(node, lambda one: isinstance(one, ast.Call) and ast.unparse(one.func) == "str")


def _is_place(node: ast.expr) -> bool:
    """Whether an expression is an attribute or an element under constant keys."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=value):
            return _is_place(value)
        case ast.Subscript(value=value, slice=ast.Constant()):
            return _is_place(value)
    return False


class _Written(ast.NodeTransformer):
    """Puts expressions in the places of names."""

    def __init__(self, written: Mapping[str, ast.expr]) -> None:
        self.written = written

    def visit_Name(self, node: ast.Name) -> ast.expr:
        found = self.written.get(node.id)
        return node if found is None else copy.deepcopy(found)
