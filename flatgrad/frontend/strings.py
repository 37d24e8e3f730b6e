"""Strings that are known while a function is read: `"W" + str(i)`, `"W%d" % i`, `"W{}".format(i)`, f-strings."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from flatgrad.frontend.constants import Constant
from flatgrad.ir.core import Literal

# Methods of a string that compute something of it.
STRING_METHODS = frozenset(
    {"capitalize", "endswith", "format", "isdigit", "lower", "lstrip", "removeprefix", "removesuffix", "replace"}
    | {"rstrip", "startswith", "strip", "title", "upper", "zfill"}
)

_CONVERSIONS: dict[int, Callable[[object], str]] = {ord("r"): repr, ord("s"): str, ord("a"): ascii}


def text_literal(text: str) -> Literal:
    return Literal(text, repr(text))


def is_text(node: ast.expr, known: Callable[[ast.expr], bool]) -> bool:
    """Whether an expression is a string, as far as its form tells: `"W" + str(i)`, `"W%d" % i`. `known` is asked of
    names, and of what else has no such form."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return is_text(left, known) or is_text(right, known)
        case ast.BinOp(left=left, op=ast.Mod()):
            return is_text(left, known)
        case ast.Call(func=ast.Attribute(value=receiver, attr="format" | "join")):
            return is_text(receiver, known)
    return known(node)


def formatted(value: object, conversion: int, specification: str) -> str | None:
    """A part of an f-string; None where Python fails."""
    try:
        return format(_CONVERSIONS[conversion](value) if conversion in _CONVERSIONS else value, specification)
    except (ValueError, TypeError):
        return None


def operated(op: ast.operator, first: object, second: object) -> str | None:
    """What `+`, `*` or `%` makes of a string; None where it makes none. A tuple stands for several values of `%`."""
    try:
        match op:
            case ast.Add() if isinstance(first, str) and isinstance(second, str):
                return first + second
            case ast.Mult() if isinstance(first, str) and isinstance(second, int):
                return first * second
            case ast.Mult() if isinstance(first, int) and isinstance(second, str):
                return first * second
            case ast.Mod() if isinstance(first, str):
                return first % second
    except (ValueError, TypeError, KeyError):
        return None
    return None


def method_result(receiver: str, method: str, given: Sequence[object], named: dict[str, object]) -> Constant | None:
    """What a method of a string gives; None where it fails, or gives something else than a constant."""
    if method not in STRING_METHODS:
        return None
    try:
        result = getattr(receiver, method)(*given, **named)
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return result if isinstance(result, str | bool) else None
