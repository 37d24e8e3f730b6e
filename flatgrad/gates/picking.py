"""Gates that pick elements by their number or put them in order: take, take_along_axis, diff, sort; argsort and other
gates whose results are integers and carry no gradient."""

from __future__ import annotations

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import POSITIONS, at_axis, axis_in, grown, integer, length, replaced, tuple_at_axis, unchanged
from flatgrad.ir.core import DType
from flatgrad.ir.dims import Dim, Shape

# take


def _taken(site: Site) -> Shape:
    places, shape = site.shape("i"), site.shape("x")
    if site.attrs["axis"] is None:
        return places
    axis = integer(site, "axis")
    if shape.dims is None:
        # A 0-d x has axes 0 and -1 for np.take, so these say nothing of its rank.
        shape = shape if axis in (0, -1) else grown(site, "x", axis)
        known = None if places.dims is None else replaced(shape, axis, *places.dims)
        return known or site.unknown()
    axis = axis_in(site, axis, len(shape.dims))
    before, after = shape.dims[:axis], shape.dims[axis + 1 :]
    if places.dims is not None:
        return Shape((*before, *places.dims, *after))
    return Shape((*before, *places.front), places.middle, (*places.back, *after))


def _put_back(site: Site) -> str:
    if site.attrs["axis"] is None:
        return "np.reshape(scatter_add((np.size(x),), (i,), dz), np.shape(x))"
    return f"scatter_add(np.shape(x), {tuple_at_axis(integer(site, 'axis'), 'i')}, dz)"


take = gate(
    "np.take(x, i, axis=None)",
    also=("x.take(i, axis=None)",),
    backward={"x": _put_back},
    shape=_taken,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": [((3,), (4,)), ((3, 4), (2, 2)), ((3, 3, 4), (4,)), ((3,), ())],
        "attrs": [{}, *({"axis": a} for a in (0, 1, -1, -2, 2))],
        "operands": {"i": "np.array([[0, 2], [2, -1]])"},
    },
)


def _picked(site: Site) -> Shape:
    dims, places = site.shape("x").dims, site.shape("i").dims
    if site.attrs["axis"] is None:
        return site.shape("i")
    axis = integer(site, "axis")
    if dims is None and places is None:
        return site.unknown()
    rank = len(dims if dims is not None else places or ())
    x, i = site.exact_rank("x", rank), site.exact_rank("i", rank)
    axis = axis_in(site, axis, rank)
    # The other dims broadcast.
    one = Dim.of(1)
    return site.broadcast(Shape((*x.front[:axis], one, *x.front[axis + 1 :])), i)


def _put_along(site: Site) -> str:
    rank = site.rank("x")
    if site.attrs["axis"] is None or rank not in (1, 2):
        places = f"np.take_along_axis({POSITIONS}, i, axis)"
        return f"np.reshape(scatter_add((np.size(x),), {places}, dz), np.shape(x))"
    if rank == 1:
        return "scatter_add(np.shape(x), (i,), dz)"
    if axis_in(site, integer(site, "axis"), 2) == 1:
        return f"scatter_add(np.shape(x), (np.arange({length(site, 'x', 0)})[:, None], i), dz)"
    return f"scatter_add(np.shape(x), (i, np.arange({length(site, 'x', 1)})), dz)"


take_along_axis = gate(
    "np.take_along_axis(x, i, axis=-1)",
    backward={"x": _put_along},
    shape=_picked,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": [((4,), (4,)), ((3, 4), (3, 4)), ((2, 3, 2), (2, 3, 2))],
        "attrs": [{}, *({"axis": a} for a in (0, 1, -2, None))],
        "operands": {"i": "np.argsort(x, axis=axis) // 2"},
    },
)


# diff


def _differences(site: Site) -> Shape:
    count, axis = integer(site, "n"), integer(site, "axis")
    shape = grown(site, "x", axis)
    if shape.dims is not None:
        axis_in(site, axis, len(shape.dims))
    dim = shape.dim(axis)
    if count < 1:
        raise site.refuse("n must be at least 1")
    if dim is None:
        return site.unknown()
    shorter = site.fresh_dim() if dim.constant is None else Dim.of(max(0, dim.constant - count))
    return replaced(shape, axis, shorter) or site.unknown()


def _diff_back(site: Site) -> str:
    count, axis, rank = integer(site, "n"), integer(site, "axis"), site.rank("x")
    dim = site.shape("x").dim(axis)
    many = None if dim is None else dim.constant
    if rank is None:
        if count > 1:
            raise site.refuse("the number of dimensions must be known for n > 1", "take np.diff of np.diff")
        later, earlier = (tuple_at_axis(axis, part) for part in ("slice(1, None)", "slice(None, -1)"))
        return f"scatter_add(np.shape(x), {later}, dz) - scatter_add(np.shape(x), {earlier}, dz)"
    axis = axis_in(site, axis, rank)
    width = str(count) if rank == 1 else str(tuple((count,) * 2 if k == axis else (0, 0) for k in range(rank)))
    again = f", n={count}" if count > 1 else ""
    along = f", axis={axis}" if axis < rank - 1 else ""
    whole = f"{'-' if count % 2 else ''}np.diff(np.pad(dz, {width}){again}{along})"
    if many is not None and many >= count:
        return whole
    # As many differences as elements, or more, leave nothing: dz does not say how long x is.
    return f"{whole}[{at_axis(axis, ':' + length(site, 'x', axis))}]"


diff = gate(
    "np.diff(x, n=1, axis=-1)",
    backward={"x": _diff_back},
    shape=_differences,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": [((4,),), ((1,),), ((3, 4),), ((2, 3, 2),)],
        "attrs": [{}, {"n": 2}, *({"axis": a} for a in (0, 1, 2, -2)), {"n": 2, "axis": 0}],
    },
)


# sort


def _ordered(site: Site) -> Shape:
    if site.attrs["axis"] is None:
        return Shape((site.shape("x").size() or site.fresh_dim(),))
    return site.shape("x")


def _order(site: Site) -> Shape:
    # np.argsort makes one dim of none.
    return _ordered(site) if site.attrs["axis"] is None or site.shape("x").least_rank else site.unknown()


def _sort_back(site: Site) -> str:
    # The second argsort inverts the permutation.
    order = 'np.argsort(x, axis=axis, kind="stable")'
    if site.attrs["axis"] is None:
        return f"np.reshape(dz[np.argsort({order})], np.shape(x))"
    if site.rank("x") == 1:
        return 'dz[np.argsort(np.argsort(x, kind="stable"))]'
    return f"np.take_along_axis(dz, np.argsort({order}, axis=axis), axis=axis)"


sort = gate(
    "np.sort(x, axis=-1, kind=None)",
    backward={"x": _sort_back},
    shape=_ordered,
    dtype="same",
    numeric_only="symbols have no order",
    convention="of equal elements the first one comes first",
    samples={"shapes": [((4,),), ((3, 4),), ((2, 3, 2),)], "attrs": [{}, {"axis": 0}, {"axis": -2}, {"axis": None}]},
)


def _unique_back(site: Site) -> str:
    places = 'np.argsort(x, axis=None, kind="stable")[np.searchsorted(np.sort(x, axis=None), z)]'
    return f"np.reshape(scatter_add((np.size(x),), ({places},), dz), np.shape(x))"


unique = gate(
    "np.unique(x)",
    backward={"x": _unique_back},
    shape=lambda site: Shape((site.fresh_dim(),)),
    dtype="same",
    numeric_only="symbols have no order",
    convention="of equal elements the first one gets the gradient",
    samples={"shapes": [((4,),), ((2, 3),)], "open_shape": True},
)


# Results that carry no gradient

argsort = gate(
    "np.argsort(x, axis=-1, kind=None)",
    also=("x.argsort(axis=-1, kind=None)",),
    shape=_order,
    dtype=DType.INT,
    samples={"shapes": [((4,),), ((3, 4),)], "attrs": [{}, {"axis": 0}, {"axis": None}]},
)


def _places(site: Site) -> tuple[Shape, ...]:
    rank = site.rank("x")
    if rank is None:
        raise site.refuse("the number of dimensions must be known", "np.flatnonzero, or a shape for the operand")
    return (Shape((site.fresh_dim(),)),) * rank


nonzero = gate(
    "np.nonzero(x)",
    also=("x.nonzero()",),
    shape=_places,
    dtype=DType.INT,
    samples={"shapes": [((4,),), ((3, 4),)], "open_shape": True},
)

flatnonzero = gate(
    "np.flatnonzero(x)",
    shape=lambda site: Shape((site.fresh_dim(),)),
    dtype=DType.INT,
    samples={"open_shape": True},
)

argwhere = gate(
    "np.argwhere(x)",
    shape=lambda site: Shape((site.fresh_dim(), site.fresh_dim() if (r := site.rank("x")) is None else Dim.of(r))),
    dtype=DType.INT,
    samples={"shapes": [((4,),), ((3, 4),)], "open_shape": True},
)

searchsorted = gate(
    "np.searchsorted(x, y, side='left')",
    also=("x.searchsorted(y, side='left')",),
    shape=lambda site: site.shape("y"),
    dtype=DType.INT,
    samples={"shapes": [((4,), (3,)), ((4,), ()), ((4,), (2, 3))], "attrs": [{}, {"side": "right"}]},
)

digitize = gate(
    "np.digitize(x, y, right=False)",
    shape=unchanged,
    dtype=DType.INT,
    samples={
        "shapes": [((3,), (4,)), ((), (4,)), ((2, 3), (4,))],
        "attrs": [{}, {"right": True}],
        "operands": {"y": "np.sort(y)"},
    },
)

bincount = gate(
    "np.bincount(x, minlength=0)",
    shape=lambda site: Shape((site.fresh_dim(),)),
    dtype=DType.INT,
    samples={"shapes": [((5,),)], "operands": {"x": "np.array([0, 2, 2, 4])"}, "open_shape": True},
)


def _triangle_indices(site: Site) -> tuple[Shape, ...]:
    return (Shape((site.fresh_dim(),)),) * 2


tril_indices = gate(
    "np.tril_indices(n, k=0, m=None)",
    shape=_triangle_indices,
    dtype=DType.INT,
    samples={"attrs": [{"n": 3}, {"n": 3, "k": -1}, {"n": 2, "m": 4}], "open_shape": True},
)

triu_indices = gate(
    "np.triu_indices(n, k=0, m=None)",
    shape=_triangle_indices,
    dtype=DType.INT,
    samples={"attrs": [{"n": 3}, {"n": 3, "k": 1}, {"n": 2, "m": 4}], "open_shape": True},
)
