"""Parts of spellings and of shapes that the rules of several gates have in common.

A text that stands for an integer is a constant (`3`) where the shapes give one, else `np.shape(x)[1]` or `np.size(x)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flatgrad.gates.entry import Site
from flatgrad.ir.core import Attribute, DType, Kind, Value
from flatgrad.ir.dims import Dim, Shape

# The place of every element of x in x.ravel(): gathered as x is, it says where each gradient goes.
POSITIONS = "np.reshape(np.arange(np.size(x)), np.shape(x))"


def unchanged(site: Site) -> Shape:
    """The shape rule of gates that reorder elements or replace them one by one."""
    return site.shape("x")


def integer(site: Site, name: str) -> int:
    """The integer constant that an attribute holds; refuses anything else."""
    known = constant(site, site.attrs[name])
    if known is None:
        raise site.refuse(f"{name} must be an integer constant", "write the number into the call")
    return known


def constant(site: Site, attribute: Attribute) -> int | None:
    """The integer that an attribute is known to hold, or None."""
    number = site.number(attribute)
    return None if number is None else number.constant


def axis_in(site: Site, axis: int, rank: int) -> int:
    """The axis counted from the front; refuses one that is out of bounds."""
    if not -rank <= axis < rank:
        raise site.refuse(f"axis {axis} is out of bounds for {rank} dimensions")
    return axis % rank


def length(site: Site, name: str, axis: int) -> str:
    """How long an operand is along an axis."""
    dim = site.shape(name).dim(axis)
    return str(dim.constant) if dim is not None and dim.constant is not None else f"np.shape({name})[{axis}]"


def size(site: Site, name: str) -> str:
    """How many elements an operand has."""
    total = site.shape(name).size()
    return str(total.constant) if total is not None and total.constant is not None else f"np.size({name})"


def added(terms: Iterable[str]) -> str:
    """The sum of some texts, constants folded: `np.shape(x)[0] + 3`."""
    parts = list(terms)
    number = sum(int(part) for part in parts if part.isdigit())
    names = [part for part in parts if not part.isdigit()]
    return " + ".join([*names, str(number)] if number or not names else names)


def at_axis(axis: int, part: str) -> str:
    """An index that applies `part` at an axis, right for every rank: `:, part` at 1, `..., part, :` at -2."""
    return ", ".join(_index_parts(axis, part, ":"))


def tuple_at_axis(axis: int, part: str) -> str:
    """The same index as a tuple: `(slice(None), part)` at 1."""
    return tuple_text(_index_parts(axis, part, "slice(None)"))


def _index_parts(axis: int, part: str, whole: str) -> list[str]:
    return [whole] * axis + [part] if axis >= 0 else ["...", part] + [whole] * (-axis - 1)


def tuple_text(parts: Iterable[object]) -> str:
    """A tuple as it is written."""
    texts = [str(part) for part in parts]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def unpacked(site: Site, attribute: Attribute) -> Attribute:
    """What a starred parameter holds: `x.reshape((2, 3))` and `x.reshape(2, 3)` are one call."""
    while isinstance(attribute, tuple) and len(attribute) == 1 and _is_sequence(site, attribute[0]):
        attribute = attribute[0]
    return attribute


def _is_sequence(site: Site, attribute: Attribute) -> bool:
    if isinstance(attribute, Value):
        return site.attribute_type(attribute).kind is Kind.SHAPE
    return attribute is None or isinstance(attribute, tuple)


def described(site: Site, attribute: Attribute, sizes: bool = False) -> tuple[Dim | None, ...] | Shape:
    """The shape that an attribute describes: dims, None for those not known; or a Shape where it is a shape tuple.

    `sizes`: NumPy refuses what is negative.
    """
    match attribute:
        case tuple():
            # Whatever the parts are, NumPy takes each of them for one dim.
            return tuple(site.integer(part) if sizes else site.number(part) for part in attribute)
        case Value():
            known = site.attribute_type(attribute)
            if known.kind is not Kind.SCALAR:
                return known.shape if known.kind is Kind.SHAPE else site.unknown()
    return (site.integer(attribute) if sizes else site.number(attribute),)


def replaced(shape: Shape, axis: int, *dims: Dim) -> Shape | None:
    """The shape with other dims in the place of the one at an axis; None where that axis is not visible."""
    if shape.dim(axis) is None:
        return None
    front, back = list(shape.front), list(shape.back)
    if axis < 0 and shape.middle is not None:
        back[axis : axis + 1 or None] = dims
    else:
        place = axis % len(front) if axis < 0 else axis
        front[place : place + 1] = dims
    return Shape(tuple(front), shape.middle, tuple(back))


def inserted(shape: Shape, axis: int, dim: Dim) -> Shape | None:
    """The shape with a new dim that has this axis in the result; None where that place is not visible."""
    if shape.middle is None:
        place = axis % (len(shape.front) + 1) if axis < 0 else axis
        return Shape((*shape.front[:place], dim, *shape.front[place:]))
    if 0 <= axis <= len(shape.front):
        return Shape((*shape.front[:axis], dim, *shape.front[axis:]), shape.middle, shape.back)
    if axis < 0 and -axis - 1 <= len(shape.back):
        place = len(shape.back) + axis + 1
        return Shape(shape.front, shape.middle, (*shape.back[:place], dim, *shape.back[place:]))
    return None


def grown(site: Site, name: str, axis: int) -> Shape:
    """The operand's shape with an axis visible where that can be: only where the line fails without that axis."""
    return site.grow_front(name, axis + 1) if axis >= 0 else site.grow_back(name, -axis)


# Casts

FLOATS = frozenset({"d", "e", "f", "g", "f2", "f4", "f8", "double", "half", "single", "longdouble", "floating"})
INTEGERS = frozenset({"i", "l", "q", "u", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "intp", "uintp", "integer"})


def dtype_named(site: Site, attribute: Attribute) -> DType:
    """What a dtype makes of numbers; open where that is not known."""
    if isinstance(attribute, Value):
        known = site.attribute_type(attribute).dtype
        return known if known is not DType.NONE else DType.OPEN
    if not isinstance(attribute, str):
        return DType.OPEN
    name = attribute.rpartition(".")[2].lstrip("<>=|")
    if name in FLOATS or name.startswith("float"):
        return DType.FLOAT
    if name in INTEGERS or name.startswith(("int", "uint")):
        return DType.INT
    return DType.BOOL if name in ("?", "b1", "bool", "bool_") else DType.OPEN


def _copying(site: Site) -> None:
    if site.attrs["copy"] is not True:
        raise site.refuse("only copy=True is understood", "np.asarray gives x itself where it can")


def cast(site: Site, names: Sequence[str] = ("x",)) -> DType:
    """The dtype rule of gates with an attribute dtype, None for that of the operands."""
    if "copy" in site.attrs:
        _copying(site)
    if site.attrs["dtype"] is not None:
        return dtype_named(site, site.attrs["dtype"])
    dtypes = [site.type(name).dtype for name in names]
    return next(d for d in (DType.FLOAT, DType.OPEN, DType.INT, DType.BOOL, DType.NONE) if d in dtypes)


def cast_in_place(site: Site) -> DType:
    """As `cast`, for what may be the operand itself: what is shared, the frontend knows."""
    return dtype_named(site, site.attrs["dtype"])


def must_float(site: Site) -> None:
    """Refuses a cast to what is not known to be floating: it may cut numbers down.

    The dtype of an array is taken for floating: forward checks it where a gradient comes through the cast.
    """
    named = site.attrs["dtype"]
    if isinstance(named, Value) and site.attribute_type(named).dtype is DType.OPEN:
        return
    if site.attrs["dtype"] is not None and dtype_named(site, site.attrs["dtype"]) is not DType.FLOAT:
        raise site.refuse(
            "this dtype is not known to be floating", "name it, as in x.astype(np.float64), or leave the cast out"
        )
