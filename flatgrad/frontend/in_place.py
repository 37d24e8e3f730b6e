"""What the text of a layer tells of changes in place: of what forward is given, and of the gradient in backward."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence


def is_numpy(function: ast.expr) -> bool:
    """`np.sum`, `np.add.at`"""
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in ("np", "numpy")


# Functions of NumPy that take what they write to as a third argument, or as a second one.
_BINARY = frozenset(
    {"add", "subtract", "multiply", "divide", "true_divide", "power", "maximum", "minimum", "dot", "matmul"}
)
_UNARY = frozenset({"exp", "log", "tanh", "sin", "cos", "sqrt", "square", "abs", "absolute", "negative", "sign"})


def is_out(function: ast.expr, position: int) -> bool:
    """Whether the argument in a place, counted from 1, is what a function of NumPy writes to."""
    name = function.attr if isinstance(function, ast.Attribute) else ""
    return is_numpy(function) and ((position == 3 and name in _BINARY) or (position == 2 and name in _UNARY))


_VIEWS = frozenset({"T", "reshape", "ravel", "view", "transpose", "squeeze", "swapaxes"})
_CHANGED_FIRST = frozenset({"copyto", "fill_diagonal", "place", "putmask", "put", "put_along_axis", "at", "shuffle"})
_CHANGED_OWNER = frozenset({"fill", "sort", "partition", "put", "resize", "itemset"})


def changed_argument(forward: ast.FunctionDef) -> str:
    """The argument that a forward method changes in place, as far as its text tells; '' for none.

    The layer before may have kept what this one is given, and what comes behind may read it again.
    """
    arguments = [*forward.args.posonlyargs, *forward.args.args][1:]
    needed = [one.arg for one in arguments[: len(arguments) - len(forward.args.defaults)]]
    shared = {name: name for name in needed}
    return _changed(forward.body, shared, False)


def _changed(body: Sequence[ast.stmt], shared: dict[str, str], inside: bool) -> str:
    for statement in body:
        heads = [part for part in ast.iter_child_nodes(statement) if not isinstance(part, ast.stmt)]
        for part in (inner for head in heads for inner in ast.walk(head)):
            found = _changed_by(part, shared)
            if found:
                return found
        match statement:
            case ast.AugAssign(target=target) if _root(target) in shared:
                return shared[_root(target)]
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                viewed = _viewed(value)
                if viewed in shared:
                    shared[name] = shared[viewed]
                elif not inside:
                    shared.pop(name, None)
            case ast.For() | ast.While() | ast.If() | ast.With() | ast.Try():
                for block in ("body", "orelse", "finalbody"):
                    found = _changed(getattr(statement, block, []), shared, True)
                    if found:
                        return found
    return ""


def _changed_by(part: ast.AST, shared: Mapping[str, str]) -> str:
    root = ""
    match part:
        case ast.Subscript(ctx=ast.Store()):
            root = _root(part)
        case ast.keyword(arg="out", value=value):
            root = _root(value)
        case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name in _CHANGED_FIRST:
            root = _root(first)
        case ast.Call(func=ast.Attribute(attr=name, value=owner)) if name in _CHANGED_OWNER:
            root = _root(owner)
        case ast.Call(func=function, args=[*_, last] as args) if is_out(function, len(args)):
            root = _root(last)
    return shared.get(root, "")


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _viewed(node: ast.expr) -> str:
    """The name of which an expression is a view, as far as its form tells."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Subscript(value=value, slice=ast.Slice() | ast.Constant() | ast.Tuple()):
            return _viewed(value)
        case ast.Attribute(value=value, attr="T"):
            return _viewed(value)
        case ast.Call(func=ast.Attribute(attr=name, value=ast.Name(id="np" | "numpy")), args=[first, *_]):
            return _viewed(first) if name in _VIEWS else ""
        case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in _VIEWS:
            return _viewed(value)
    return ""
