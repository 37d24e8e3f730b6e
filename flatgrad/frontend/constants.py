"""Constants: what is known of numbers while a function is read."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence

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

# What `np.finfo` tells of a floating dtype.
FINFO: dict[str, dict[str, float]] = {
    "float64": {
        "eps": 2.0**-52,
        "tiny": 2.0**-1022,
        "max": (2 - 2.0**-52) * 2.0**1023,
        "min": -(2 - 2.0**-52) * 2.0**1023,
    },
    "float32": {
        "eps": 2.0**-23,
        "tiny": 2.0**-126,
        "max": (2 - 2.0**-23) * 2.0**127,
        "min": -(2 - 2.0**-23) * 2.0**127,
    },
}
FLOATS: dict[str, str] = {
    "builtins.float": "float64",
    "numpy.double": "float64",
    "numpy.float64": "float64",
    "numpy.float32": "float32",
    "numpy.single": "float32",
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


Constant = int | float | bool | str | None


def static_constant(node: ast.expr, module: Module) -> int | float | str | bool | None:
    """The number, string or truth value that an expression of constants is; None where it is anything else."""
    match node:
        case ast.Constant(value=bool() | str() as value):
            return value
        case ast.Name(id=name) if name in module.constants:
            return static_constant(module.constants[name], module)
        case _:
            return static_number(node, module)


def is_spelled(node: ast.expr) -> bool:
    """Whether a display is one of dicts and strings, not of numbers that NumPy would make an array of."""
    match node:
        case ast.Dict():
            return True
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return any(is_spelled(element) for element in elements)
        case ast.Constant(value=str()):
            return True
    return False


def ordered(op: ast.cmpop, first: object, second: object) -> bool | None:
    """What a comparison of two numbers, or of two strings, gives; None for anything else."""
    if isinstance(first, str) and isinstance(second, str):
        return _order(op, (first > second) - (first < second))
    if isinstance(first, int | float) and isinstance(second, int | float):
        if math.isnan(first) or math.isnan(second):
            return False
        return _order(op, (first > second) - (first < second))
    return None


def _order(op: ast.cmpop, sign: int) -> bool | None:
    match op:
        case ast.Lt():
            return sign < 0
        case ast.LtE():
            return sign <= 0
        case ast.Gt():
            return sign > 0
        case ast.GtE():
            return sign >= 0
    return None


def as_literal(value: object, text: str) -> Literal | None:
    """A literal for a value that was computed while the function was read; `text` where Python's own spelling of it is
    none. None for what is no constant."""
    if isinstance(value, float) and not math.isfinite(value):
        return Literal(value, text)
    return Literal(value, repr(value)) if isinstance(value, Constant) else None


_MOST_BITS = 256


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
                # 9**9**9 has 370 million digits.
                if isinstance(first, int) and isinstance(second, int) and first.bit_length() * second > _MOST_BITS:
                    return None
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
    if result is None or (isinstance(result, float) and not math.isfinite(result)):
        return None
    return Literal(result, repr(result))


# Functions that are computed while the function is read where their arguments are known.
FOLDED: dict[str, Callable[..., object]] = {
    "builtins.abs": abs,
    "builtins.bool": bool,
    "builtins.float": float,
    "builtins.int": int,
    "builtins.repr": repr,
    "builtins.round": round,
    "builtins.str": str,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "math.isinf": math.isinf,
    "math.isnan": math.isnan,
}


def folded_call(path: str, values: Sequence[object], text: str) -> Literal | None:
    """What one of FOLDED gives; None where it fails."""
    try:
        return as_literal(FOLDED[path](*values), text)
    except (ValueError, TypeError, OverflowError):
        return None


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
    known = _constant_shape(module.constants[name], module)
    if known == "unknown" and _is_narrow(module.constants[name], module):
        return {"value": known, "dtype": "int"}
    return {"value": known}


_NARROW = frozenset({"byte", "int8", "int16", "int32", "intc", "short", "ubyte", "uint8", "uint16", "uint32", "ushort"})


def _is_narrow(node: ast.expr, module: Module) -> bool:
    """Whether an expression gives integers of a narrow dtype, which wrap around: `np.uint8(200)`."""
    match node:
        case ast.Call(func=function, args=args, keywords=keywords):
            given = [*args, *(keyword.value for keyword in keywords)]
            return any(_word(one) in _NARROW for one in (function, *given))
        case ast.Name(id=name) if name in module.constants:
            return _is_narrow(module.constants[name], module)
        case ast.BinOp(left=left, op=op, right=right) if not isinstance(op, ast.Div):
            sides = [_is_narrow(one, module) or isinstance(static_number(one, module), int) for one in (left, right)]
            return all(sides) and (_is_narrow(left, module) or _is_narrow(right, module))
        case ast.UnaryOp(operand=value) | ast.Subscript(value=value):
            return _is_narrow(value, module)
    return False


def _word(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=word) | ast.Name(id=word) | ast.Constant(value=str(word)):
            return word
    return ""


# What gives a number for numbers.
_ELEMENTWISE = (
    *("sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh"),
    *("tanh", "arcsin", "arccos", "arctan", "abs", "absolute", "square", "power", "floor", "ceil", "float64"),
    *("float32", "double", "deg2rad", "rad2deg", "radians", "degrees"),
)
_OF_NUMBERS = frozenset(f"numpy.{name}" for name in _ELEMENTWISE)
_NUMBERS = frozenset({"abs", "float", "int", "round", "bool", "len"})


def _constant_shape(node: ast.expr, module: Module) -> Attribute:
    """The nesting of a display of numbers, so that its shape is known: `[[1, 2], [3, 4]]` is (2, (2, None)).

    "unknown" for everything whose shape the text does not tell: other calls, names, and displays of them.
    """
    match node:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            inner = tuple(_constant_shape(element, module) for element in elements)
            return "unknown" if "unknown" in inner else (len(elements), *inner[:1])
        case ast.Constant(value=value) if value is not Ellipsis:
            return None
        case ast.Name(id=name) if name in module.constants:
            return _constant_shape(module.constants[name], module)
        case ast.UnaryOp(operand=operand):
            return None if _constant_shape(operand, module) is None else "unknown"
        case ast.BinOp(left=left, right=right):
            return None if _constant_shape(left, module) is _constant_shape(right, module) is None else "unknown"
        case ast.Attribute(value=ast.Call(func=function)) if dotted_path(module, function, frozenset()) in (
            "numpy.finfo",
            "numpy.iinfo",
        ):
            return None
        case ast.Name() | ast.Attribute():
            return None if dotted_path(module, node, frozenset()) in CONSTANTS else "unknown"
        case ast.Call(func=function, args=args):
            path = dotted_path(module, function, frozenset()) or ""
            library, _, name = path.partition(".")
            numbers = all(_constant_shape(arg, module) is None for arg in args)
            sure = library == "math" or (library == "builtins" and name in _NUMBERS)
            return None if sure or (path in _OF_NUMBERS and numbers) else "unknown"
    return "unknown"
