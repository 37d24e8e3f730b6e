"""Statements that do several things at once, as several that do one each.

    b[0] = b[1] = x * y           value = x * y
                                  b[0] = value
                                  b[1] = value

    h[t], c = step(x[t], c)       new_h, c = step(x[t], c)
                                  h[t] = new_h

    if (n := len(x)) > 3:         n = len(x)
                                  if n > 3:

    global eps                    pass

Each is exactly what the other does: a `global` falls away where the function only reads the name.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence

from flatgrad.emit.names import numbered_name
from flatgrad.frontend.flattened import stored_in
from flatgrad.frontend.liveness import own_statements
from flatgrad.frontend.source import Module

# Inside these a name is bound at another time, or not at all.
_LATER = (ast.BoolOp, ast.IfExp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def plain_statements(module: Module, function: ast.FunctionDef, statement: ast.stmt) -> Sequence[ast.stmt] | None:
    """The statements that one comes to; None where it stays as it is."""
    match statement:
        case ast.Assign(targets=[_, _, *_]):
            found = _one_by_one(module, function, statement)
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if any(
            isinstance(one, ast.Subscript) for one in targets
        ):
            found = _named_first(module, function, targets, value)
        case ast.Assign(value=value) | ast.AugAssign(value=value) | ast.Return(value=ast.expr() as value):
            found = _bound_before(statement, value)
        case ast.If(test=test):
            found = _bound_before(statement, test) if not _is_elif(function, statement) else None
        case ast.Global(names=names) if not set(names) & stored_in(function.body):
            found = [ast.Pass()]
        case _:
            return None
    for one in found or ():
        for part in ast.walk(one):
            if isinstance(part, ast.stmt) and not hasattr(part, "lineno"):
                ast.copy_location(part, statement)
    return found


def _one_by_one(module: Module, function: ast.FunctionDef, statement: ast.Assign) -> list[ast.stmt] | None:
    """`a = b[0] = x`: what stands on the right is worked out once, and the targets are bound from the left."""
    first, *others = statement.targets
    if all(isinstance(one, ast.Name) for one in statement.targets):
        return None
    value, found = statement.value, list[ast.stmt]()
    if isinstance(first, ast.Name) and not isinstance(value, ast.Constant):
        found.append(ast.Assign([first], value))
        value, targets = ast.Name(first.id, ast.Load()), others
        again = {name for one in targets for name in stored_in([one])}
        if first.id in again:
            return None
    else:
        targets = statement.targets
        if not isinstance(value, ast.Constant):
            name = _free(module, function, "value")
            found.append(ast.Assign([ast.Name(name, ast.Store())], value))
            value = ast.Name(name, ast.Load())
    return [*found, *(ast.Assign([target], copy.deepcopy(value)) for target in targets)]


def _named_first(
    module: Module, function: ast.FunctionDef, targets: Sequence[ast.expr], value: ast.expr
) -> list[ast.stmt] | None:
    """`h[t], c = step(x, c)`: everything on the right is there before the first target is stored, from the left."""
    bound = {one.id for one in targets if isinstance(one, ast.Name)}
    elements = [one for one in targets if isinstance(one, ast.Subscript)]
    read = {part.id for one in elements for part in ast.walk(one) if isinstance(part, ast.Name)}
    if len(bound) + len(elements) != len(targets) or bound & read:
        return None
    names: list[ast.expr] = []
    after: list[ast.stmt] = []
    taken: set[str] = set()
    for target in targets:
        if isinstance(target, ast.Name):
            names.append(target)
            continue
        root = next(part.id for part in ast.walk(target) if isinstance(part, ast.Name))
        name = _free(module, function, f"new_{root}", taken)
        taken.add(name)
        names.append(ast.Name(name, ast.Store()))
        after.append(ast.Assign([target], ast.Name(name, ast.Load())))
    return [ast.Assign([ast.Tuple(names, ast.Store())], value), *after]


def _bound_before(statement: ast.stmt, value: ast.expr) -> list[ast.stmt] | None:
    """`(y := np.exp(x)) / np.sum(y)`: the name is bound in a statement of its own, where nothing before it reads it."""
    named = next(_named_at_once(value), None)
    if named is None:
        return None
    if isinstance(statement, ast.AugAssign) and not isinstance(statement.target, ast.Name):
        return None
    place = (named.lineno, named.col_offset)
    for part in ast.walk(statement if not isinstance(statement, ast.If) else statement.test):
        if isinstance(part, ast.Call) and "random" in ast.unparse(part.func):
            return None
        if isinstance(part, ast.Name) and part.id == named.target.id and part is not named.target:
            if (part.lineno, part.col_offset) < place and not isinstance(part.ctx, ast.Store):
                return None
    target = ast.Name(named.target.id, ast.Store())
    rest = _Named(named).visit(copy.copy(statement))
    return [ast.Assign([target], named.value), rest]


def _named_at_once(node: ast.expr) -> Iterator[ast.NamedExpr]:
    """The names that an expression binds whenever it is worked out."""
    if isinstance(node, _LATER):
        return
    if isinstance(node, ast.NamedExpr):
        yield node
        return
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.expr | ast.keyword):
            yield from _named_at_once(part.value if isinstance(part, ast.keyword) else part)


class _Named(ast.NodeTransformer):
    """A statement with a name in the place of the expression that binds it; blocks inside it stay."""

    def __init__(self, named: ast.NamedExpr) -> None:
        self.named = named

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        return ast.Name(node.target.id, ast.Load()) if node is self.named else node


def _is_elif(function: ast.FunctionDef, statement: ast.If) -> bool:
    return any(
        isinstance(one, ast.If) and one.orelse == [statement] and one.orelse[0].col_offset == one.col_offset
        for one in own_statements(function.body)
    )


def _free(module: Module, function: ast.FunctionDef, wanted: str, others: Iterable[str] = ()) -> str:
    taken = {*others} | {part.id for part in ast.walk(function) if isinstance(part, ast.Name)} | set(module.bound)
    taken |= {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
    return numbered_name(wanted, lambda name: name not in taken)
