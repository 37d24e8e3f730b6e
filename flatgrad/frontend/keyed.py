"""Dict comprehensions over a dict that the program is given: `{k: 0.5 * W for k, W in params.items()}`.

Where the function reads the result under constant keys alone, it is read as the display of these entries.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping

from flatgrad.frontend.evaluating import UNKNOWN, Folding

_PERHAPS_RUN = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.FunctionDef, ast.Match)
_PERHAPS_READ = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.comprehension)


def display_of_entries(function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """`scaled = {"W1": 0.5 * params["W1"], ...}` for the comprehension; None where another one stands there."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=name) as target],
            value=ast.DictComp(key=ast.Name(id=key), value=value, generators=[ast.comprehension(is_async=0) as one]),
        ):
            pass
        case _:
            return None
    entry: str | None = None
    match one.target, one.iter:
        case (
            ast.Tuple(elts=[ast.Name(id=first), ast.Name(id=second)]),
            ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() as given, attr="items"), args=[]),
        ):
            entry = second
        case (
            ast.Name(id=first),
            ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() as given, attr="keys"), args=[])
            | (ast.Name() | ast.Attribute() as given),
        ):
            pass
        case _:
            return None
    keys = _keys_read(function, node, name)
    plain = not any(isinstance(part, ast.Lambda | ast.NamedExpr | ast.comprehension) for part in ast.walk(value))
    if first != key or entry == key or not keys or not plain:
        return None
    values: list[ast.expr] = []
    for text in keys:
        constant = ast.Constant(text)
        known: dict[str, ast.expr] = {key: constant}
        if entry is not None:
            known[entry] = ast.Subscript(copy.deepcopy(given), constant, ast.Load())
        folding = Folding(lambda _: None, lambda _, __: None, lambda _: None)
        for test in one.ifs:
            if folding.value(_Written(known).visit(copy.deepcopy(test))) in (UNKNOWN, False):
                return None
        values.append(folding.visit(_Written(known).visit(copy.deepcopy(value))))
    made = ast.Assign([copy.deepcopy(target)], ast.Dict([ast.Constant(text) for text in keys], values))
    return [ast.fix_missing_locations(ast.copy_location(made, node))]


def _keys_read(function: ast.FunctionDef, node: ast.Assign, name: str) -> list[str]:
    """The keys under which a dict is read, in their order; none where anything else is done with it, or where one of
    them is perhaps not read: the entry need not be there then."""
    if node not in function.body:
        return []
    reads: list[ast.Subscript] = []
    may_end = False
    for statement in function.body[function.body.index(node) + 1 :]:
        inner = list(ast.walk(statement))
        found = [one for one in inner if isinstance(one, ast.Subscript) and _is_entry(one, name)]
        perhaps = isinstance(statement, _PERHAPS_RUN) or any(isinstance(one, _PERHAPS_READ) for one in inner)
        if found and (perhaps or may_end):
            return []
        may_end = may_end or (perhaps and any(isinstance(one, ast.Return) for one in inner))
        reads += sorted(found, key=lambda one: (one.lineno, one.col_offset))
    names = [part for part in ast.walk(function) if isinstance(part, ast.Name) and part.id == name]
    given = any(isinstance(part, ast.arg) and part.arg == name for part in ast.walk(function))
    if given or len(names) != len(reads) + 1:
        return []
    return list(dict.fromkeys(str(one.slice.value) for one in reads if isinstance(one.slice, ast.Constant)))


def _is_entry(node: ast.Subscript, name: str) -> bool:
    match node:
        case ast.Subscript(value=ast.Name(id=root), slice=ast.Constant(value=str()), ctx=ast.Load()):
            return root == name
    return False


class _Written(ast.NodeTransformer):
    """Puts expressions in the places of names."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        found = self.known.get(node.id)
        return node if found is None else copy.deepcopy(found)
