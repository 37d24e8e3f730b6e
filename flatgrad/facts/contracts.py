"""How the layers of a class are called: read off a backward method of the user's, or known of the one that is written.

Where a backward pass takes no gradient, what it returns is multiplied by the upstream one. That is right for a result
that is one number, and for one that is elementwise; all else is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.contracts import (
    UNKNOWN,
    Contract,
    Unclear,
    forward_parameters,
    is_abstract,
    lineage,
    method_of,
    own_contract,
    takes_nothing,
)
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.in_place import changed_argument
from flatgrad.frontend.methods import FORWARD, MARK, spoken
from flatgrad.frontend.source import Module, name_span
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Relation, Value

_SAME = frozenset({"alias", "let", "copy", "copy_of"})
_NO_VALUES = frozenset({"shape", "dim", "subshape", "size", "ndim", "dtype"})


def class_contract(
    name: str, module: Module, asked: Iterable[str], typed: Callable[[str], Lowered], wrt: Callable[[str], set[str]]
) -> tuple[Contract | Unclear, str]:
    """The contract of a class of the file, with the method that flatgrad writes a backward pass for, '' for none.

    Args:
        asked: the methods that are asked for: their own backward is written anew.
        typed: a method, lowered and typed.
        wrt: the parameters of a method that gradients are given for.
    Raises:
        Refused: where the forward method that is differentiated is not understood.
    """
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    family, whole = lineage(classes[name], classes)
    forward = next((found for one in FORWARD if (found := method_of(one, family)) is not None), None)
    if forward is None or forward[1].decorator_list:
        return UNKNOWN, ""
    called = method_of("__call__", family)
    if called is not None and forward[1].name != "__call__" and not _delegates(called[1]):
        return Unclear(f"{name} has both forward and __call__", "let __call__ be `return self.forward(x)`"), ""
    changed = changed_argument(forward[1])
    if changed:
        return Unclear(
            f"{name}.{forward[1].name} changes {changed} in place, which others may have kept",
            f"let it compute a new array: `out = {changed} * ...`",
        ), ""
    backward = method_of("backward", family)
    key = f"{forward[0].name}.{forward[1].name}"
    comes_later = backward is not None and family.index(backward[0]) > family.index(forward[0])
    if backward is None or is_abstract(backward[1]) or comes_later or key in asked:
        if backward is None and not whole:
            return UNKNOWN, ""
        return (_written(name, forward[1], typed(key), wrt(key)), key) if key in module.methods else (UNKNOWN, "")
    if backward[1].decorator_list:
        return UNKNOWN, ""
    own = own_contract(name, forward[1], backward[1])
    if isinstance(own, Contract) and own.local:
        return _held_to(own, key, module.methods, typed), ""
    return own, ""


def unlike_the_others(module: Module) -> dict[str, Diagnostic]:
    """The forward methods of layers whose own backward takes no gradient, while that of others in the same list does:
    these get a backward pass that is called as the others are, with the note that says so."""
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    found: dict[str, Diagnostic] = {}
    for method in module.methods.values():
        for attribute, names in method.layers.items():
            own = {name: _own(classes[name], classes) for name in sorted(names)}
            if len({one is not None for one in own.values()}) < 2:
                continue
            for name, pair in own.items():
                if pair is not None:
                    key, backward = pair
                    found[key] = Diagnostic(
                        "FG068",
                        f"{name}.backward is written anew, as `backward(self, dout)`",
                        name_span(module, backward),
                        f"it takes no gradient, and other layers in {spoken(attribute)} do",
                        severity="note",
                    )
    return found


def _own(owner: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> tuple[str, ast.FunctionDef] | None:
    """The forward method of a class whose own backward takes no gradient, with that."""
    family, _ = lineage(owner, classes)
    forward = next((found for one in FORWARD if (found := method_of(one, family)) is not None), None)
    backward = method_of("backward", family)
    if forward is None or backward is None or forward[0] is not owner or not takes_nothing(backward[1]):
        return None
    return f"{owner.name}.{forward[1].name}", backward[1]


def _delegates(method: ast.FunctionDef) -> bool:
    """`return self.forward(x)`"""
    match method.body[-1]:
        case ast.Return(value=ast.Call(func=ast.Name(id=name))):
            return name.endswith(f"{MARK}forward") and len(method.body) == 1
        case ast.Return(value=ast.Call(func=ast.Attribute(attr="forward"))):
            return len(method.body) == 1
    return False


def _written(name: str, forward: ast.FunctionDef, lowered: Lowered, wrt: set[str]) -> Contract | Unclear:
    """The contract of a class whose backward pass flatgrad writes."""
    given = forward_parameters(forward)
    if given is None or [result.position for result in lowered.results] != list(range(lowered.width)):
        return Unclear(f"the parameters and results of {name}.{forward.name} cannot be counted", "write them out")
    upstream = tuple(k for k, one in enumerate(lowered.results) if one.value.type.dtype.differentiable)
    params = [param.name for param in lowered.function.block.params]
    gives = tuple(one for one in params if one in wrt and MARK not in one)
    return Contract(name, *given, lowered.width, upstream, gives, own=False)


def _held_to(
    found: Contract, key: str, methods: Mapping[str, object], typed: Callable[[str], Lowered]
) -> Contract | Unclear:
    """A contract whose backward pass takes no gradient, if the types of forward allow for it."""
    unclear = Unclear(
        f"{found.owner}.backward takes no gradient, and the result of {found.owner}.forward is neither one number nor "
        "elementwise",
        "let backward take the gradient of the result, and return that of its argument: `backward(self, dout)`",
    )
    if key not in methods or sum(map(bool, found.gives)) != 1:
        return unclear
    try:
        lowered = typed(key)
    except Refused:
        return unclear
    parameter = next(filter(None, found.gives))
    if lowered.results[0].value.type.shape.is_scalar or _is_elementwise(lowered, parameter):
        return replace(found, gives=tuple(found.gives))
    return unclear


def _is_elementwise(lowered: Lowered, parameter: str) -> bool:
    """Whether the result has the shape of a parameter, and each element of it depends on the same one of that."""
    block = lowered.function.block
    reached = {param for param in block.params if param.name == parameter}
    for step in block.body:
        read = [value for value in step.operands() if value in reached]
        if not read:
            continue
        if not isinstance(step, Relation):
            return False
        if step.gate in _NO_VALUES:
            continue
        others = [value for value in step.operands() if value not in reached]
        numbers = all(value.type.shape.is_scalar for value in others)
        match step:
            case Relation(gate=gate) if gate in _SAME:
                reached.update(step.outs)
            case Relation(gate="write", args=(base, value)):
                mask = step.attrs["index"]
                whole = isinstance(mask, tuple) and len(mask) == 1 and mask[0] in reached and base in reached
                if not whole or (isinstance(value, Value) and not value.type.shape.is_scalar) or not numbers:
                    return False
                reached.update(step.outs)
            case Relation(gate=gate) if gate in TABLE and TABLE[gate].elementwise and numbers:
                reached.update(step.outs)
            case _:
                return False
    return lowered.results[0].value in reached
