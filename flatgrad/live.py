"""Live objects: which can be written as text, which are numbers, and where a library function comes from."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def is_constant(value: object) -> bool:
    """A value that can be written as a literal and cannot change."""
    return type(value) in (bool, int, float, str, type(None)) or (
        type(value) is tuple and all(is_constant(part) for part in value)
    )


def literal(value: object) -> str:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def is_numeric(value: object) -> bool:
    """An array, a NumPy scalar, or a list or tuple of numbers."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return True
    return isinstance(value, list | tuple) and all(
        isinstance(part, bool | int | float) or is_numeric(part) for part in value
    )


def claim(value: object) -> str:
    """The annotation that tells the compiler the shape and the dtype of an array, `: "6 3 float"`; '' for others."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        return ""
    dtype = {"f": "float", "i": "int", "u": "int", "b": "bool"}.get(value.dtype.kind, "")
    return f': "{" ".join([*map(str, value.shape), dtype])}"' if dtype else ""


def same(first: object, second: object) -> bool:
    if type(first) is not type(second):
        return False
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(first, numpy.ndarray | numpy.generic):
        assert isinstance(second, numpy.ndarray | numpy.generic)
        return bool(first.dtype == second.dtype and numpy.array_equal(first, second))
    if isinstance(first, list | tuple):
        assert isinstance(second, list | tuple)
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def library_of(value: object) -> tuple[str, str] | None:
    """The module and the name of a function of NumPy, math or SciPy: ufuncs do not tell their module themselves."""
    name = getattr(value, "__name__", None)
    if not callable(value) or not isinstance(name, str):
        return None
    for module in ("numpy", "numpy.linalg", "math", "scipy.special", "scipy.linalg"):
        if module in sys.modules and getattr(importlib.import_module(module), name, None) is value:
            return module, name
    return None
