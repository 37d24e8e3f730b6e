"""Which functions and classes of a module have the names of the contract, and what their gradients belong to.

    f_forward(…) -> out, cache      f_backward(dout, cache) -> gradients      f_value_and_grad(…) -> out, gradients
    a class with `forward` (or `__call__`) and `backward`, which leaves `self.d<name>` behind

Modules that people wrote are read like those that flatgrad writes: gradients are told apart by the names in the return
statement.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FORWARD = ("forward", "__call__")


@dataclass(frozen=True, slots=True)
class Pair:
    """What a module has of one function or class.

    Attributes:
        name: the base name: `affine`, `Linear`.
        forward, backward, value_and_grad: the functions; None for what is not there, and for a class.
        owner: the class.
        method: of a class the name of its forward method.
        gradients: what the return statement of the backward pass calls each gradient; empty where it does not say.
        upstream: how many upstream gradients backward takes before the cache; of a class how many it takes at all.
        cached: backward takes a cache behind them.
    """

    name: str
    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None
    value_and_grad: Callable[..., Any] | None = None
    owner: type | None = None
    method: str = ""
    gradients: tuple[str, ...] = ()
    upstream: int = 1
    cached: bool = True


def pairs(names: Mapping[str, Any], text: str) -> tuple[Pair, ...]:
    """The functions and classes of a module that can be checked, in the order of the text.

    Args:
        names: the module's globals, after it was run.
    """
    tree = ast.parse(text)
    found: list[Pair] = []
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            pair = _class(node, names)
            if pair is not None:
                found.append(pair)
        elif isinstance(node, ast.FunctionDef) and (base := _base(node.name)) is not None:
            if base not in [one.name for one in found] and (pair := _functions(base, functions, names)) is not None:
                told = _told(ast.get_docstring(tree) or "", base)
                found.append(replace(pair, gradients=told) if len(told) == len(pair.gradients) else pair)
    return tuple(found)


def _told(document: str, base: str) -> tuple[str, ...]:
    """What the head of a generated module says that a backward function returns: where it keeps a second version of a
    name, the name in its return statement is another one (`dmemory2`)."""
    line = re.search(rf"^{re.escape(base)}_backward\([^)]*\) *-> *(?P<names>[\w, ]+?) *$", document, re.MULTILINE)
    return tuple(name.strip() for name in line["names"].split(",")) if line else ()


def _base(name: str) -> str | None:
    for ending in ("_forward", "_value_and_grad"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return None


def _functions(base: str, nodes: Mapping[str, ast.FunctionDef], names: Mapping[str, Any]) -> Pair | None:
    parts = {kind: names.get(f"{base}_{kind}") for kind in ("forward", "backward", "value_and_grad")}
    forward, backward, joint = (one if callable(one) else None for one in parts.values())
    if backward is not None and forward is not None and f"{base}_backward" in nodes:
        node = nodes[f"{base}_backward"]
        taken = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)][
            : len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
        ]
        return Pair(base, forward, backward, joint, gradients=returned_names(node), upstream=max(len(taken) - 1, 0))
    if joint is not None and f"{base}_value_and_grad" in nodes:
        node = nodes[f"{base}_value_and_grad"]
        return Pair(base, value_and_grad=joint, gradients=_joint_names(node), upstream=0)
    return None


def _class(node: ast.ClassDef, names: Mapping[str, Any]) -> Pair | None:
    owner = names.get(node.name)
    if not isinstance(owner, type) or not callable(getattr(owner, "backward", None)):
        return None
    method = next((one for one in FORWARD if one in vars(owner) or (one == "forward" and hasattr(owner, one))), None)
    if method is None:
        return None
    own = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
    if "backward" not in own:
        return Pair(node.name, owner=owner, method=method)
    arguments = own["backward"].args
    taken = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults) - 1
    return Pair(
        node.name, owner=owner, method=method, gradients=returned_names(own["backward"]), upstream=taken, cached=False
    )


def returned_names(node: ast.FunctionDef) -> tuple[str, ...]:
    """What the last return statement hands out, by name; `''` for an expression. Empty where it returns nothing."""
    value = _last_return(node)
    if value is None:
        return ()
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return tuple(_spelled(part) for part in parts)


def _joint_names(node: ast.FunctionDef) -> tuple[str, ...]:
    value = _last_return(node)
    match value:
        case ast.Tuple(elts=[_, ast.Tuple(elts=parts)]):
            return tuple(_spelled(part) for part in parts)
        case ast.Tuple(elts=[_, *parts]):
            return tuple(_spelled(part) for part in parts)
    return ()


def _last_return(node: ast.FunctionDef) -> ast.expr | None:
    found: ast.expr | None = None
    for part in ast.walk(node):
        if isinstance(part, ast.Return) and part.value is not None:
            if found is None or part.value.lineno > found.lineno:
                found = part.value
    return found


def _spelled(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str() as key)):
            return key
    return ""


# What a gradient is called

_SPELLINGS = (
    re.compile(r"d_?(?P<name>\w+)"),
    re.compile(r"d[A-Za-z]+_?d_?(?P<name>\w+)"),
    re.compile(r"(?:grad|g)_?(?P<name>\w+)"),
    re.compile(r"(?P<name>\w+)_grad"),
)


def variable_of(gradient: str, variables: Iterable[str]) -> str | None:
    """The variable that a gradient is named for: `dW1`, `d_W1`, `dLdW1`, `grad_W1`, `W1_grad`, or `W1` itself, as in a
    dict of gradients."""
    known = list(variables)
    for pattern in _SPELLINGS:
        match = pattern.fullmatch(gradient)
        if match is not None and match["name"] in known:
            return match["name"]
    return gradient if gradient in known else None


class Unmatched(Exception):
    """What a returned gradient belongs to cannot be told."""


def gradients_of(
    returned: Any,
    names: Sequence[str],
    variables: Mapping[str, Any],
    fallback: Sequence[str] = (),
) -> dict[str, Any]:
    """The gradients that a backward pass returned, by variable.

    Args:
        returned: one gradient, a tuple or list of them, or a dict by name.
        names: what the return statement calls each, as far as it does.
        variables: the floating parameters, in order, with their values.
        fallback: the parameters that are differentiated, where somebody knows: used if names do not tell.
    Raises:
        Unmatched
    """
    if isinstance(returned, Mapping) and not _is_dict_gradient(returned, names, variables):
        return _from_dict(returned, variables)
    parts = list(returned) if isinstance(returned, tuple | list) else [returned]
    if len(names) != len(parts):
        names = [""] * len(parts)
    if isinstance(returned, tuple) and any(isinstance(part, Mapping) for part in parts) and len(parts) == 1:
        return _from_dict(parts[0], variables)
    owners = [variable_of(name, variables) for name in names]
    if any(owner is None for owner in owners):
        owners = _by_position(parts, owners, variables, fallback)
    found: dict[str, Any] = {}
    for owner, part in zip(owners, parts, strict=True):
        assert owner is not None
        if owner in found:
            raise Unmatched(f"two of the gradients that it returns are of {owner}")
        if part is not None:
            found[owner] = part
    return found


def _is_dict_gradient(returned: Mapping[str, Any], names: Sequence[str], variables: Mapping[str, Any]) -> bool:
    """Whether a dict is the gradient of one parameter that is a dict."""
    dicts = [name for name, value in variables.items() if isinstance(value, Mapping)]
    if len(names) == 1 and variable_of(names[0], variables) in dicts:
        return True
    return any(set(returned) == set(variables[name]) for name in dicts)


def _from_dict(returned: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    inside = {
        key: name
        for name, value in variables.items()
        if isinstance(value, Mapping)
        for key in value
        if isinstance(key, str)
    }
    for key, value in returned.items():
        owner = variable_of(str(key), variables)
        if owner is not None:
            found[owner] = value
            continue
        entry = variable_of(str(key), inside)
        if entry is None:
            raise Unmatched(f"there is no parameter for the gradient {key!r}")
        found.setdefault(inside[entry], {})[entry] = value
    return found


def _by_position(
    parts: Sequence[Any], owners: Sequence[str | None], variables: Mapping[str, Any], fallback: Sequence[str]
) -> list[str | None]:
    if len(fallback) == len(parts):
        return list(fallback)
    if len(variables) == len(parts) and all(owner is None for owner in owners):
        return list(variables)
    left = [name for name in variables if name not in owners]
    completed: list[str | None] = []
    for part, owner in zip(parts, owners, strict=True):
        if owner is not None:
            completed.append(owner)
            continue
        alike = [name for name in left if _alike(part, variables[name])]
        if len(alike) != 1:
            place = len(completed) + 1
            raise Unmatched(
                f"what gradient {place} of {len(parts)} belongs to cannot be told: name it d<parameter> in the return "
                "statement"
            )
        completed.append(alike[0])
        left.remove(alike[0])
    return completed


def _alike(gradient: Any, value: Any) -> bool:
    import numpy as np

    if isinstance(value, Mapping):
        return isinstance(gradient, Mapping) and set(gradient) == set(value)
    return not isinstance(gradient, Mapping) and np.shape(gradient) == np.shape(value)
