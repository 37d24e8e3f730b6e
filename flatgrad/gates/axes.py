"""The axes of reductions and of matrix products: what they do to a shape, and how a gradient gets lost dims back."""

from __future__ import annotations

from flatgrad.gates.entry import Site
from flatgrad.gates.parts import must_float
from flatgrad.ir.core import Attribute, DType, Kind, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape

Axes = tuple[int, ...]


def constant_axes(axis: Attribute) -> Axes | None:
    """The axes as they were written, or None for `axis=None` and for what only the run knows."""
    parts = axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(part for part in parts if isinstance(part, int) and not isinstance(part, bool))
    return axes if len(axes) == len(parts) else None


def reduced_axes(site: Site) -> Axes | None:
    """The axes that the call reduces, counted from the front; None where the axis or the rank is open."""
    rank = site.rank("x")
    if rank is None:
        return None
    if site.attrs["axis"] is None:
        return tuple(range(rank))
    axes = constant_axes(site.attrs["axis"])
    return None if axes is None else counted_from_front(site, axes, rank)


def counted_from_front(site: Site, axes: Axes, rank: int) -> Axes:
    if rank == 0 and axes in ((0,), (-1,)):
        return ()  # NumPy lets a scalar be summed over its axis 0
    for axis in axes:
        if not -rank <= axis < rank:
            raise site.refuse(f"axis {axis} is out of bounds for {rank} dimensions")
    return tuple(axis % rank for axis in axes)


def is_total(site: Site) -> bool:
    """Everything is reduced to one number."""
    axes = reduced_axes(site)
    return site.attrs["axis"] is None or (axes is not None and len(axes) == site.rank("x"))


def keeps_dims(site: Site) -> bool:
    keepdims = site.attrs["keepdims"]
    if not isinstance(keepdims, bool | int):
        raise site.refuse("keepdims must be a constant", "write keepdims=True or keepdims=False")
    return bool(keepdims)


def refuse_out(site: Site) -> None:
    if site.attrs.get("out") is not None:
        raise site.refuse("out= writes into another array", "bind the result to a name instead")


def reduced_shape(site: Site) -> Shape:
    """The result of a reduction that takes `axis` 0 and -1 of a scalar too, as those of ufuncs do."""
    return _reduced(site, strict=False)


def strictly_reduced_shape(site: Site) -> Shape:
    """The result of a reduction that demands of x every axis that it names."""
    return _reduced(site, strict=True)


def _reduced(site: Site, strict: bool) -> Shape:
    refuse_out(site)
    keep = keeps_dims(site)
    axis, rank = site.attrs["axis"], site.rank("x")
    axes = constant_axes(axis)
    if axis is None and not keep:
        return SCALAR
    if axis is None:
        return site.unknown() if rank is None else Shape.of(*[1] * rank)
    if axes is None:
        return _reduced_at_run_time(site, axis, rank, keep)
    if strict or isinstance(axis, tuple) or axes not in ((0,), (-1,)):
        front = max((a + 1 for a in axes if a >= 0), default=0)
        back = max((-a for a in axes if a < 0), default=0)
        if front:
            site.grow_front("x", front)
        if back:
            site.grow_back("x", back)
    return without_axes(site, site.shape("x"), axes, keep)


def _reduced_at_run_time(site: Site, axis: Attribute, rank: int | None, keep: bool) -> Shape:
    one = isinstance(axis, Value) and axis.type.kind is Kind.SCALAR and axis.type.dtype is DType.INT
    if not rank or not (one or isinstance(axis, tuple)):
        return site.unknown()
    gone = 0 if keep else len(axis) if isinstance(axis, tuple) else 1
    return Shape(tuple(site.fresh_dim() for _ in range(rank - gone)))


def without_axes(site: Site, shape: Shape, axes: Axes, keep: bool = False) -> Shape:
    """The shape without these dims, or with 1 in their place."""
    front: list[Dim | None] = list(shape.front)
    back: list[Dim | None] = list(shape.back)
    gone = Dim.of(1) if keep else None
    if shape.middle is None:
        for axis in counted_from_front(site, axes, len(front)):
            front[axis] = gone
    else:
        for axis in axes:
            if 0 <= axis < len(front):
                front[axis] = gone
            elif -len(back) <= axis < 0:
                back[axis] = gone
            else:
                return site.unknown()
    return Shape(
        tuple(dim for dim in front if dim is not None),
        shape.middle,
        tuple(dim for dim in back if dim is not None),
    )


def expanded(site: Site, text: str) -> str:
    """`text`, which has the shape of the result, so that it broadcasts against x: `dz[:, None]`."""
    axes, rank = reduced_axes(site), site.rank("x")
    if keeps_dims(site) or is_total(site):
        return text
    if axes is not None and rank is not None:
        return text + restoring_index(axes, rank)
    written = constant_axes(site.attrs["axis"])
    if written is not None and sorted(written) == list(range(len(written))):
        return text  # NumPy puts leading dims back by itself
    return f"np.expand_dims({text}, axis)"


def restoring_index(axes: Axes, rank: int) -> str:
    """The index that puts dims of 1 back at these axes: `[:, None]`, or nothing where broadcasting does it."""
    parts = ["None" if axis in axes else ":" for axis in range(rank)]
    while parts and parts[0] == "None":
        del parts[0]
    while parts and parts[-1] == ":":
        del parts[-1]
    return f"[{', '.join(parts)}]" if parts else ""


def count(site: Site) -> str:
    """How many elements of x go into one of the result; a product is in parentheses."""
    if is_total(site):
        return "np.size(x)"
    axes = reduced_axes(site)
    if axes is None:
        axes = constant_axes(site.attrs["axis"])
    if axes is None:
        return "(np.size(x) // np.size(z))"
    factors = [f"np.shape(x)[{axis}]" for axis in axes]
    return factors[0] if len(factors) == 1 else f"({' * '.join(factors) or 1})"


def reduction_dtype(site: Site) -> DType:
    """That of x, with Booleans counted; a floating `dtype=` where one is given."""
    if site.attrs["dtype"] is None:
        dtype = site.type("x").dtype
        return DType.INT if dtype is DType.BOOL else dtype
    must_float(site)
    return DType.FLOAT


def float_reduction_dtype(site: Site) -> DType:
    reduction_dtype(site)
    return DType.FLOAT


def transposed(site: Site, name: str) -> str:
    """The operand with its last two axes swapped."""
    if site.rank(name) != 2:
        return f"np.swapaxes({name}, -1, -2)"
    return f"{name}.T" if site.type(name).kind is Kind.ARRAY else f"np.transpose({name})"


def unknown_ranks(site: Site) -> Exception:
    """The refusal of a product of x and y; it names those that lack a rank, where they have names."""
    open_ = [name for name in ("x", "y") if site.rank(name) is None]
    operands = [site.operand(name) for name in open_]
    names = list(dict.fromkeys(one.name for one in operands if isinstance(one, Value) and one.name.isidentifier()))
    which = f" ({' and '.join(names)})" if names and len(names) == len(open_) else ""
    return site.refuse(
        f"how many dimensions the operands of this product have is not known{which}",
        'give the shapes: `--shape X=N,D`, "X: (N, D)" in the docstring, `X: "N D"`, or unpack them: `N, D = X.shape`',
    )
