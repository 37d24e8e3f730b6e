"""A forward function of another file and the backward function beside it: whether the one can be called for the other.

Understood is the way of the whole field, and of what flatgrad writes: forward returns its results and then a cache,
backward takes the gradients of the results and then the cache, and returns gradients that are named after the
parameters: `return dx, dw, db`. What backward computes is taken on trust; what it does with memory is read off.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from flatgrad.frontend.borrowed import Returned
from flatgrad.frontend.liveness import arguments, own_statements
from flatgrad.frontend.memory import Known
from flatgrad.frontend.sharing import Sharing
from flatgrad.frontend.source import Module

Imported = Callable[[str], tuple[ast.FunctionDef, Module] | None]

_GRADIENTS = ("d{0}", "d_{0}", "grad_{0}", "{0}_grad", "g{0}", "dL_d{0}", "dLd{0}")


@dataclass(frozen=True, slots=True)
class Matched:
    """See `borrowed.Pair`."""

    results: int
    gradients: tuple[Returned, ...]
    changes: bool


def backward_name(name: str) -> str:
    """What the backward function of a function is called."""
    return f"{name.removesuffix('_forward')}_backward"


def match(module: Module, name: str, imported: Imported) -> Matched | str:
    """How the backward function beside a function is called; if it cannot be, the reason."""
    forward, backward = module.functions[name], module.functions[backward_name(name)]
    other = backward.name
    if backward.args.vararg or backward.args.kwarg or backward.args.kwonlyargs or backward.args.defaults:
        return f"{other} takes other parameters than the gradients of the results and the cache"
    rows = _returned(forward)
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths == {1}:
        return f"{name} does not return its results and then a cache"
    width = widths.pop()
    taken = [argument.arg for argument in arguments(backward.args)]
    if len(taken) != width:
        return f"{other} takes {len(taken)} parameters, and {name} returns {width - 1} results and a cache"
    for row in rows:
        named = [part.id if isinstance(part, ast.Name) else "" for part in row]
        for position, result in enumerate(named[:-1]):
            places = [k for k, one in enumerate(taken) if result and one in _names_of(result)]
            if places and places != [position]:
                return f"{taken[places[0]]} is not in the place of {result}"
    parameters = [argument.arg for argument in arguments(forward.args)]
    gradients = _gradients(backward, parameters)
    if isinstance(gradients, str):
        return gradients
    return _with_memory(backward, Known(module, imported), width - 1, gradients)


def _names_of(name: str) -> frozenset[str]:
    return frozenset(pattern.format(name) for pattern in _GRADIENTS)


def _returned(node: ast.FunctionDef) -> list[list[ast.expr]]:
    """What each `return` of a function returns, element by element; nothing for one without a value."""
    found: list[list[ast.expr]] = []
    for statement in own_statements(node.body):
        match statement:
            case ast.Return(value=ast.Tuple(elts=parts)):
                found.append(parts)
            case ast.Return(value=ast.expr() as value):
                found.append([value])
            case ast.Return():
                found.append([])
    return found


def _gradients(backward: ast.FunctionDef, parameters: list[str]) -> tuple[str, ...] | str:
    """The parameters whose gradients a function returns, in its order."""
    rows = _returned(backward)
    found: set[tuple[str, ...]] = set()
    for row in rows:
        if len(row) == 1 and len(parameters) == 1 and not isinstance(row[0], ast.Dict | ast.List):
            found.add((parameters[0],))
            continue
        named = [part.id if isinstance(part, ast.Name) else "" for part in row]
        matched = [_parameter(name, parameters) for name in named]
        missing = [k for k, name in enumerate(matched) if not name]
        # `return dA_prev, dW, db` for (A, W, b): one that has another name, where all the others are in their places
        one_apart = len(missing) == 1 and len(row) == len(parameters) > 1 and isinstance(row[missing[0]], ast.Name)
        if one_apart and all(name == parameters[k] for k, name in enumerate(matched) if name):
            matched[missing[0]] = parameters[missing[0]]
        if not row or not all(matched) or len(set(matched)) < len(matched):
            shown = ", ".join(ast.unparse(part) for part in row)
            return (
                f"{backward.name} returns `{shown}`, which are not named after the parameters {', '.join(parameters)}"
            )
        found.add(tuple(matched))
    if len(found) != 1:
        return f"{backward.name} does not return the same gradients on every way"
    return found.pop()


def _parameter(name: str, parameters: list[str]) -> str:
    exact = [one for one in parameters if name in _names_of(one)]
    alike = exact or [one for one in parameters if name.lower() in {n.lower() for n in _names_of(one)}]
    return alike[0] if len(alike) == 1 else ""


def _with_memory(backward: ast.FunctionDef, known: Known, results: int, gradients: tuple[str, ...]) -> Matched | str:
    sharing = Sharing(backward, known)
    *upstream, cache = [argument.arg for argument in arguments(backward.args)]
    changed: set[object] = set()
    for statement in own_statements(backward.body):
        changed |= sharing.effects(statement).changed
    if cache in changed:
        return f"{backward.name} changes what is in its cache"
    fresh = [True] * len(gradients)
    for row in _returned(backward):
        pieces = [sharing.reached(part) for part in row]
        for position, one in enumerate(pieces):
            others = [piece for k, other in enumerate(pieces) if k != position for piece in other]
            fresh[position] &= not any(isinstance(piece, str) for piece in one) and not one & frozenset(others)
    returned = tuple(Returned(name, own) for name, own in zip(gradients, fresh, strict=True))
    return Matched(results, returned, bool(changed & set(upstream)))
