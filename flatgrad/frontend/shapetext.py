"""Shapes as people write them: `N, D`, `N, d_1, ..., d_k`, `4H,`, `N x D`, `*batch 2*H`.

A dim that is there but has no name (`?`, `_`, `-1`, `H'`) gets a symbol of its own, `x.1` for the second dim of x; dims
of unknown number without a name are `x.dims`. No name of the user's has a dot in it, so neither clashes with one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Literal

from flatgrad.ir.dims import Dim, Shape

# A bracketed shape inside a text; the inner part is the last group.
GROUP = r"[(\[]\s*(?P<inner>[^()\[\]]*)[)\]]"
# The `x` of `N x D`.
TIMES = re.compile(r"\s+(?:x|X|by)\s+|\s*×\s*|-by-")
_TIGHT = re.compile(r"(?:[A-Z]\d?|\d+)(?:[x×](?:[A-Z]\d?|\d+))+")

_UPPER = r"(?:[A-Z][A-Z0-9]*(?:_\w+)?|[A-Z][a-z]{1,3}\d*|[A-Z]\w*_\w+)['′]?"
_LOWER = (
    r"(?:[bcdhklmnpqstv]\d?|[bcdhklmnpqstv]_\w+|num_\w+|batch|(?:in|out)_\w+"
    r"|\w+_(?:size|dims?|len|length|features|samples|classes|units|channels|steps|depth|width|height|rows|cols|columns"
    r"|tokens|heads|nodes|hidden|count|states?|outputs|inputs|points|vocab|examples|neurons|words)"
    r"|seq_?len(?:_\w+)?|batch_?size)"
)
_FACTOR = rf"(?:\d*(?:{_UPPER})|{_LOWER}|\d+)"
_DIM_LIKE = re.compile(rf"{_FACTOR}(?:\s*[-+*/×·]{{1,2}}\s*{_FACTOR})*")
_OPEN = frozenset({"...", "…", "*"})
_DOTS = re.compile(r"\s*,?\s*(?:\.{3}|…)\s*,?\s*")  # with the commas around it, which may be left out
_NAMELESS = re.compile(r"[?_]|-1|None|[A-Za-z]\w*['′]+")
_PHRASE = re.compile(r"[A-Za-z][\w\-]*(?: [A-Za-z][\w\-]*){0,6}")
_COUNTED = re.compile(r"\b(?:number|num|size|length|dimension|dim|count)\b", re.IGNORECASE)
# Words that stand in brackets behind a name, and are no dims.
_NO_DIM = frozenset(
    {
        "and",
        "any",
        "array",
        "bool",
        "boolean",
        "callable",
        "default",
        "dict",
        "dictionary",
        "false",
        "float",
        "function",
    }
    | {"int", "integer", "list", "matrix", "no", "none", "np", "ndarray", "numpy", "optional", "or", "same", "scalar"}
    | {"shape", "str", "string", "tensor", "true", "tuple", "vector", "yes"}
)
# Words that are dims in an annotation of several words, where they cannot be taken for a pair of numbers.
_DIM_WORDS = frozenset(
    {"batch", "channel", "channels", "class", "classes", "col", "cols", "column", "columns", "depth", "dim", "dims"}
    | {"embed", "embedding", "feature", "features", "head", "heads", "height", "hidden", "in", "inputs", "layer"}
    | {"layers", "len", "length", "obs", "out", "outputs", "point", "points", "row", "rows", "sample", "samples"}
    | {"seq", "sequence", "step", "steps", "time", "times", "units", "vocab", "width"}
)
TYPE_NAMES = frozenset({"Any", "Array", "Matrix", "Tensor", "Vector", "Scalar", "Number", "NDArray", "Self", "Real"})

KindName = Literal["array", "scalar", "list", "dict", "other"]


class Unreadable(Exception):
    """A text that is no shape; the message says what is wrong with it."""


def read_shape(text: str, name: str, phrases: bool = False) -> Shape:
    """The shape that stands between brackets: `N, D`, `4H,`, `N x D`, `N, d_1, ..., d_k`, '' for a scalar.

    Args:
        name: whose shape it is, for the symbols of nameless dims.
        phrases: read `number of examples, size of the layer` as nameless dims.

    Raises:
        Unreadable: it is no shape.
    """
    text = text.strip()
    if not text:
        return Shape(())
    product = split_product(text)
    if product is not None:
        return shape_of(product, name)
    parts = [part.strip() for part in _DOTS.sub(", ..., ", text).removeprefix(", ").split(",")]
    if parts[-1] == "":
        parts.pop()
    if phrases and (len(parts) >= 2 or text.endswith(",")) and any(" " in part for part in parts):
        parts = ["?" if _is_phrase(part) else part for part in parts]
    return shape_of(parts, name)


def kind_of(shape: Shape) -> KindName | None:
    """The kind of a value that is said to have a shape: an array, unless it may have no dims."""
    return "array" if shape.least_rank else None


def split_product(text: str) -> list[str] | None:
    """The dims of `N x D`, `N-by-D` and `NxD`; None for anything else."""
    if _TIGHT.fullmatch(text):
        return re.split("[x×]", text)
    parts = TIMES.split(text)
    return [part.strip() for part in parts] if len(parts) > 1 and "," not in text else None


def shape_of(parts: Sequence[str], name: str) -> Shape:
    """The shape of these dims. Raises Unreadable where one is no dim."""
    if "" in parts:
        raise Unreadable("a dim is missing")
    spots = [index for index, part in enumerate(parts) if part in _OPEN or part.startswith("*")]
    if len(spots) > 1:
        raise Unreadable("only one part of a shape can be left open")
    if not spots:
        return Shape(tuple(_dim(part, f"{name}.{axis}") for axis, part in enumerate(parts)))
    first = last = spots[0]
    middle = parts[first].lstrip("*") if parts[first].startswith("*") else ""
    if middle and not middle.isidentifier():
        raise Unreadable(f"{parts[first]} is not a name")
    if not middle:
        middle = f"{name}.dims"
        first, last = _numbered(parts, first)
    front = tuple(_dim(part, f"{name}.{axis}") for axis, part in enumerate(parts[:first]))
    behind = parts[last + 1 :]
    back = tuple(_dim(part, f"{name}.{axis - len(behind)}") for axis, part in enumerate(behind))
    return Shape(front, middle, back)


def is_dim_like(text: str, words: bool = False) -> bool:
    """Whether a text is hardly anything but a dim: `N`, `D_in`, `4H`, `n_samples`, `2*H`; with `words`, `time`."""
    if text.lower() in _NO_DIM:
        return False
    if text in _OPEN or text in ("?", "_") or re.fullmatch(r"\*[A-Za-z_]\w*", text):
        return True
    return _DIM_LIKE.fullmatch(text) is not None or (words and text.lower() in _DIM_WORDS)


def is_shape_like(inner: str) -> bool:
    """Whether what stands in brackets is hardly anything but a shape: no `(a, b)`, `(0, 1)`, `(N)`, `(float)`.

    Words are dims beside something that is one: `(batch_size, hidden)`, and not `(height, width)`.
    """
    inner = inner.strip()
    parts = split_product(inner)
    if parts is None:
        parts = [part.strip() for part in _DOTS.sub(", ..., ", inner).removeprefix(", ").split(",")]
        if len(parts) < 2:
            return False
        if parts[-1] == "":
            parts.pop()
    symbols = [part for part in parts if not re.fullmatch(r"\d+|[?_]|-1|None", part)]
    rest = [part for part in parts if part not in ("-1", "None", "0")]
    sure = any(is_dim_like(part) and part not in _OPEN for part in symbols)
    return bool(symbols) and "0" not in parts and all(is_dim_like(part, words=sure) for part in rest)


def is_size_like(inner: str) -> bool:
    """The same for what may be put in words: `(1, number of examples)`, `(n_x, size of the batch)`."""
    parts = [part.strip() for part in inner.strip().removesuffix(",").split(",")]
    if is_shape_like(inner):
        return True
    wordy = [part for part in parts if _is_phrase(part) and _COUNTED.search(part)]
    rest = [part for part in parts if part not in wordy]
    return bool(wordy) and len(parts) > 1 and all(part.isdigit() or is_dim_like(part, words=True) for part in rest)


def _numbered(parts: Sequence[str], spot: int) -> tuple[int, int]:
    """The first and last place of `d_1, ..., d_k`, which is one open part and not two dims around it."""
    first, last = spot, spot
    before = re.fullmatch(r"([A-Za-z]+)_?\d+", parts[spot - 1]) if spot else None
    if before is None:
        return first, last
    stem = before.group(1)
    after = re.fullmatch(r"([A-Za-z]+)_?\w", parts[spot + 1]) if spot + 1 < len(parts) else None
    if after is not None and after.group(1) == stem:
        last = spot + 1
    elif spot + 1 < len(parts):
        return first, last
    while first and re.fullmatch(rf"{stem}_?\d+", parts[first - 1]):
        first -= 1
    return first, last


def _is_phrase(part: str) -> bool:
    words = part.lower().split()
    counted = _COUNTED.search(part) is not None
    return _PHRASE.fullmatch(part) is not None and len(words) > 1 and (counted or not _NO_DIM & set(words))


def _dim(text: str, nameless: str) -> Dim:
    text = re.sub("[×·]", "*", text)
    if _NAMELESS.fullmatch(text):
        return Dim.symbol(nameless)
    spelt = re.sub(r"(?<![\w.])(\d+)\s*(?=[A-Za-z_])", r"\1*", text)  # 4H is 4*H
    try:
        node = ast.parse(spelt.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unreadable(f"{text} is not a dim") from None
    if any(isinstance(part, ast.Div) for part in ast.walk(node)):
        _value(node, text)
        return Dim.symbol(nameless)
    dim = _value(node, text)
    if dim.constant is not None and dim.constant < 0:
        raise Unreadable(f"{text} is negative")
    return dim


def _value(node: ast.expr, text: str) -> Dim:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int(value)):
            return Dim.of(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return Dim.of(-value)
        case ast.Name(id=name) if name.lower() not in _NO_DIM:
            return Dim.symbol(name)
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _value(left, text), _value(right, text)
            match op:
                case ast.Add():
                    return first + second
                case ast.Sub():
                    return first - second
                case ast.Mult():
                    return first * second
                case ast.FloorDiv() | ast.Div() if second.constant != 0:
                    return first // second
                case ast.Mod() if second.constant != 0:
                    return first % second
    raise Unreadable(f"{text} is not a dim")
