"""The shapes of attributes, by what `__init__` makes of its sizes: `0.01 * np.random.randn(D, H)` is `D H`."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flatgrad.frontend.method_parts import assignments, parameters_of
from flatgrad.frontend.source import Module, dotted_path

# Functions that fill an array with the shape that is their first argument, or every argument.
_FILLED = frozenset({"zeros", "ones", "empty", "full", "standard_normal", "random_sample", "random"})
_DRAWN = frozenset({"randn", "rand"})


def shape_made(module: Module, method: ast.FunctionDef, value: ast.expr) -> str | None:
    """The shape of what `__init__` makes: `0.01 * np.random.randn(D, H)` is `D H`."""
    match value:
        case ast.BinOp(op=ast.Mult() | ast.Div(), left=left, right=right):
            shapes = [shape_made(module, method, part) for part in (left, right)]
            made = [shape for shape in shapes if shape is not None]
            others = [part for part, shape in zip((left, right), shapes, strict=True) if shape is None]
            return made[0] if len(made) == 1 and all(_is_scalar(method, part) for part in others) else None
        case ast.Call(func=ast.Attribute(attr="astype", value=inner)):
            return shape_made(module, method, inner)
        case ast.Call(func=ast.Attribute(attr=name) as function, args=args, keywords=keywords):
            path = dotted_path(module, function, frozenset(parameters_of(method))) or ""
            if path and not path.startswith("numpy."):
                return None
            sizes = [one.value for one in keywords if one.arg in ("size", "shape")]
            if name in _DRAWN and args and not keywords and all(not isinstance(a, ast.Starred) for a in args):
                return _dims(method, args)
            if name in _FILLED and args:
                sizes = [args[0]]
            elif name in ("normal", "uniform") and len(args) == 3:
                sizes = [args[2]]
            match sizes:
                case [ast.Tuple(elts=elements)]:
                    return _dims(method, elements)
                case [ast.Name() | ast.Constant() as one]:
                    return _dims(method, [one])
    return None


def _dims(method: ast.FunctionDef, nodes: Sequence[ast.expr]) -> str | None:
    dims: list[str] = []
    whole = {name for name, arg in parameters_of(method).items() if not _is_sequence(arg)}
    again = {t.id for t, _ in assignments(method) if isinstance(t, ast.Name)}
    for node in nodes:
        match node:
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                dims.append(str(number))
            case ast.Name(id=name) if name in whole - again:
                dims.append(name)
            case _:
                return None
    return " ".join(dims) if dims and any(not dim.isdigit() for dim in dims) else None


def _is_scalar(method: ast.FunctionDef, node: ast.expr) -> bool:
    """Whether a factor is a number: a constant, or what scales a weight."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in parameters_of(method)
        case ast.BinOp(left=left, right=right):
            return _is_scalar(method, left) and _is_scalar(method, right)
        case ast.Call(func=ast.Attribute(attr="sqrt"), args=[inner]):
            return _is_scalar(method, inner)
    return False


def _is_sequence(argument: ast.arg) -> bool:
    text = "" if argument.annotation is None else ast.unparse(argument.annotation)
    return argument.arg in ("shape", "size", "dims") or text.lower().startswith(("tuple", "list", "sequence"))
