"""Annotations that say something of shape, dtype or kind, read from the syntax tree and never evaluated.

x: "N D"    y: "N int"    b: "4*H"    x: "... D"    reg: float    w: list[float]    W: np.ndarray
x: Float[np.ndarray, "N D"]    y: Int[Array, "N"]    x: Annotated[np.ndarray, "N D"]
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from flatgrad.frontend.shapetext import TYPE_NAMES, KindName, is_dim_like, kind_of, shape_of
from flatgrad.frontend.source import Module, dotted_path
from flatgrad.ir.core import DType
from flatgrad.ir.dims import SCALAR, Shape


@dataclass(frozen=True, slots=True)
class Said:
    """What an annotation says; whatever is None is not said."""

    shape: Shape | None = None
    dtype: DType | None = None
    kind: KindName | None = None


def read_annotation(module: Module, name: str, node: ast.expr) -> Said | None:
    """What the annotation of `name` says; None where it says nothing of the kind, or leaves it open (`| None`).

    Raises:
        Unreadable: it looks like a shape and is malformed.
    """
    match node:
        case ast.Constant(value=str(text)):
            return _read_string(module, name, text)
        case ast.Subscript(value=base, slice=inner):
            return _read_subscript(module, name, base, inner)
        case ast.Name() | ast.Attribute():
            return _TYPES.get(_path(module, node))
    return None


def read_dims(name: str, text: str, strict: bool) -> Said | None:
    """What `N D`, `4*H`, `... D`, `*batch 3`, `N int` say.

    Args:
        strict: the text is bound to be a shape; else words that are hardly dims make it no claim at all.

    Raises:
        Unreadable: it is malformed; unless strict, only if all its words look like dims or like nothing else.
    """
    words = text.strip()
    dtype = None
    bracketed = re.fullmatch(r"[(\[](.*)[)\]]", words)
    if bracketed:
        words = bracketed.group(1)
    parts = [part.strip() for part in words.split(",")] if "," in words else words.split()
    if len(parts) > 1 and parts[-1] == "":
        parts.pop()
    if parts and " " in parts[-1]:  # "N, D int"
        *before, last = parts[-1].split()
        if last in _WORDS:
            parts[-1:] = [" ".join(before), last]
    if parts and parts[-1] in _WORDS:
        dtype = _WORDS[parts.pop()]
    if not strict and not (_looks_like_shape(parts) if parts else not words):
        return None
    shape = shape_of([_plain(part) for part in parts], name)
    return Said(shape, dtype, kind_of(shape))


def _looks_like_shape(parts: list[str]) -> bool:
    alone = len(parts) == 1
    if alone and (parts[0] in TYPE_NAMES or (parts[0][:1].islower() and parts[0].isidentifier())):
        return is_dim_like(parts[0])
    likely = [is_dim_like(part, words=True) for part in parts]
    odd = [re.fullmatch(r"[A-Za-z_]\w*[.,:;!?]?|.*[a-z]{4,}.*", part) is None for part in parts]
    named = any(re.search(r"[A-Za-z.*]", part) for part, good in zip(parts, likely, strict=True) if good)
    return all(good or strange for good, strange in zip(likely, odd, strict=True)) and (named or all(likely))


def _plain(part: str) -> str:
    """A dim without jaxtyping's marks: `#N` may be 1, `?N` differs from array to array, `name=3` is 3."""
    if part.startswith(("#", "?", "{", "_")) or part in ("*_", "**"):
        return "*" if "*" in part[:2] else "?"
    if part.startswith("*#"):
        return "*"
    return part.split("=")[1] if re.fullmatch(r"\w+=[\w*+-]+", part) else part


def _read_string(module: Module, name: str, text: str) -> Said | None:
    """A shape, or a type that is written as a string: `"np.ndarray"`, `"Float[Array, 'N D']"`."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return read_dims(name, text, strict=False)
    match node:
        case ast.Name(id=word) if word not in module.bound and word not in _BUILTIN_TYPES:
            return read_dims(name, text, strict=False)
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return read_annotation(module, name, node)
        case ast.BinOp(op=ast.BitOr()):
            return None
    return read_dims(name, text, strict=False)


def _read_subscript(module: Module, name: str, base: ast.expr, inner: ast.expr) -> Said | None:
    path = _path(module, base)
    last = path.split(".")[-1]
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if last in _JAXTYPING and (path == last or path.startswith("jaxtyping.")):
        dims = parts[-1]
        if len(parts) > 2 or not (isinstance(dims, ast.Constant) and isinstance(dims.value, str)):
            return None
        said = read_dims(name, dims.value, strict=True)
        return None if said is None else replace(said, dtype=_JAXTYPING[last])
    if last == "Annotated" and parts:
        said = read_annotation(module, name, parts[0])
        for note in parts[1:]:
            if isinstance(note, ast.Constant) and isinstance(note.value, str):
                noted = read_dims(name, note.value, strict=False)
                if noted is not None:
                    return replace(noted, dtype=noted.dtype or (said.dtype if said is not None else None))
        return said
    if last in ("list", "List") and len(parts) == 1:
        element = read_annotation(module, name, parts[0])
        return Said(None, element.dtype if element is not None and element.kind == "scalar" else None, "list")
    if last in ("dict", "Dict", "Mapping", "MutableMapping", "defaultdict"):
        return Said(kind="dict")
    if last in ("tuple", "Tuple", "Literal", "Callable", "type", "Type"):
        return Said(kind="other")
    if last in ("NDArray", "ndarray"):
        return Said(None, _element_type(module, parts[-1]), "array")
    return None


def _element_type(module: Module, node: ast.expr) -> DType | None:
    """The dtype of `NDArray[np.float64]` and `np.ndarray[Any, np.dtype[np.float64]]`."""
    if isinstance(node, ast.Subscript):
        return _element_type(module, node.slice)
    said = _TYPES.get(_path(module, node))
    return said.dtype if said is not None and said.kind == "scalar" else None


def _path(module: Module, node: ast.expr) -> str:
    """The dotted path of a type, or its text where nothing in the module binds it."""
    return dotted_path(module, node, frozenset()) or ast.unparse(node)


_WORDS: Mapping[str, DType] = MappingProxyType(
    {"int": DType.INT, "bool": DType.BOOL, "float": DType.FLOAT}
    | {f"{sign}int{size}": DType.INT for sign in ("", "u") for size in (8, 16, 32, 64)}
    | {f"float{size}": DType.FLOAT for size in (16, 32, 64)}
)
_JAXTYPING: Mapping[str, DType | None] = MappingProxyType(
    {"Float": DType.FLOAT, "BFloat16": DType.FLOAT, "Int": DType.INT, "UInt": DType.INT, "Integer": DType.INT}
    | {f"Float{size}": DType.FLOAT for size in (16, 32, 64)}
    | {f"{sign}Int{size}": DType.INT for sign in ("", "U") for size in (8, 16, 32, 64)}
    | {"Bool": DType.BOOL, "Num": None, "Real": None, "Inexact": None, "Shaped": None}
)
_BUILTIN_TYPES = frozenset(
    {"float", "int", "bool", "str", "bytes", "list", "dict", "tuple", "set", "object", "complex"}
)
_FLOATING, _INTEGER = Said(SCALAR, DType.FLOAT, "scalar"), Said(SCALAR, DType.INT, "scalar")
_BOOLEAN = Said(SCALAR, DType.BOOL, "scalar")
_TYPES: Mapping[str, Said] = MappingProxyType(
    {
        "builtins.float": _FLOATING,
        "builtins.int": _INTEGER,
        "builtins.bool": _BOOLEAN,
        "builtins.str": Said(kind="other"),
        "builtins.bytes": Said(kind="other"),
        "builtins.tuple": Said(kind="other"),
        "builtins.list": Said(kind="list"),
        "builtins.dict": Said(kind="dict"),
        "typing.List": Said(kind="list"),
        "typing.Dict": Said(kind="dict"),
        "typing.Tuple": Said(kind="other"),
        "typing.Callable": Said(kind="other"),
        "collections.abc.Callable": Said(kind="other"),
        "numpy.ndarray": Said(kind="array"),
        "numpy.typing.NDArray": Said(kind="array"),
        "numpy.bool_": _BOOLEAN,
        "numpy.bool": _BOOLEAN,
    }
    | {f"numpy.{word}": _FLOATING for word in ("floating", "half", "single", "double", "longdouble")}
    | {f"numpy.float{size}": _FLOATING for size in (16, 32, 64)}
    | {f"numpy.{word}": _INTEGER for word in ("integer", "signedinteger", "unsignedinteger", "intp", "int_")}
    | {f"numpy.{sign}int{size}": _INTEGER for sign in ("", "u") for size in (8, 16, 32, 64)}
)
