"""Shapes in free text, read generously: they are tried, and given up where they do not fit.

`z: scores of shape (N, C)`, `Wx (H, D)`, `Y -- labels of size (1, number of examples)`, `b: scalar`.
"""

from __future__ import annotations

import ast
import re

from flatgrad.ir.dims import SCALAR, Dim, Shape

_GROUP = re.compile(r"\(([^()]*)\)")
_PRODUCT = re.compile(r"[\w. ]+(?:\s*\*\s*[\w. ]+)*")


def mentioned_shape(text: str, name: str) -> Shape | None:
    """The shape that a text gives a name, None where it gives none. Dims of several words are symbols of that text."""
    for found in re.finditer(
        rf"(?<![\w.'\"]){re.escape(name)}\b`?[ \t]*(?P<rest>[^\n]*(?:\n[ \t]+[^\n:]*$)?)", text, re.M
    ):
        rest = re.split(r"[;]", found["rest"])[0]
        for group in _GROUP.finditer(rest):
            if _may_belong(rest[: group.start()]):
                shape = _read(group[1], name)
                if shape is not None:
                    return shape
        if re.match(r"[ \t]*(?::|--|-|=|is|\()[^\n(]*\b(scalar|float|real number)\b", rest):
            return SCALAR
    return None


def _may_belong(before: str) -> bool:
    """Whether what stands between a name and a bracket lets the bracket be its shape."""
    if len(before) > 90 or re.search(r"[.;]\s|[=+*/@]", before):
        return False
    words = before.strip().lower()
    plain = words in ("", ":", "-", "--") or re.search(r"\b(shape|size|dim|dims|dimensions?)\b", words) is not None
    listed = re.fullmatch(r"(?::|--|-)?\s*[\w\-' ]*(?:,\s*[\w\-' ]+)*", words) is not None
    return plain or (listed and ":" in words[:2])


def _read(inner: str, name: str) -> Shape | None:
    parts = [part.strip() for part in inner.strip().rstrip(",").split(",")]
    if not parts or len(parts) > 5 or not all(parts):
        return None
    dims: list[Dim] = []
    for place, part in enumerate(parts):
        dim = _dim(part, f"{name}.{place}")
        if dim is None:
            return None
        dims.append(dim)
    return Shape(tuple(dims))


def _dim(text: str, nameless: str) -> Dim | None:
    text = re.sub(r"^(\d+)\s*([A-Za-z])", r"\1*\2", text)
    if text in ("?", "_", "None", "-1"):
        return Dim.symbol(nameless)
    if not _PRODUCT.fullmatch(text) or text.lower() in ("scalar", "float", "int", "optional", "array", "default"):
        return None
    total = Dim.of(1)
    for factor in text.split("*"):
        word = factor.strip()
        if word.isdigit():
            total = total * int(word)
        elif word.isidentifier():
            total = total * Dim.symbol(word)
        elif re.fullmatch(r"[A-Za-z_][\w ]*", word):
            total = total * Dim.symbol("_".join(word.split()))
        else:
            return None
    return total


def documents(*nodes: ast.AST | None) -> str:
    """The docstrings of functions and classes, one below the other."""
    texts = [ast.get_docstring(node) for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return "\n".join(text for text in texts if text)
