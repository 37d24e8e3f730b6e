"""Types of the relations that are no calls: aliases, constants, shapes, dims, reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flatgrad.facts.indexing import TypeOf, index_shape
from flatgrad.facts.joining import joined
from flatgrad.facts.site import literal_type, promoted
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Operand, Relation, Slice, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.lists import joined_axis
from flatgrad.ir.solver import Solver

INTEGER = Type(Kind.SCALAR, DType.INT, SCALAR)


def structural_type(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type | None:
    """The type of the one result, or None where the gate is of the table."""
    rule = _RULES.get(relation.gate)
    return None if rule is None else rule(relation, type_of, solver, label)


def operand_type(operand: Operand, type_of: TypeOf) -> Type:
    return literal_type(operand) if isinstance(operand, Literal) else type_of(operand)


def _alias(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    return operand_type(relation.args[0], type_of)


def _imported(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """Of what a function of another file computes nothing is known but that it carries a gradient."""
    return Type.open(label)


def _constant(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    literal = relation.args[0]
    assert isinstance(literal, Literal)
    nesting = relation.attrs.get("value")
    if nesting == "unknown":
        dtype = relation.attrs.get("dtype")
        return Type.open(label) if dtype is None else replace(Type.open(label), dtype=DType(dtype))
    if isinstance(nesting, tuple):
        dtype, shape = relation.attrs.get("dtype"), Shape(tuple(_nested_dims(nesting)))
        if dtype is not None:
            return Type(Kind.ARRAY if nesting else Kind.OPEN, DType(dtype), shape)
        return Type(Kind.OPEN, DType.OPEN, shape)
    return literal_type(literal)


def _nested_dims(nesting: Attribute) -> list[Dim]:
    dims: list[Dim] = []
    while isinstance(nesting, tuple) and nesting:
        if isinstance(nesting[0], int):
            dims.append(Dim.of(nesting[0]))
        nesting = nesting[1] if len(nesting) > 1 else None
    return dims


def _shape(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    return Type(Kind.SHAPE, DType.INT, solver.resolve(operand_type(relation.args[0], type_of).shape))


def _subshape(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    shape = solver.resolve(operand_type(relation.args[0], type_of).shape)
    index = relation.attrs["index"]
    part = index[0] if isinstance(index, tuple) else None
    if shape.dims is not None and isinstance(part, Slice):
        bounds = [bound for bound in (part.start, part.stop, part.step) if bound is None or isinstance(bound, int)]
        if len(bounds) == 3:
            return Type(Kind.SHAPE, DType.INT, Shape(shape.dims[slice(*bounds)]))
    if isinstance(part, Slice) and part.stop is None and part.step is None and part.start == 1 and shape.front:
        return Type(Kind.SHAPE, DType.INT, Shape(shape.front[1:], shape.middle, shape.back))
    return Type(Kind.SHAPE, DType.INT, Shape.unknown(label))


def _dim(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    axis, rank = relation.attrs["axis"], relation.attrs.get("rank")
    assert isinstance(axis, int)
    shape = operand_type(relation.args[0], type_of).shape
    if isinstance(rank, int):
        shape = solver.fix_rank(shape, rank)
    elif axis >= 0:
        shape = solver.grow_front(shape, axis + 1)
    else:
        shape = solver.grow_back(shape, -axis)
    return Type(Kind.SCALAR, DType.INT, SCALAR, shape.dim(axis) or Dim.symbol(f"{label}.dim"))


def _size(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    shape = solver.resolve(operand_type(relation.args[0], type_of).shape)
    return Type(Kind.SCALAR, DType.INT, SCALAR, shape.size() or Dim.symbol(f"{label}.size"))


def _ndim(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    rank = solver.resolve(operand_type(relation.args[0], type_of).shape).rank
    return Type(Kind.SCALAR, DType.INT, SCALAR, None if rank is None else Dim.of(rank))


def _dtype(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    return Type(Kind.OTHER, operand_type(relation.args[0], type_of).dtype, SCALAR)


def _read(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    base = operand_type(relation.args[0], type_of)
    index = relation.attrs["index"]
    assert isinstance(index, tuple)
    if base.kind is Kind.SHAPE:
        return INTEGER
    if base.kind is Kind.OTHER and base.dtype is DType.NONE:
        if base.shape.rank == 1:
            return Type(Kind.OTHER, DType.NONE, SCALAR)  # a key of a dict
        return Type(Kind.OPEN, DType.NONE, Shape.unknown(label))  # `pair: tuple` may well hold arrays
    shape = solver.resolve(index_shape(solver.resolve(base.shape), index, type_of, solver, label))
    length = relation.attrs.get("length")
    whole = solver.resolve(base.shape)
    if isinstance(length, int) and whole.front:
        solver.same_dim(whole.front[0], Dim.of(length))
    if shape.is_scalar:
        # `x[..., 0]` is an array without dims, which can be written to.
        return Type(Kind.OPEN if Ellipsis in index else Kind.SCALAR, base.dtype, shape)
    known = base.kind is Kind.ARRAY and shape.least_rank > 0
    fancy = any(isinstance(item, Value) and type_of(item).kind is not Kind.SCALAR for item in index)
    return Type(Kind.ARRAY if known or (fancy and shape.least_rank) else Kind.OPEN, base.dtype, shape)


def _write(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    base = operand_type(relation.args[0], type_of)
    if relation.attrs.get("collects"):
        return _list_of(operand_type(relation.args[1], type_of), label)
    return Type(Kind.ARRAY if base.shape.least_rank or base.kind is Kind.ARRAY else base.kind, base.dtype, base.shape)


def _update(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    return operand_type(relation.args[0], type_of)


def _unbroadcast(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`unbroadcast(g, x)`: g summed down to the shape of x."""
    target = operand_type(relation.args[1], type_of)
    kind = Kind.SCALAR if target.shape.is_scalar else (Kind.ARRAY if target.shape.least_rank else Kind.OPEN)
    return Type(kind, DType.FLOAT, target.shape)


def _spread(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`spread(g, x)`: g as a new array of the shape of x."""
    like = operand_type(relation.args[1], type_of)
    return Type(Kind.ARRAY if like.shape.least_rank else Kind.OPEN, DType.FLOAT, like.shape)


def _zeros(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`zeros(x)`: zeros of the shape of x."""
    like = operand_type(relation.args[0], type_of)
    if like.kind is Kind.DICT:
        return like
    return Type(Kind.ARRAY if like.shape.least_rank else Kind.OPEN, DType.FLOAT, like.shape)


def _zeros_of(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`zeros_of(g, shape=s)`: zeros of a shape, in the dtype of g."""
    shape = relation.attrs["shape"]
    if isinstance(shape, Value):
        return Type(Kind.ARRAY, DType.FLOAT, type_of(shape).shape)
    assert isinstance(shape, tuple)
    dims = []
    for count, part in enumerate(shape):
        number = type_of(part).number if isinstance(part, Value) else None
        dims.append(Dim.of(part) if isinstance(part, int) else number or Dim.symbol(f"{label}.{count}"))
    return Type(Kind.ARRAY, DType.FLOAT, Shape(tuple(dims)))


def _opaque(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """A test, a string, or a number that settles something: no gradient goes through what is kept as it is written."""
    match relation.attrs.get("holds"):
        case "count":
            return Type(Kind.SCALAR, DType.INT, SCALAR, Dim.symbol(f"{label}.count"))
        case "integer":
            return INTEGER
        case "number":
            return Type(Kind.SCALAR, DType.FLOAT, SCALAR)
        case "shape":
            return Type(Kind.SHAPE, DType.INT, Shape.unknown(label))
        case "vector":
            length = relation.attrs["length"]
            number = type_of(length).number if isinstance(length, Value) else None
            return Type.open(label) if number is None else Type(Kind.OPEN, DType.OPEN, Shape((number,)))
        case "anything":
            return Type.open(label)
        case "settings":
            return Type(Kind.DICT, DType.NONE, SCALAR)
        case "keys":
            return Type(Kind.OTHER, DType.NONE, Shape((Dim.symbol(f"{label}.length"),)))
        case "dtype":
            dtypes = [operand_type(arg, type_of) for arg in relation.args]
            return Type(Kind.OTHER, DType.FLOAT if relation.attrs.get("floating") else promoted(dtypes), SCALAR)
    return Type(Kind.OTHER, DType.BOOL, SCALAR)


def _enforced(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`enforced(x, rank=2)`, `enforced(n, m)`, `enforced(x.shape, y.shape)`: what a check of the user's own proves."""
    types = [operand_type(arg, type_of) for arg in relation.args]
    rank = relation.attrs["rank"]
    if isinstance(rank, int):
        solver.fix_rank(types[0].shape, rank)
    elif len(types) == 2 and all(one.kind is Kind.SHAPE for one in types):
        solver.same_shape(types[0].shape, types[1].shape)
    elif len(types) == 2 and types[0].number is not None and types[1].number is not None:
        solver.same_dim(types[0].number, types[1].number)
    return Type(Kind.OTHER, DType.BOOL, SCALAR)


def _item(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`params["W1"]`: of what is in a dict nothing is known but what comes of its use.

    An entry under a key that is put together may be claimed a matrix, or to be as long as another has columns.
    """
    if relation.attrs.get("element"):
        return _element(operand_type(relation.args[0], type_of), label)
    rank, weights = relation.attrs.get("rank"), relation.attrs.get("columns")
    if isinstance(rank, int):
        return Type(Kind.ARRAY, DType.OPEN, Shape(tuple(Dim.symbol(f"{label}.{axis}") for axis in range(rank))))
    if isinstance(weights, Value) and (columns := solver.resolve(type_of(weights).shape).dim(1)) is not None:
        return Type(Kind.ARRAY, DType.OPEN, Shape((columns,)))
    return Type.open(label)


def _element(container: Type, label: str) -> Type:
    """An entry of a dict that loops fill, whose type has the shape of the entries. What hangs on the round in which one
    was stored, as the label in it tells, is another thing in each."""
    if container.kind is not Kind.DICT:
        return Type.open(label)
    shape = container.shape
    if shape.middle is not None:
        return replace(Type.open(label), dtype=container.dtype)
    dims = tuple(
        Dim.symbol(f"{label}.{axis}") if any("." in name for name in dim.symbols()) else dim
        for axis, dim in enumerate(shape.front)
    )
    kind = Kind.ARRAY if dims else Kind.OPEN if container.number is not None else Kind.SCALAR
    return Type(kind, container.dtype, Shape(dims))


def _container(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """A dict as it is before a loop fills it: without entries nothing is known of them."""
    found = Type(Kind.OTHER, DType.NONE, SCALAR)
    for arg in relation.args:
        found = joined(found, _as_entry(operand_type(arg, type_of), solver), label)
    return found


def _put(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    base, value = (operand_type(arg, type_of) for arg in relation.args[:2])
    return joined(base, _as_entry(value, solver), label)


def _as_entry(one: Type, solver: Solver) -> Type:
    """The type of a dict with an entry of this type. `number`: not all entries are numbers of Python or NumPy."""
    return Type(Kind.DICT, one.dtype, solver.resolve(one.shape), None if one.kind is Kind.SCALAR else Dim.of(1))


def _collection(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """A list that a loop fills, taken for an array of its elements: how many there will be is open."""
    if not relation.args:
        return Type(Kind.OTHER, DType.NONE, SCALAR)
    return _list_of(operand_type(relation.args[0], type_of), label)


def _list_of(element: Type, label: str) -> Type:
    shape = element.shape
    return Type(
        Kind.OPEN, element.dtype, Shape((Dim.symbol(f"{label}.length"), *shape.front), shape.middle, shape.back)
    )


def _stacked(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`stacked(hs, axis=1)`: an array of the elements of a list; with a `form` as `np.hstack` and its kind join
    them."""
    whole = operand_type(relation.args[0], type_of)
    shape = solver.grow_front(whole.shape, 1)
    way = joined_axis(relation, shape.rank)
    if way is None or shape.dims is None:
        return Type(Kind.ARRAY, whole.dtype, shape if way == (0, True) else Shape.unknown(label))
    axis, is_new = way
    count, *dims = shape.dims
    if is_new:
        dims.insert(axis, count)
    else:
        dims[axis] = count * dims[axis]
    return Type(Kind.ARRAY, whole.dtype, Shape(tuple(dims)))


def _dict_of(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    return Type(Kind.DICT, DType.OPEN, Shape.unknown(label))


def _layer(relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> Type:
    """`layer.forward(x)`: of what a layer computes nothing is known but that it carries a gradient."""
    return Type.open(label)


_RULES: dict[str, Callable[[Relation, TypeOf, Solver, str], Type]] = {
    "alias": _alias,
    "opaque": _opaque,
    "imported": _imported,
    "entry": _item,
    "layer": _layer,
    "layer_backward": _layer,
    "collection": _collection,
    "stacked": _stacked,
    "dict_of": _dict_of,
    "enforced": _enforced,
    "container": _container,
    "put": _put,
    "item_add": _update,
    "dict_add": _alias,
    "copy_of": _alias,
    "let": _alias,
    "constant": _constant,
    "shape": _shape,
    "subshape": _subshape,
    "dim": _dim,
    "size": _size,
    "ndim": _ndim,
    "dtype": _dtype,
    "read": _read,
    "write": _write,
    "update": _update,
    "scatter": _update,
    "unbroadcast": _unbroadcast,
    "spread": _spread,
    "zeros_for": _zeros,
    "zeros_of": _zeros_of,
    "or_zeros": _alias,
}
