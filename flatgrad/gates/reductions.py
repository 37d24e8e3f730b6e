"""Reductions over axes, and running sums and products."""

from __future__ import annotations

import math

from flatgrad.gates.axes import (
    constant_axes,
    count,
    counted_from_front,
    expanded,
    float_reduction_dtype,
    is_total,
    reduced_axes,
    reduced_shape,
    reduction_dtype,
    refuse_out,
    strictly_reduced_shape,
    without_axes,
)
from flatgrad.gates.entry import Site, gate
from flatgrad.ir.core import DType, Value
from flatgrad.ir.dims import Shape

_AXES = [None, 0, -1, 1, -2, 2, (0, 1), (-1,), (0, -1), (2, 0), (1, -3), ()]
_SAMPLES: dict[str, object] = {
    "cases": [(((),), {})],
    "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
    "attrs": [{"axis": axis, "keepdims": keepdims} for axis in _AXES for keepdims in (False, True)],
}
_ONE_AXIS_SAMPLES: dict[str, object] = {
    "cases": [(((),), {})],
    "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
    "attrs": [{"axis": axis, "keepdims": keepdims} for axis in (None, 0, 1, -1, 2) for keepdims in (False, True)],
}
_DDOF_SAMPLES: dict[str, object] = {
    "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
    "attrs": [
        {"axis": axis, "keepdims": keepdims, "ddof": ddof}
        for axis in (None, 0, 1, -1, (0, 1), (2, 0))
        for keepdims in (False, True)
        for ddof in (0, 1, 0.5)
    ],
}


# Sums and means


def _sum_backward(site: Site) -> str:
    if site.rank("x") == 0:
        return "dz"
    return f"np.broadcast_to({expanded(site, 'dz')}, np.shape(x))"


def _mean_backward(site: Site) -> str:
    if site.rank("x") == 0:
        return "dz"
    return f"np.broadcast_to({expanded(site, 'dz')} / {count(site)}, np.shape(x))"


def _centred(site: Site) -> str:
    mean = "np.mean(x)" if is_total(site) else "np.mean(x, axis=axis, keepdims=True)"
    return f"(x - {mean})"


def _freedom(site: Site) -> str:
    return count(site) if site.attrs["ddof"] == 0 else f"({count(site)} - ddof)"


def _var_backward(site: Site) -> str:
    scale = expanded(site, f"(dz * 2 / {_freedom(site)})")
    return f"{scale} * {_centred(site)}"


def _std_backward(site: Site) -> str:
    scale = expanded(site, f"(dz / ({_freedom(site)} * (z + (z == 0))))")
    return f"{scale} * {_centred(site)}"


def _average_shape(site: Site) -> Shape:
    if site.attrs["weights"] is not None or site.attrs["returned"] is not False:
        raise site.refuse("np.average is understood without weights", "write np.sum(w * x) / np.sum(w)")
    return strictly_reduced_shape(site)


gate(
    "np.sum(x, axis=None, dtype=None, out=None, keepdims=False)",
    also=("x.sum(axis=None, dtype=None, out=None, keepdims=False)",),
    backward={"x": _sum_backward},
    shape=reduced_shape,
    dtype=reduction_dtype,
    proof="numpy",
    samples=_SAMPLES,
)


def _builtin_sum_shape(site: Site) -> Shape:
    return without_axes(site, site.grow_front("x", 1), (0,))


gate(
    "sum(x)",
    name="builtin_sum",
    backward={"x": "np.broadcast_to(dz, np.shape(x))"},
    shape=_builtin_sum_shape,
    convention="adds up the rows along the first axis, as a Python loop does",
    proof="numpy",
    samples={"shapes": [((3,),), ((2, 3),), ((2, 1, 3),)]},
)

gate(
    "np.mean(x, axis=None, dtype=None, out=None, keepdims=False)",
    also=("x.mean(axis=None, dtype=None, out=None, keepdims=False)",),
    backward={"x": _mean_backward},
    shape=strictly_reduced_shape,
    dtype=float_reduction_dtype,
    proof="numpy",
    samples=_SAMPLES,
)

gate(
    "np.average(x, axis=None, weights=None, returned=False, keepdims=False)",
    backward={"x": _mean_backward},
    shape=_average_shape,
    dtype="float",
    convention="without weights",
    proof="numpy",
    samples=_SAMPLES,
)

gate(
    "np.var(x, axis=None, dtype=None, out=None, ddof=0, keepdims=False)",
    also=("x.var(axis=None, dtype=None, out=None, ddof=0, keepdims=False)",),
    backward={"x": _var_backward},
    shape=strictly_reduced_shape,
    dtype=float_reduction_dtype,
    numeric_only="np.var divides by np.mean's own count; the mean is proved",
    samples=_DDOF_SAMPLES,
)

gate(
    "np.std(x, axis=None, dtype=None, out=None, ddof=0, keepdims=False)",
    also=("x.std(axis=None, dtype=None, out=None, ddof=0, keepdims=False)",),
    backward={"x": _std_backward},
    shape=strictly_reduced_shape,
    dtype=float_reduction_dtype,
    convention="0 where the deviation is 0",
    numeric_only="the square root of a sum",
    samples=_DDOF_SAMPLES,
)


# Extremes


def _shared(site: Site, gradient: str, mask: str) -> str:
    """The gradient, shared equally among the elements that the mask marks."""
    if is_total(site):
        return f"{gradient} * ({mask}) / int(np.sum({mask}))"
    # An integer count would make float64 of float32; a Python float has no dtype.
    dtype = "dz.dtype" if site.rank("z") else "np.asarray(dz).dtype"
    return f"{gradient} * ({mask}) / np.sum({mask}, axis=axis, keepdims=True, dtype={dtype})"


def _extreme_backward(site: Site) -> str:
    if site.rank("x") == 0:
        return "dz"
    return _shared(site, expanded(site, "dz"), f"x == {expanded(site, 'z')}")


def _ptp_backward(site: Site) -> str:
    arguments = "x" if is_total(site) else "x, axis=axis, keepdims=True"
    gradient = expanded(site, "dz")
    top = _shared(site, gradient, f"x == np.max({arguments})")
    low = _shared(site, gradient, f"x == np.min({arguments})")
    return f"{top} - {low}"


for _extreme in ("max", "min"):
    gate(
        f"np.{_extreme}(x, axis=None, out=None, keepdims=False)",
        also=(
            f"np.a{_extreme}(x, axis=None, out=None, keepdims=False)",
            f"x.{_extreme}(axis=None, out=None, keepdims=False)",
        ),
        backward={"x": _extreme_backward},
        shape=reduced_shape,
        convention="equal elements share the gradient equally",
        numeric_only="an order of symbols is not known",
        samples=_SAMPLES,
    )

gate(
    "np.ptp(x, axis=None, out=None, keepdims=False)",
    backward={"x": _ptp_backward},
    shape=reduced_shape,
    convention="equal elements share the gradient equally",
    numeric_only="an order of symbols is not known",
    samples=_SAMPLES,
)


# Products: each element gets the product of the others. Dividing the whole product by it would fail at zeros.


def _others(operand: str, axis: int | str) -> str:
    """For each element of the operand, the product of the others along an axis."""
    if axis == -1:
        table = f"np.where(np.eye(np.shape({operand})[-1], dtype=bool), 1, np.expand_dims({operand}, -2))"
        return f"np.prod({table}, axis=-1)"
    moved = f"np.expand_dims(np.swapaxes({operand}, {axis}, -1), -2)"
    table = f"np.where(np.eye(np.shape({operand})[{axis}], dtype=bool), 1, {moved})"
    return f"np.swapaxes(np.prod({table}, axis=-1), {axis}, -1)"


def _prod_backward(site: Site) -> str:
    rank, axis = site.rank("x"), site.attrs["axis"]
    if rank == 0:
        return "dz"
    if is_total(site):
        if rank == 1:
            return "dz * np.prod(np.where(np.eye(np.size(x), dtype=bool), 1, x), axis=1)"
        others = "np.prod(np.where(np.eye(np.size(x), dtype=bool), 1, np.ravel(x)), axis=1)"
        return f"dz * np.reshape({others}, np.shape(x))"
    axes = reduced_axes(site) if rank is not None else constant_axes(axis)
    if axes is None and isinstance(axis, tuple):
        raise site.refuse("the axes of np.prod must be constants")
    gradient = expanded(site, "dz")
    if axes is None:
        return f"{gradient} * {_others('x', 'axis')}"
    factors = [gradient]
    for k, one in enumerate(axes):
        last = rank is not None and one == rank - 1
        done = axes[:k]
        operand = f"np.prod(x, axis={done}, keepdims=True)" if done else "x"
        factors.append(_others(operand, -1 if last else one))
    return " * ".join(factors) if axes else f"np.broadcast_to({gradient}, np.shape(x))"


gate(
    "np.prod(x, axis=None, dtype=None, out=None, keepdims=False)",
    also=("x.prod(axis=None, dtype=None, out=None, keepdims=False)",),
    backward={"x": _prod_backward},
    shape=reduced_shape,
    dtype=reduction_dtype,
    convention="right at zeros too; time and memory grow with the square of the length of the axis",
    proof="numpy",
    samples=_SAMPLES,
)


# Running sums and products


def _running_shape(site: Site) -> Shape:
    refuse_out(site)
    axis = site.attrs["axis"]
    if axis is None:
        return Shape((site.shape("x").size() or site.fresh_dim(),))
    axes = constant_axes(axis)
    if axes is not None and axes not in ((0,), (-1,)):
        return site.grow_front("x", axes[0] + 1) if axes[0] >= 0 else site.grow_back("x", -axes[0])
    # A scalar is taken for an array of one element.
    shape = site.shape("x")
    return Shape.of(1) if shape.is_scalar else shape if shape.least_rank else site.unknown()


def _cumsum_backward(site: Site) -> str:
    rank = site.rank("x")
    if rank == 1:
        return "np.cumsum(dz[::-1])[::-1]"
    if site.attrs["axis"] is None:
        return "np.reshape(np.cumsum(dz[::-1])[::-1], np.shape(x))"
    spelling = "np.flip(np.cumsum(np.flip(dz, axis), axis), axis)"
    return spelling if site.shape("x").least_rank else f"np.reshape({spelling}, np.shape(x))"


def _cumprod_backward(site: Site) -> str:
    rank = site.rank("x")
    if rank in (0, 1) or site.attrs["axis"] is None:
        flat = "x" if rank == 1 else "np.ravel(x)"
        table = f"np.where(np.eye(np.size(x), dtype=bool), 1, {flat})"
        gradient = f"np.triu(np.cumprod({table}, axis=1)) @ dz"
        return gradient if rank == 1 else f"np.reshape({gradient}, np.shape(x))"
    moved = "np.expand_dims(np.swapaxes(x, axis, -1), -2)"
    table = f"np.triu(np.cumprod(np.where(np.eye(np.shape(x)[axis], dtype=bool), 1, {moved}), axis=-1))"
    return f"np.swapaxes(({table} @ np.expand_dims(np.swapaxes(dz, axis, -1), -1))[..., 0], axis, -1)"


_RUNNING_SAMPLES: dict[str, object] = {
    "cases": [(((),), {})],
    "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
    "attrs": [{"axis": axis} for axis in (None, 0, -1, 1, -2, 2)],
}

gate(
    "np.cumsum(x, axis=None, dtype=None, out=None)",
    also=("x.cumsum(axis=None, dtype=None, out=None)",),
    backward={"x": _cumsum_backward},
    shape=_running_shape,
    dtype=reduction_dtype,
    proof="numpy",
    samples=_RUNNING_SAMPLES,
)

gate(
    "np.cumprod(x, axis=None, dtype=None, out=None)",
    also=("x.cumprod(axis=None, dtype=None, out=None)",),
    backward={"x": _cumprod_backward},
    shape=_running_shape,
    dtype=reduction_dtype,
    convention="right at zeros too; time and memory grow with the square of the length of the axis",
    proof="numpy",
    samples=_RUNNING_SAMPLES,
)


# Trace and norm


def _trace_shape(site: Site) -> Shape:
    refuse_out(site)
    axes = constant_axes((site.attrs["axis1"], site.attrs["axis2"]))
    shape = site.grow_front("x", 2)
    if axes is not None:
        return without_axes(site, shape, axes)
    return site.unknown() if shape.rank is None else Shape(tuple(site.fresh_dim() for _ in range(shape.rank - 2)))


def _trace_backward(site: Site) -> str:
    offset = "" if site.attrs["offset"] == 0 else "k=offset, "
    rank, axes = site.rank("x"), constant_axes((site.attrs["axis1"], site.attrs["axis2"]))
    if rank == 2 and axes is not None and counted_from_front(site, axes, rank) == (0, 1):
        return f"dz * np.eye(np.shape(x)[0], np.shape(x)[1], {offset}dtype=bool)"
    diagonal = f"np.eye(np.shape(x)[axis1], np.shape(x)[axis2], {offset}dtype=bool)"
    return f"np.moveaxis(np.expand_dims(dz, (-2, -1)) * {diagonal}, (-2, -1), (axis1, axis2))"


gate(
    "np.trace(x, offset=0, axis1=0, axis2=1, dtype=None, out=None)",
    also=("x.trace(offset=0, axis1=0, axis2=1, dtype=None, out=None)",),
    backward={"x": _trace_backward},
    shape=_trace_shape,
    dtype=reduction_dtype,
    numeric_only="a symbol times a Boolean is nothing to SymPy",
    samples={
        "cases": [
            (((3, 3),), {}),
            (((2, 3),), {"offset": 1}),
            (((3, 2),), {"offset": -1}),
            (((3, 2),), {"offset": 1, "axis1": 1, "axis2": 0}),
            (((3, 3, 2),), {}),
            (((2, 3, 4),), {"axis1": 2, "axis2": 1, "offset": 1}),
            (((2, 3, 2, 2),), {"axis1": -1, "axis2": 0}),
        ]
    },
)


def _is_vector_norm(site: Site) -> bool:
    """Along one axis, or of a flat operand; not of a matrix. Refuses where that is open."""
    axis, rank = site.attrs["axis"], site.rank("x")
    if axis is None and (site.attrs["ord"] is None or rank == 1):
        return True
    if axis is None and (rank == 2 or site.attrs["ord"] == "fro"):
        return False
    if isinstance(axis, tuple):
        return len(axis) == 1
    if isinstance(axis, int) or (isinstance(axis, Value) and axis.type.dtype is DType.INT):
        return True
    raise site.refuse("this norm of a vector is another of a matrix", "give the shape of the operand, or an axis")


def _norm_backward(site: Site) -> str:
    order = site.attrs["ord"]
    if order is None or (_is_vector_norm(site) and order == 2) or (not _is_vector_norm(site) and order == "fro"):
        return f"{expanded(site, '(dz / (z + (z == 0)))')} * x"
    if not _is_vector_norm(site):
        raise site.refuse(
            f"the matrix norm of order {order!r} is not known",
            "the Frobenius norm is; np.max(np.sum(np.abs(x), axis=0)) is the norm of order 1",
        )
    if order == 1:
        return f"{expanded(site, 'dz')} * np.sign(x)"
    if order in (math.inf, -math.inf):
        mask = f"np.abs(x) == {expanded(site, 'z')}"
        return _shared(site, f"{expanded(site, 'dz')} * np.sign(x)", mask)
    if isinstance(order, int | float) and order > 1:
        size = expanded(site, "(z + (z == 0))")
        return f"{expanded(site, 'dz')} * np.sign(x) * (np.abs(x) / {size}) ** (ord - 1)"
    raise site.refuse("the order of a norm must be a constant of at least 1, inf or -inf")


_VECTOR_ORDERS = (None, 1, 2, 3, 1.5, math.inf, -math.inf)

gate(
    "np.linalg.norm(x, ord=None, axis=None, keepdims=False)",
    backward={"x": _norm_backward},
    shape=strictly_reduced_shape,
    dtype="float",
    convention="0 at a vector of zeros; elements of equal magnitude share the gradient of an inf norm equally",
    numeric_only="the square root of a sum",
    samples={
        "lists": False,
        "cases": [
            *((((3,),), {"ord": order, "keepdims": keep}) for order in _VECTOR_ORDERS for keep in (False, True)),
            *((((2, 3),), {"ord": order, "axis": axis}) for order in _VECTOR_ORDERS for axis in (0, 1, -1, (0,))),
            *((((2, 3, 2),), {"ord": order, "axis": 1, "keepdims": True}) for order in _VECTOR_ORDERS),
            *((((2, 3),), {"ord": order, "keepdims": keep}) for order in (None, "fro") for keep in (False, True)),
            *((((2, 3, 2),), {"ord": order, "axis": axis}) for order in (None, "fro") for axis in ((0, 1), (2, -2))),
            (((2, 3, 2),), {}),
            (((2, 3, 2),), {"keepdims": True}),
            (((),), {}),
        ],
    },
)


# Without a gradient


for _call in ("argmax", "argmin"):
    gate(
        f"np.{_call}(x, axis=None, out=None, keepdims=False)",
        also=(f"x.{_call}(axis=None, out=None, keepdims=False)",),
        shape=reduced_shape,
        dtype=DType.INT,
        samples=_ONE_AXIS_SAMPLES,
    )

for _call in ("all", "any"):
    gate(
        f"np.{_call}(x, axis=None, out=None, keepdims=False)",
        also=(f"x.{_call}(axis=None, out=None, keepdims=False)",),
        shape=reduced_shape,
        dtype=DType.BOOL,
        samples=_SAMPLES,
    )

gate(
    "np.count_nonzero(x, axis=None, keepdims=False)",
    shape=reduced_shape,
    dtype=DType.INT,
    samples=_SAMPLES,
)
