"""A function that computes a result and, beside it, its gradients: `return loss, grads`, `return loss, dW`."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.reading.assigned import Backward, kept_on_object, returned
from flatgrad.diff.reading.names import LOSS, Kind, Variables, is_container, read_name, without_gradients, words
from flatgrad.diff.reading.scope import Function, attributes_read, is_cache, parameters, receiver, required, variables
from flatgrad.diff.reading.targets import Element, Row, entries, names_read, rows, targets
from flatgrad.frontend.liveness import bound_names, own_statements, reads
from flatgrad.frontend.memory import Known
from flatgrad.frontend.own_backward import Matter
from flatgrad.frontend.slicing import slice_function
from flatgrad.frontend.source import Module

# A function with one of these parameters trains, and what it returns is no loss.
_TRAINS = frozenset(
    ("learning_rate", "num_iterations", "num_iters", "epochs", "n_epochs", "num_epochs", "n_iter", "iterations")
)
_DEEPEST = 3  # `x = (x, y)` would have no end
_NO_LOSS = frozenset(("params", "parameters", "weights", "history", "losses", "costs", "config", "next"))


def read_flat(
    module: Module, node: Function, owner: ast.ClassDef | None, file: str, given: Mapping[str, str], asked: bool
) -> Homework | None:
    """The homework of a function; None for one that does not return its own gradients.

    `asked`: the user names the function.
    """
    method = owner is not None
    taken = parameters(node, method)
    me = receiver(node) if method else ""
    body = list(own_statements(node.body))
    bound = [one for one in variables(body, taken, me) if one not in taken]
    everything = Variables((*taken, *without_gradients(bound)), given=given)
    chosen = _chosen(module, node, everything)
    if chosen is None:
        return None
    row, loss = chosen
    if not asked and _TRAINS & set(taken) and not _is_loss(loss):
        return None
    backward = backward_statements(module, node, row.statement, loss.node)
    forward = [one for one in body if one not in backward]
    attributes: tuple[str, ...] = ()
    if owner is not None:
        attributes = tuple(one for one in attributes_read(owner, node) if not is_container(one))
    names = tuple(
        one
        for one in variables(forward, (*taken, *attributes), me)
        if read_name(one, everything).kind is not Kind.GRADIENT or one in taken
    )
    results = tuple(
        {loss.name, *(name for name in names if name in LOSS or {"loss", "cost"} & set(words(name)))} - {""}
    )
    known = Variables(names, results, False, {}, given)
    read = Backward(module, tuple(one for one in body if one in backward or _hands_over(one, known)), (), known)
    gradients = {
        text: variable for text, variable in read.gradients().items() if text not in names and text not in results
    }
    wanted = required(node, method)
    others = [one for one in row.elements if one == loss or not _is_gradient(module, node, one, everything)]
    found = returned(read, row, node.body, gradients, wanted if _all_arrays(row, wanted) else (), taken, others)
    if row.single:
        found = [one for one in found if one.place != loss.place]
    if method:
        found += kept_on_object(read, me, gradients, {*taken, *attributes}, found)
    if not found or not (gradients or any(is_container(one.target) for one in found)):
        return None
    name = f"{owner.name}.{node.name}" if owner is not None else node.name
    return Homework(
        file=file,
        text=module.text,
        style=Style.FLAT,
        function=name,
        forward=name,
        backward=name,
        parameters=taken,
        attributes=attributes,
        loss=(loss.place,),
        script_result="",
        upstream=("",),
        cache="",
        cache_place=(),
        backward_lines=whole_lines(body, backward),
        gradients=gradients,
        returned=tuple(found),
        options=(),
    )


def _all_arrays(row: Row, wanted: Sequence[str]) -> bool:
    return len(row.elements) - 1 == len(wanted)


def _hands_over(statement: ast.stmt, known: Variables) -> bool:
    """Whether a forward statement gives a result and its gradient: `loss, dscores = softmax_loss(scores, y)`."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=[_, *parts])], value=ast.Call()):
            names = [part.id for part in parts if isinstance(part, ast.Name)]
            return any(read_name(name, known).kind is Kind.GRADIENT for name in names)
    return False


# The loss and its gradients


def _chosen(module: Module, node: Function, known: Variables) -> tuple[Row, Element] | None:
    """The `return` that gives gradients, and the loss in it."""
    found: tuple[Row, Element] | None = None
    taken = parameters(node, False)
    for row in rows(module, node.body):
        elements = row.elements
        if row.single:
            inner = entries(module, elements[0], node.body)
            elements = tuple(inner)
        gradients = [one for one in elements if _is_gradient(module, node, one, known)]
        others = [one for one in elements if one not in gradients and not is_cache(one.name)]
        others = [one for one in others if not (_NO_LOSS & set(words(one.name))) and one.name not in taken]
        if not gradients or not others:
            continue
        named = [one for one in others if _is_loss(one)]
        found = (row, (named or others)[0])
    return found


def _is_loss(element: Element) -> bool:
    return bool({"loss", "cost"} & set(words(element.key or element.name))) or element.name in LOSS


def _is_gradient(module: Module, node: Function, element: Element, known: Variables, depth: int = 0) -> bool:
    """Whether something returned is a gradient, or a dict or a tuple that holds one."""
    if element.name in known.names[: len(parameters(node, False))]:
        return False
    if isinstance(element.node, ast.Name | ast.Attribute) and is_container(element.name):
        return True
    spelled = [element.key, element.name] if element.key else [element.name]
    for name in filter(None, spelled):
        named = read_name(name, known)
        if named.kind is Kind.GRADIENT and name not in LOSS:
            return True
    inner = entries(module, element, node.body) if depth < _DEEPEST else []
    if inner:
        return any(_is_gradient(module, node, one, known, depth + 1) for one in inner)
    match element.node:
        case ast.Call() | ast.BinOp() | ast.Subscript():
            if Matter.of(node).reason(element.node) == "gradient":
                return True
            names = {name for name in reads(element.node) if read_name(name, known).kind is Kind.GRADIENT}
            return bool(names) and not element.key
    return False


# Which statements the loss does not depend on


def backward_statements(module: Module, node: Function, returning: ast.Return, loss: ast.expr) -> frozenset[ast.stmt]:
    """The statements of a function that its loss does not depend on.

    Args:
        module: the file.
        node: the function.
        returning: the `return` that gives the loss.
        loss: the part of it that is the loss.
    """
    memo: dict[int, Any] = {}
    copied: ast.Module = copy.deepcopy(module.tree, memo)
    twin: Function = memo[id(node)]
    original = list(own_statements(node.body))
    twins: list[ast.stmt] = list(own_statements(twin.body))
    same = dict(zip(twins, original, strict=True))
    memo[id(returning)].value = memo.get(id(loss), loss)
    updates = {one for one in original if _updates(one)}
    for one in updates:  # what is learnt in place is no part of the loss
        memo[id(one)].value = ast.copy_location(ast.Constant(0), one)
    sliced = slice_function(twin, Known(replace(module, tree=copied)), ())
    backward = {same[one] for one in twins if one not in sliced.needed} | updates
    return frozenset(backward | _set_apart(module, node, original, backward, loss))


def _updates(statement: ast.stmt) -> bool:
    """Whether a statement learns: `W -= learning_rate * dW`, `params["W1"] -= step * grads["W1"]`."""
    match statement:
        case ast.AugAssign(target=target, op=ast.Sub() | ast.Add(), value=ast.BinOp() as value):
            match target:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
                    known = Variables((name,))
                case _:
                    return False
        case _:
            return False
    for part in ast.walk(value):
        match part:
            case ast.Name(id=other) | ast.Attribute(attr=other):
                if read_name(other, known).variable == name:
                    return True
            case ast.Subscript(value=ast.Name(id=holder), slice=ast.Constant(value=str(key))):
                if is_container(holder) and read_name(key, known).variable in (name, "") and key.endswith(name):
                    return True
    return False


def _set_apart(
    module: Module, node: Function, statements: Sequence[ast.stmt], backward: set[ast.stmt], loss: ast.expr
) -> set[ast.stmt]:
    """Statements that were kept for what a call might do, assign gradients, and whose names the loss does not read."""
    known = Variables(tuple(bound_names(node.body)) + parameters(node, False))
    needed = set(reads(loss))
    rest = [one for one in statements if one not in backward]
    assigned = {one: [target for target in targets(module, [one]) if target.statement is one] for one in rest}
    while True:
        more = {
            name
            for one in rest
            if any((target.holder or target.name).split(".")[0].split("[")[0] in needed for target in assigned[one])
            for name in names_read(one)
        }
        if more <= needed:
            break
        needed |= more
    found: set[ast.stmt] = set()
    for one in rest:
        if assigned[one] and isinstance(one, ast.Assign | ast.AugAssign):
            named = [target for target in assigned[one] if (target.holder or target.name) not in needed]
            kinds = {read_name(target.name, known).kind for target in assigned[one] if not is_container(target.holder)}
            if len(named) == len(assigned[one]) and kinds <= {Kind.GRADIENT}:
                found.add(one)
    return found


def whole_lines(statements: Sequence[ast.stmt], chosen: frozenset[ast.stmt]) -> frozenset[int]:
    """The first lines of chosen statements; not those in which another statement begins as well."""
    others = {one.lineno for one in statements if one not in chosen}
    return frozenset(one.lineno for one in chosen) - others
