"""Loops over a dict that the program is given: `for k, W in params.items()`, `for k in params`.

The keys are known only when the program runs: a round reads its key from the list of them, and its entry by that.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flatgrad.frontend.entries import EntryLowering
from flatgrad.frontend.environment import Binding
from flatgrad.ir.core import Attribute, Relation, Type, Value

VIEWS = frozenset({"items", "keys", "values"})


@dataclass(frozen=True, slots=True)
class DictRounds:
    """What a round binds: the key, and what stands under it; None for what is not asked for."""

    given: Value
    keys: Value
    key: ast.expr | None
    value: ast.expr | None


class Looping(Protocol):
    """What is asked of the lowering of a function."""

    expressions: EntryLowering
    texts: set[Value]
    environment: dict[str, Binding]

    def emit(self, step: Relation, view: bool) -> None: ...
    def bind(self, target: ast.expr, bound: Binding, value: ast.expr) -> None: ...


def dict_rounds(lowering: Looping, node: ast.expr, target: ast.expr, body: Sequence[ast.stmt]) -> DictRounds | None:
    """What a loop over a given dict binds in a round; None where it runs over something else."""
    in_order = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sorted"
    if isinstance(node, ast.Call) and in_order:
        if len(node.args) != 1 or node.keywords or "sorted" in lowering.environment:
            return None
        node = node.args[0]
    base, view = node, ""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr=method), args=[], keywords=[]) if method in VIEWS:
            base, view = inner, method
    given = _given(lowering, base)
    if given is None or (in_order and view == "values"):
        return None
    if not view and not _is_dict(lowering, base, target, body):
        return None
    key: ast.expr | None = target
    value: ast.expr | None = None
    match view, target:
        case "items", ast.Tuple(elts=[first, second]):
            key, value = first, second
        case "items", _:
            return None
        case "values", _:
            key, value = None, target
    keys = Value("", Type.open("keys"))
    attrs: dict[str, Attribute] = {"text": "sorted(_0)" if in_order else "list(_0)", "holds": "keys"}
    lowering.emit(Relation((keys,), "opaque", (given,), attrs), view=False)
    return DictRounds(given, keys, key, value)


def bind_entry(lowering: Looping, rounds: DictRounds, index: Value) -> None:
    """Bind the targets of a round."""
    key = lowering.expressions.read(rounds.keys, (index,))
    if rounds.key is not None:
        lowering.bind(rounds.key, key, rounds.key)
        if isinstance(rounds.key, ast.Name):
            named = lowering.environment[rounds.key.id]
            key = named if isinstance(named, Value) else key
    lowering.texts.add(key)
    if rounds.value is not None:
        entry = Value("", Type.open("entry"))
        lowering.emit(Relation((entry,), "entry", (rounds.given, key)), view=True)
        lowering.bind(rounds.value, entry, rounds.value)


def _given(lowering: Looping, base: ast.expr) -> Value | None:
    if not isinstance(base, ast.Name | ast.Subscript | ast.Attribute):
        return None
    found = lowering.expressions.aside().lower(base)
    if not isinstance(found, Value) or found not in lowering.expressions.given:
        return None
    bound = lowering.expressions.lower(base)
    return bound if isinstance(bound, Value) else None


def _is_dict(lowering: Looping, base: ast.expr, target: ast.expr, body: Sequence[ast.stmt]) -> bool:
    """Whether what is run over is a dict: it is read under the target itself, or under a string anywhere before."""
    found = lowering.expressions.aside().lower(base)
    if any(one is found for one, _ in lowering.expressions.entries):
        return True
    for part in (inner for one in body for inner in ast.walk(one)):
        match part:
            case ast.Subscript(value=value, slice=ast.Name(id=name)):
                if isinstance(target, ast.Name) and name == target.id and ast.dump(value) == ast.dump(base):
                    return True
    return False
