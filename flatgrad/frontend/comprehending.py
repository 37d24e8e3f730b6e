"""Comprehensions and sums over what is known only when the program runs, as loops before the statement.

`loss += reg * sum(np.sum(W * W) for W in params.values())` is read as a loop over `params.values()` that adds up, and
the statement with the sum's name in it; `hs = [np.tanh(x[t]) for t in range(T)]` as a loop that appends to hs.

What is written before its statement is worked out before everything else in it: only where it is reached anyway, and
where nothing is drawn or changed by the statement.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from flatgrad.frontend.liveness import MUTATORS
from flatgrad.frontend.source import Module, dotted_path

Comprehension = ast.ListComp | ast.GeneratorExp | ast.DictComp
Simple = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr

_OWN = (ast.Lambda, ast.FunctionDef, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)


def comprehension_as_loop(module: Module, function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """The statements that a statement with a comprehension comes to, the first comprehension in it written as a loop;
    None where there is none."""
    if not isinstance(node, Simple) or node.value is None or _has_effects(module, node):
        return None
    for part in _reached(node.value):
        found = _found(module, function, part)
        if found is None:
            continue
        names = _Names(module, function)
        comprehension = names.apart(found.comprehension)
        whole = _target(node, part)
        name = whole if whole and not _reads(comprehension, whole) else names.free(found.called)
        head = _loop(found, comprehension, name)
        rest: list[ast.stmt] = [] if name == whole else [_put(node, part, name)]
        made = [*head, *rest]
        for one in made:
            ast.copy_location(one, node)
            for inner in ast.walk(one):
                if isinstance(inner, ast.stmt):
                    ast.copy_location(inner, node)
        return [ast.fix_missing_locations(one) for one in made]
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    """A comprehension in an expression.

    Attributes:
        start: what a sum begins with; None for a list or a dict.
        called: the name that what the loop makes goes by, where the statement has none for it.
    """

    comprehension: Comprehension
    start: ast.expr | None
    called: str


def _found(module: Module, function: ast.FunctionDef, part: ast.expr) -> _Found | None:
    bound = frozenset(
        {one.id for one in ast.walk(function) if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
        | {one.arg for one in ast.walk(function) if isinstance(one, ast.arg)}
    )
    match part:
        case ast.Call(args=[ast.ListComp() | ast.GeneratorExp() as inner, *start], keywords=[]) if len(start) < 2:
            path = dotted_path(module, part.func, bound)
            if path in ("sum", "builtins.sum"):
                return _Found(inner, start[0] if start else ast.Constant(0), "total") if _is_plain(inner) else None
            if path == "numpy.sum" and not start and isinstance(inner, ast.ListComp) and is_scalar(module, inner.elt):
                return _Found(inner, ast.Constant(0.0), "total") if _is_plain(inner) else None
        case ast.ListComp() | ast.DictComp() if _is_plain(part):
            return _Found(part, None, "items" if isinstance(part, ast.ListComp) else "entries")
    return None


def _is_plain(node: Comprehension) -> bool:
    """Whether a comprehension can be written as loops: no function in it reads a variable of it later."""
    parts = [one for one in ast.walk(node) if one is not node]
    return not any(one.is_async for one in node.generators) and not any(
        isinstance(one, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom | ast.Starred | ast.Lambda)
        for one in parts
    )


def is_scalar(module: Module, node: ast.expr) -> bool:
    """Whether an expression is one number by its form: a sum over everything, and what is made of such."""
    match node:
        case ast.Constant(value=int() | float()):
            return True
        case ast.Call(func=function, args=[_], keywords=[]):
            path = dotted_path(module, function, frozenset())
            return path in ("numpy.sum", "numpy.mean", "numpy.linalg.norm")
        case ast.BinOp(left=left, right=right, op=ast.Pow()):
            return is_scalar(module, left) and isinstance(right, ast.Constant)
        case ast.BinOp(left=left, right=right):
            return is_scalar(module, left) and is_scalar(module, right)
        case ast.UnaryOp(operand=operand):
            return is_scalar(module, operand)
    return False


def _reached(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of an expression that are worked out whenever it is, in that order."""
    yield node
    if isinstance(node, _OWN):
        return
    children = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
    if isinstance(node, ast.IfExp):
        children = [node.test]
    elif isinstance(node, ast.BoolOp):
        children = node.values[:1]
    elif isinstance(node, ast.Compare):
        children = [node.left, node.comparators[0]]
    elif isinstance(node, ast.Call):
        children += [keyword.value for keyword in node.keywords]
    elif isinstance(node, ast.Subscript):
        inner = node.slice
        children = [node.value, *([] if isinstance(inner, ast.Slice) else [inner])]
    for child in children:
        yield from _reached(child)


def _has_effects(module: Module, node: ast.stmt) -> bool:
    """Whether a statement may draw random numbers, itself or through a function of the file, or change or bind
    something on its way."""
    for part in ast.walk(node):
        match part:
            case ast.Attribute(attr=name) | ast.Name(id=name) if "random" in name or "rng" in name:
                return True
            case ast.Call(func=ast.Attribute(attr=method)) if method in MUTATORS:
                return True
            case ast.Call(func=ast.Name(id="next")) | ast.NamedExpr():
                return True
            case ast.Call(func=ast.Name(id=name)) if name in module.functions:
                called = module.functions[name]
                if any("random" in one.attr for one in ast.walk(called) if isinstance(one, ast.Attribute)):
                    return True
    return False


def _target(node: Simple, part: ast.expr) -> str:
    """The name that a statement binds to the comprehension and nothing else; '' where there is none."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is part:
            return name
    return ""


def _reads(node: Comprehension, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of a function."""

    module: Module
    function: ast.FunctionDef

    def free(self, name: str) -> str:
        taken = {part.id for part in ast.walk(self.function) if isinstance(part, ast.Name)} | set(self.module.bound)
        taken |= {part.arg for part in ast.walk(self.function) if isinstance(part, ast.arg)}
        numbers = (f"{name}{number or ''}" for number in (0, *range(2, 100)))
        return next(one for one in numbers if one not in taken)

    def apart(self, comprehension: Comprehension) -> Comprehension:
        """The comprehension with names of its own, which it has and a loop has not."""
        inside = {
            part
            for one in ast.walk(self.function)
            if isinstance(one, Comprehension | ast.SetComp)
            for part in ast.walk(one)
        }
        outside = {part.id for part in ast.walk(self.function) if isinstance(part, ast.Name) and part not in inside}
        outside |= {part.arg for part in ast.walk(self.function) if isinstance(part, ast.arg)} | set(self.module.bound)
        made = copy.deepcopy(comprehension)
        own = {
            part.id
            for generator in made.generators
            for part in ast.walk(generator.target)
            if isinstance(part, ast.Name)
        }
        renamed = {name: self.free(name) for name in sorted(own & outside)}
        first = {id(part) for part in ast.walk(made.generators[0].iter)}
        for part in ast.walk(made):
            # What the first loop runs over is worked out outside of the comprehension.
            if isinstance(part, ast.Name) and part.id in renamed and id(part) not in first:
                part.id = renamed[part.id]
        return made


def _loop(found: _Found, comprehension: Comprehension, name: str) -> list[ast.stmt]:
    """`name` made ready, and the loops that fill it."""
    load, store = ast.Name(name, ast.Load()), ast.Name(name, ast.Store())
    empty: ast.expr
    inner: ast.stmt
    match comprehension:
        case ast.DictComp(key=key, value=value):
            empty = ast.Dict([], [])
            inner = ast.Assign([ast.Subscript(load, key, ast.Store())], value, lineno=0)
        case ast.ListComp(elt=elt) | ast.GeneratorExp(elt=elt):
            if found.start is None:
                empty = ast.List([], ast.Load())
                inner = ast.Expr(ast.Call(ast.Attribute(load, "append", ast.Load()), [elt], []))
            else:
                empty = found.start
                # `+=` would change what the sum began with, and keep its dtype.
                inner = ast.Assign([store], ast.BinOp(load, ast.Add(), elt), lineno=0)
                if _is_call_of_sum(elt):
                    inner = ast.AugAssign(store, ast.Add(), elt)
    body: list[ast.stmt] = [inner]
    for generator in reversed(comprehension.generators):
        for test in reversed(generator.ifs):
            body = [ast.If(test, body, [])]
        body = [ast.For(generator.target, generator.iter, body, [], lineno=0)]
    return [ast.Assign([copy.deepcopy(store)], copy.deepcopy(empty), lineno=0), *body]


def _is_call_of_sum(node: ast.expr) -> bool:
    """Whether an expression is a sum over everything, which is one number."""
    match node:
        case ast.Call(func=ast.Attribute(attr="sum" | "mean"), args=[_], keywords=[]):
            return True
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return _is_call_of_sum(left) and isinstance(right, ast.Constant | ast.Name)
    return False


def _put(node: Simple, part: ast.expr, name: str) -> ast.stmt:
    """The statement with a name in the place of a part of it."""
    made = copy.deepcopy(node)
    for old, new in zip(ast.walk(node), ast.walk(made), strict=True):
        for field, value in ast.iter_fields(old):
            if value is part:
                setattr(new, field, ast.Name(name, ast.Load()))
                return made
            if isinstance(value, list) and any(one is part for one in value):
                place = next(k for k, one in enumerate(value) if one is part)
                getattr(new, field)[place] = ast.Name(name, ast.Load())
                return made
    raise AssertionError("the part is not in the statement")
