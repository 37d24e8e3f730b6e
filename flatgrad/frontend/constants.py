"""Constants: what is known of numbers while a function is read."""

from __future__ import annotations

import ast

from flatgrad.frontend.source import Module, dotted_path
from flatgrad.ir.core import Attribute, Literal, Operand

# What a dotted name stands for where it is a number.
CONSTANTS: dict[str, float | None] = {
    "numpy.pi": 3.141592653589793,
    "numpy.e": 2.718281828459045,
    "numpy.euler_gamma": 0.5772156649015329,
    "numpy.inf": float("inf"),
    "numpy.nan": float("nan"),
    "numpy.newaxis": None,
    "math.pi": 3.141592653589793,
    "math.e": 2.718281828459045,
    "math.tau": 6.283185307179586,
    "math.inf": float("inf"),
}


def static_number(node: ast.expr, module: Module) -> int | float | None:
    """The value of an expression of constants, None where it is anything else."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name) if name in module.constants:
            return static_number(module.constants[name], module)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = static_number(operand, module)
            return None if number is None else -number
        case ast.BinOp(left=left, op=op, right=right):
            first, second = static_number(left, module), static_number(right, module)
            if first is None or second is None:
                return None
            return _number(type(op).__name__, first, second)
        case ast.Attribute():
            path = dotted_path(module, node, frozenset())
            return CONSTANTS.get(path) if path is not None else None
        case _:
            return None


def _number(operator: str, first: int | float, second: int | float) -> int | float | None:
    try:
        match operator:
            case "Add":
                return first + second
            case "Sub":
                return first - second
            case "Mult":
                return first * second
            case "Div":
                return first / second
            case "FloorDiv":
                return first // second
            case "Mod":
                return first % second
            case "Pow":
                result = first**second
                return result if isinstance(result, int | float) else None
    except (ZeroDivisionError, OverflowError):
        return None
    return None


def folded(path: str, operands: tuple[Operand, ...]) -> Literal | None:
    """A literal for an operator on literals: the text stays what was written."""
    values = [operand.value for operand in operands if isinstance(operand, Literal)]
    if len(values) != len(operands) or any(isinstance(v, bool | str | complex) or v is None for v in values):
        return None
    numbers = [value for value in values if isinstance(value, int | float)]
    result = _number(path, *numbers) if len(numbers) == 2 else (-numbers[0] if path == "USub" else None)
    if result is None:
        return None
    return Literal(result, repr(result))


def constant_facts(module: Module, name: str) -> dict[str, Attribute]:
    """What the text tells of a module constant that is no number.

    `X: "6 3 float" = ...` stands for an array that `flatgrad.compile` has at hand: its shape and dtype are facts.
    """
    for statement in module.tree.body:
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id=target), annotation=ast.Constant(value=str(claim)), value=ast.Constant(value=value)
            ) if target == name and value is Ellipsis:
                *dims, dtype = claim.split()
                nesting: Attribute = None
                for dim in reversed(dims):
                    nesting = (int(dim), nesting)
                return {"value": nesting or (), "dtype": dtype}
    return {"value": _constant_shape(module.constants[name])}


def _constant_shape(node: ast.expr) -> Attribute:
    """The nesting of a display of numbers, so that its shape is known: `[[1, 2], [3, 4]]` is (2, (2, None)).

    "unknown" for everything whose shape the text does not tell: calls, names, and displays of them.
    """
    match node:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            inner = tuple(_constant_shape(element) for element in elements)
            return "unknown" if "unknown" in inner else (len(elements), *inner[:1])
        case ast.Constant(value=value) if value is not Ellipsis:
            return None
        case ast.UnaryOp(operand=ast.Constant()):
            return None
    return "unknown"
