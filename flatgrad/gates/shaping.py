"""Gates that move elements: reshape, transpose, squeeze, flip, roll and the like."""

from __future__ import annotations

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import (
    axis_in,
    constant,
    described,
    inserted,
    tuple_text,
    unchanged,
    unpacked,
)
from flatgrad.ir.core import Attribute, Value
from flatgrad.ir.dims import Dim, Shape

BACK_TO_X = "np.reshape(dz, np.shape(x))"
VECTOR_AND_MORE: list[tuple[tuple[int, ...], ...]] = [((3,),), ((2, 3),), ((2, 3, 2),)]
ANY_RANK: list[tuple[tuple[int, ...], ...]] = [((),), *VECTOR_AND_MORE]


# reshape and flattening


def _rows_first(site: Site) -> None:
    if site.attrs["order"] != "C":
        raise site.refuse("only order='C' is understood")


def _reshaped(site: Site) -> Shape:
    _rows_first(site)
    parts = unpacked(site, site.attrs["shape"])
    target = described(site, parts)
    if isinstance(target, Shape):
        return target
    target = _given(site, parts, target)
    open_places = [k for k, dim in enumerate(target) if dim is not None and dim.constant == -1]
    dims = [site.fresh_dim() if dim is None else dim for dim in target]
    total = site.shape("x").size()
    for place in open_places:
        rest = Dim.of(1)
        for k, one in enumerate(dims):
            rest = rest * (one if k != place else 1)
        known = total is not None and rest.constant != 0 and None not in target
        dims[place] = total // rest if known and total is not None else site.fresh_dim()
    return Shape(tuple(dims))


def _given(site: Site, parts: Attribute, target: tuple[Dim | None, ...]) -> tuple[Dim | None, ...]:
    """The dims, with a symbol for each number that is not known but is the same wherever it has that name.

    A number may be -1: what it stands for then is what the other numbers leave of the size of x.
    """
    total = site.shape("x").size()
    unknown = [part for part, dim in zip(parts, target, strict=True) if dim is None] if isinstance(parts, tuple) else []
    if total is None or not unknown or any(dim is not None and dim.constant in (-1, 0) for dim in target):
        return target
    known = Dim.of(1)
    for dim in target:
        known = known * (dim if dim is not None else 1)
    found = iter(
        site.dim_given_by(part, (total // known, tuple(other for other in unknown if other is not part)))
        if isinstance(part, Value)
        else None
        for part in unknown
    )
    return tuple(next(found) if dim is None else dim for dim in target)


def _flat(site: Site) -> Shape:
    _rows_first(site)
    return Shape((site.shape("x").size() or site.fresh_dim(),))


def _back_to_x(site: Site) -> str:
    """The same elements in the shape of x."""
    _rows_first(site)
    return BACK_TO_X


reshape = gate(
    "np.reshape(x, shape, order='C')",
    also=("x.reshape(*shape, order='C')",),
    backward={"x": _back_to_x},
    shape=_reshaped,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((2, 3),), ((6,),), ((2, 1, 3),)],
        "attrs": [{"shape": s} for s in ((6,), (3, 2), (-1, 2), (3, -1), (1, 2, -1, 1), (-1,))],
    },
)

ravel = gate(
    "np.ravel(x, order='C')",
    also=("x.ravel(order='C')",),
    backward={"x": _back_to_x},
    shape=_flat,
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": ANY_RANK},
)

flatten = gate(
    "x.flatten(order='C')",
    backward={"x": _back_to_x},
    shape=_flat,
    dtype="same",
    proof="numpy",
    samples={"shapes": ANY_RANK},
)


# Axes in another order


def _axes(site: Site) -> tuple[int, ...] | None:
    """The permutation that transpose applies, counted from the front, or None for the axes reversed."""
    axes = unpacked(site, site.attrs["axes"])
    if axes is None or axes == ():
        return None
    known = tuple(constant(site, axis) for axis in axes) if isinstance(axes, tuple) else (None,)
    numbers = tuple(axis for axis in known if axis is not None)
    if len(numbers) != len(known) or sorted(axis % len(known) for axis in numbers) != list(range(len(known))):
        raise site.refuse("axes must be a permutation written as constants")
    return tuple(axis % len(numbers) for axis in numbers)


def _transposed(site: Site) -> Shape:
    axes = _axes(site)
    if axes is not None:
        shape = site.exact_rank("x", len(axes))
        return Shape(tuple(shape.front[axis] for axis in axes))
    shape = site.shape("x")
    if shape.middle is None:
        return Shape(tuple(reversed(shape.front)))
    return Shape(tuple(reversed(shape.back)), site.unknown().middle, tuple(reversed(shape.front)))


def _transpose_back(site: Site) -> str:
    axes = _axes(site)
    rank = site.rank("x") if axes is None else len(axes)
    if rank in (0, 1) or axes == tuple(range(rank or 0)):
        return "dz"
    if axes is None or axes == tuple(reversed(range(len(axes)))):
        return "np.transpose(dz)" if rank is None else "dz.T"
    return f"np.transpose(dz, {tuple_text(axes.index(k) for k in range(len(axes)))})"


transpose = gate(
    "np.transpose(x, axes=None)",
    also=("np.permute_dims(x, axes=None)", "x.T", "x.transpose(*axes)"),
    backward={"x": _transpose_back},
    shape=_transposed,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [*ANY_RANK, ((2, 1, 3, 2),)],
        "attrs": [{}, *({"axes": a} for a in ((1, 0), (-1, 0), (0, -1), (1, 2, 0), (2, 1, 0), (3, 0, 2, 1)))],
    },
)


def _swapped(site: Site, first: int | None, second: int | None) -> Shape:
    dims = site.shape("x").dims
    if dims is None and {first, second} == {-1, -2}:
        shape = site.grow_back("x", 2)
        if shape.dims is None and len(shape.back) >= 2:
            return Shape(shape.front, shape.middle, (*shape.back[:-2], shape.back[-1], shape.back[-2]))
        dims = shape.dims
    if dims is None or first is None or second is None:
        return site.unknown() if dims is None else Shape(tuple(site.fresh_dim() for _ in dims))
    order = list(dims)
    one, two = axis_in(site, first, len(dims)), axis_in(site, second, len(dims))
    order[one], order[two] = order[two], order[one]
    return Shape(tuple(order))


swapaxes = gate(
    "np.swapaxes(x, axis1, axis2)",
    also=("x.swapaxes(axis1, axis2)",),
    backward={"x": "np.swapaxes(dz, axis1, axis2)"},
    shape=lambda site: _swapped(site, constant(site, site.attrs["axis1"]), constant(site, site.attrs["axis2"])),
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((2, 3),), ((2, 3, 4),)],
        "attrs": [{"axis1": a, "axis2": b} for a, b in ((0, 1), (-1, -2), (0, -1), (1, 1), (2, 0))],
    },
)

matrix_transpose = gate(
    "np.matrix_transpose(x)",
    also=("x.mT",),
    backward={"x": "np.swapaxes(dz, -1, -2)"},
    shape="(m,n)->(n,m)",
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [((2, 3),), ((2, 3, 4),)]},
)


def _moved(site: Site) -> Shape:
    dims = site.shape("x").dims
    pairs = [site.attrs["source"], site.attrs["destination"]]
    ends = [tuple(constant(site, axis) for axis in (p if isinstance(p, tuple) else (p,))) for p in pairs]
    if dims is None:
        return site.unknown()
    source, destination = ([axis_in(site, axis, len(dims)) for axis in end if axis is not None] for end in ends)
    if len(source) != len(ends[0]) or len(destination) != len(ends[1]):
        return Shape(tuple(site.fresh_dim() for _ in dims))
    order = [axis for axis in range(len(dims)) if axis not in source]
    for target, axis in sorted(zip(destination, source, strict=True)):
        order.insert(target, axis)
    return Shape(tuple(dims[axis] for axis in order))


moveaxis = gate(
    "np.moveaxis(x, source, destination)",
    backward={"x": "np.moveaxis(dz, destination, source)"},
    shape=_moved,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((2, 3),), ((2, 3, 4),)],
        "attrs": [
            {"source": s, "destination": d}
            for s, d in ((0, 1), (0, -1), (-1, 0), (1, 1), ((0, 1), (-1, 0)), ((0, 2), (2, 1)), ((2,), (0,)))
        ],
    },
)


# Dims of length one


def _expanded(site: Site) -> Shape:
    axis = site.attrs["axis"]
    axes = tuple(constant(site, one) for one in (axis if isinstance(axis, tuple) else (axis,)))
    shape = site.shape("x")
    known = [one for one in axes if one is not None]
    if shape.dims is not None:
        rank = len(shape.dims) + len(axes)
        if len(known) != len(axes):
            return Shape(tuple(site.fresh_dim() for _ in range(rank)))
        places = {axis_in(site, one, rank) for one in known}
        rest = iter(shape.dims)
        return Shape(tuple(Dim.of(1) if k in places else next(rest) for k in range(rank)))
    if len(axes) == 1 and known:
        return inserted(shape, known[0], Dim.of(1)) or site.unknown()
    return site.unknown()


expand_dims = gate(
    "np.expand_dims(x, axis)",
    backward={"x": "np.squeeze(dz, axis=axis)"},
    shape=_expanded,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": ANY_RANK,
        "attrs": [{"axis": a} for a in (0, 1, -1, -2, 2, (0,), (0, 2), (0, -1), (1, -1))],
    },
)


def _squeezed(site: Site) -> Shape:
    axis = site.attrs["axis"]
    dims = site.shape("x").dims
    if dims is None:
        return site.unknown()
    if axis is None:
        kept = [dim for dim in dims if dim.constant != 1]
        return Shape(tuple(kept)) if all(dim.constant is not None for dim in kept) else site.unknown()
    axes = tuple(constant(site, one) for one in (axis if isinstance(axis, tuple) else (axis,)))
    places = {axis_in(site, one, max(len(dims), 1)) for one in axes if one is not None}
    if None in axes:
        return Shape(tuple(site.fresh_dim() for _ in dims[len(axes) :]))
    for place in places & set(range(len(dims))):
        site.same_dim(dims[place], Dim.of(1))
    return Shape(tuple(dim for k, dim in enumerate(dims) if k not in places))


def _unsqueezed(site: Site) -> str:
    # NumPy lets squeeze(axis=0) pass a 0-d array, which expand_dims would not give back.
    return "np.expand_dims(dz, axis)" if site.attrs["axis"] is not None and site.rank("x") else BACK_TO_X


squeeze = gate(
    "np.squeeze(x, axis=None)",
    also=("x.squeeze(axis=None)",),
    backward={"x": _unsqueezed},
    shape=_squeezed,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((),), ((3,),), ((1,),), ((1, 3, 1),), ((2, 1),), ((1, 1),)],
        "attrs": [{}, *({"axis": a} for a in (0, 1, 2, -1, -2, (0, 2), (0, -1), (-1, -3), (0,)))],
    },
)


def _at_least(site: Site, rank: int) -> Shape:
    shape = site.shape("x")
    if shape.dims is None:
        return shape if shape.least_rank >= rank else site.unknown()
    one = Dim.of(1)
    if rank == 3 and len(shape.dims) in (1, 2):
        return Shape((*[one] * (2 - len(shape.dims)), *shape.dims, one))
    return Shape((*[one] * (rank - len(shape.dims)), *shape.dims))


def _from_at_least(site: Site, rank: int) -> str:
    return "dz" if site.shape("x").least_rank >= rank else BACK_TO_X


atleast_1d = gate(
    "np.atleast_1d(x)",
    also=("np.ascontiguousarray(x)",),
    backward={"x": lambda site: _from_at_least(site, 1)},
    shape=lambda site: _at_least(site, 1),
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": ANY_RANK},
)

atleast_2d = gate(
    "np.atleast_2d(x)",
    backward={"x": lambda site: _from_at_least(site, 2)},
    shape=lambda site: _at_least(site, 2),
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": ANY_RANK},
)

atleast_3d = gate(
    "np.atleast_3d(x)",
    backward={"x": lambda site: _from_at_least(site, 3)},
    shape=lambda site: _at_least(site, 3),
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [*ANY_RANK, ((2, 1, 3, 2),)]},
)


# The other way round


def _rotated(site: Site) -> Shape:
    turns, axes = constant(site, site.attrs["k"]), site.attrs["axes"]
    if turns is None or not isinstance(axes, tuple) or len(axes) != 2:
        return _swapped(site, None, None)
    if turns % 2 == 0:
        return site.shape("x")
    return _swapped(site, constant(site, axes[0]), constant(site, axes[1]))


def _rolled_back(site: Site) -> str:
    shift = site.attrs["shift"]
    if not isinstance(shift, tuple):
        return "np.roll(dz, -shift, axis=axis)"
    known = [constant(site, part) for part in shift]
    back = (f"-shift[{k}]" if one is None else -one for k, one in enumerate(known))
    return f"np.roll(dz, {tuple_text(back)}, axis=axis)"


flip = gate(
    "np.flip(x, axis=None)",
    backward={"x": "np.flip(dz, axis=axis)"},
    shape=unchanged,
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": ANY_RANK, "attrs": [{}, *({"axis": a} for a in (0, 1, -1, (0, 1), (-1, 0)))]},
)

fliplr = gate(
    "np.fliplr(x)",
    backward={"x": "np.fliplr(dz)"},
    shape=unchanged,
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [((2, 3),), ((2, 3, 2),)]},
)

flipud = gate(
    "np.flipud(x)",
    backward={"x": "np.flipud(dz)"},
    shape=unchanged,
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": VECTOR_AND_MORE},
)

rot90 = gate(
    "np.rot90(x, k=1, axes=(0, 1))",
    backward={"x": "np.rot90(dz, -k, axes=axes)"},
    shape=_rotated,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((2, 3),), ((2, 3, 4),)],
        "attrs": [{}, {"k": 2}, {"k": -1}, {"k": 3, "axes": (1, 0)}, {"axes": (1, 2)}, {"axes": (-1, 0)}],
    },
)

roll = gate(
    "np.roll(x, shift, axis=None)",
    backward={"x": _rolled_back},
    shape=unchanged,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": VECTOR_AND_MORE,
        "attrs": [
            {"shift": s, "axis": a}
            for s, a in ((1, None), (-2, None), (1, 0), (2, -1), (1, (0, 1)), ((1, -2), (0, 1)), ((1, 3), 0))
        ],
    },
)
