"""Gates that join arrays: concatenate, stack and their relatives, append; each operand gets its piece of dz."""

from __future__ import annotations

from collections.abc import Sequence

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import (
    added,
    at_axis,
    axis_in,
    cast,
    grown,
    inserted,
    integer,
    length,
    must_float,
    replaced,
    size,
)
from flatgrad.ir.core import DType
from flatgrad.ir.dims import Dim, Shape


def _names(site: Site) -> list[str]:
    return [f"x{k}" for k in range(site.count)]


def _between(lengths: Sequence[str], k: int) -> str:
    """The slice that holds operand k, given how long each one is."""
    start = added(lengths[:k]) if k else ""
    stop = added(lengths[: k + 1]) if k < len(lengths) - 1 else ""
    return f"{start}:{stop}"


def _cut(axis: int, part: str) -> str:
    return "dz" if part == ":" else f"dz[{at_axis(axis, part)}]"


def _like(name: str, text: str) -> str:
    """In the shape of an operand."""
    return f"np.reshape({text}, np.shape({name}))"


# Along an axis that is there


def _same_rank(site: Site, names: Sequence[str]) -> list[Shape]:
    """The operands' shapes, which have one rank or the line fails."""
    rank = next((r for r in map(site.rank, names) if r is not None), None)
    return [site.shape(n) if rank is None else site.exact_rank(n, rank) for n in names]


def _along(site: Site, shapes: Sequence[Shape], axis: int) -> Shape:
    """Shapes of one rank joined along an axis: the other dims are the same or the line fails."""
    total = Dim.of(0)
    for shape in shapes:
        dim = shape.dim(axis)
        if dim is None:
            return site.unknown()
        total = total + dim
    first = shapes[0]
    for other in shapes[1:]:
        if first.dims is not None and other.dims is not None:
            for place, (one, two) in enumerate(zip(first.dims, other.dims, strict=True)):
                if place != axis % len(first.dims):
                    site.same_dim(one, two)
    return replaced(first, axis, total) or site.unknown()


def _concatenated(site: Site, names: Sequence[str]) -> Shape:
    if site.attrs["axis"] is None:
        sizes = [site.shape(n).size() for n in names]
        known = [s for s in sizes if s is not None]
        return Shape((sum(known, Dim.of(0)) if len(known) == len(sizes) else site.fresh_dim(),))
    axis = integer(site, "axis")
    shapes = _same_rank(site, names)
    if shapes[0].dims is not None:
        axis_in(site, axis, len(shapes[0].dims))
    return _along(site, [grown(site, n, axis) for n in names], axis)


def _piece(site: Site, names: Sequence[str], k: int) -> str:
    if site.attrs["axis"] is None:
        part = _between([size(site, n) for n in names], k)
        text = _cut(0, part)
        return text if site.rank(names[k]) == 1 else _like(names[k], text)
    axis = integer(site, "axis")
    rank = next((r for r in map(site.rank, names) if r is not None), None)
    axis = axis if rank is None else axis_in(site, axis, rank)
    return _cut(axis, _between([length(site, n, axis) for n in names], k))


concatenate = gate(
    "np.concatenate(xs, axis=0)",
    also=("np.concat(xs, axis=0)",),
    backward={"xs": lambda site, k: _piece(site, _names(site), k)},
    shape=lambda site: _concatenated(site, _names(site)),
    proof="numpy",
    samples={
        "shapes": [
            (((3,), (2,)),),
            (((2, 3), (4, 3), (1, 3)),),
            (((2, 3), (2, 1), (2, 4)),),
            (((2, 2, 1), (2, 2, 3)),),
            (((2, 2, 1), (1, 2, 1)),),
            (((2, 3),),),
        ],
        "attrs": [{}, *({"axis": a} for a in (1, -1, -2, 2, -3, None))],
    },
)

append = gate(
    "np.append(x, y, axis=None)",
    backward={"x": lambda site: _piece(site, ("x", "y"), 0), "y": lambda site: _piece(site, ("x", "y"), 1)},
    shape=lambda site: _concatenated(site, ("x", "y")),
    proof="numpy",
    samples={
        "shapes": [((3,), ()), ((3,), (2,)), ((2, 3), (2, 1)), ((2, 3), (4, 3)), ((), (2, 2))],
        "attrs": [{}, {"axis": 0}, {"axis": 1}, {"axis": -1}, {"axis": -2}],
    },
)


# Along a new axis


def _stacked(site: Site, axis: int) -> Shape:
    """Operands of one shape, along a new axis."""
    if not site.count:
        return Shape((Dim.of(0),))
    shapes = _same_rank(site, _names(site))
    first = shapes[0]
    if first.dims is not None:
        for other in shapes[1:]:
            for one, two in zip(first.dims, other.front, strict=True):
                site.same_dim(one, two)
        axis = axis_in(site, axis, len(first.dims) + 1)
    return inserted(first, axis, Dim.of(site.count)) or site.unknown()


def _layer(site: Site, k: int) -> str:
    axis = integer(site, "axis")
    rank = next((r for r in map(site.rank, _names(site)) if r is not None), None)
    return _cut(axis if rank is None else axis_in(site, axis, rank + 1), str(k))


stack = gate(
    "np.stack(xs, axis=0)",
    backward={"xs": _layer},
    shape=lambda site: _stacked(site, integer(site, "axis")),
    proof="numpy",
    samples={
        "shapes": [(((), (), ()),), (((3,), (3,)),), (((2, 3), (2, 3), (2, 3)),), (((2,),),)],
        "attrs": [{}, *({"axis": a} for a in (1, 2, -1, -2, -3))],
    },
)


def _element(site: Site, k: int) -> str:
    must_float(site)
    return f"dz[{k}]"


# A list or tuple written out; one inside another is an operand of its own: [[a, b], [c, d]] is a list of two lists.
array_of = gate(
    "np.array(xs, dtype=None)",
    also=("np.asarray(xs, dtype=None)",),
    name="array_of",
    backward={"xs": _element},
    shape=lambda site: _stacked(site, 0),
    dtype=lambda site: cast(site, _names(site)) if site.count else DType.FLOAT,
    proof="numpy",
    samples={
        "shapes": [(((), (), ()),), (((3,), (3,)),), (((2, 3), (2, 3)),), (((),),)],
    },
)


# hstack, vstack, dstack and column_stack give each operand more dims before they join it, each in its own way. The
# forms hold, by the rank of the operand, the index of its piece: `at` is its place, `cut` its slice.

Forms = Sequence[str]
ROWS: Forms = ("dz[{at}, 0]", "dz[{at}]", "dz[{cut}]")
COLUMNS: Forms = ("dz[0, {at}]", "dz[:, {at}]", "dz[:, {cut}]")
LAYERS: Forms = ("dz[0, 0, {at}]", "dz[0, :, {at}]", "dz[:, :, {at}]", "dz[:, :, {cut}]")


def _stacked_piece(site: Site, k: int, axis: int, forms: Forms, promoted: str) -> str:
    """The piece of operand k, where those of rank below len(forms) - 1 fill one place of the axis.

    `promoted` says what is joined of an operand whose rank is not known.
    """
    names = _names(site)
    full = len(forms) - 1
    ranks = [site.rank(n) for n in names]
    lengths = [
        f"np.shape({promoted.format(x=n)})[{axis}]" if rank is None else "1" if rank < full else length(site, n, axis)
        for n, rank in zip(names, ranks, strict=True)
    ]
    cut = _between(lengths, k)
    rank = ranks[k]
    if rank is None:
        return _like(names[k], _cut(axis, cut))
    if rank >= full and cut == ":":
        return "dz"
    return forms[min(rank, full)].format(at=added(lengths[:k]), cut=cut)


def _stacked_shape(site: Site, axis: int, dims: Sequence[Sequence[int | None]]) -> Shape:
    """The operands' shapes after more dims: `dims` by rank, None for the next of the operand's own dims."""
    ranks = [site.rank(n) for n in _names(site)]
    full = len(dims)
    if any(rank is not None and rank > full for rank in ranks):
        return _along(site, _same_rank(site, _names(site)), axis)
    if None in ranks:
        return site.unknown()
    shapes = []
    for name in _names(site):
        own = site.shape(name).front
        rest = iter(own)
        form = dims[len(own)] if len(own) < full else [None] * len(own)
        shapes.append(Shape(tuple(next(rest) if one is None else Dim.of(one) for one in form)))
    return _along(site, shapes, axis)


def _horizontal_axis(site: Site) -> int | None:
    """hstack joins vectors along their only axis, all others along their second."""
    ranks = [rank for rank in map(site.rank, _names(site)) if rank is not None]
    return None if not ranks else 1 if max(ranks) > 1 else 0


def _hstacked(site: Site) -> Shape:
    axis = _horizontal_axis(site)
    if axis == 1:
        return _along(site, _same_rank(site, _names(site)), axis)
    sizes = [site.shape(n).size() for n in _names(site)]
    known = [s for s in sizes if s is not None]
    if axis is None:
        return site.unknown()
    return Shape((sum(known, Dim.of(0)) if len(known) == len(sizes) else site.fresh_dim(),))


# Vectors and numbers that are joined end to end.
_ROWS = [(((3,), (), (2,)),), (((), ()),)]


def _in_a_row(site: Site, names: Sequence[str], k: int) -> str:
    """The piece of one operand where vectors and numbers are joined end to end."""
    lengths = [size(site, n) for n in names]
    if site.rank(names[k]) == 0:
        return f"dz[{added(lengths[:k])}]"
    piece = _cut(0, _between(lengths, k))
    return piece if site.rank(names[k]) == 1 else _like(names[k], piece)


def _hstack_piece(site: Site, k: int) -> str:
    names = _names(site)
    name = names[k]
    match _horizontal_axis(site):
        case 1:
            return _cut(1, _between([length(site, n, 1) for n in names], k))
        case 0:
            return _in_a_row(site, names, k)
    # Joined in the same way, ones say where the elements of this operand went.
    masks = [f"np.{'ones' if j == k else 'zeros'}(np.shape({n}), dtype=bool)" for j, n in enumerate(names)]
    return _like(name, f"dz[np.hstack([{', '.join(masks)}])]")


hstack = gate(
    "np.hstack(xs)",
    backward={"xs": _hstack_piece},
    shape=_hstacked,
    proof="numpy",
    samples={
        "shapes": [
            *_ROWS,
            (((2, 3), (2, 1), (2, 2)),),
            (((2, 1, 2), (2, 3, 2)),),
            (((2, 3),),),
        ]
    },
)

vstack = gate(
    "np.vstack(xs)",
    backward={"xs": lambda site, k: _stacked_piece(site, k, 0, ROWS, "np.atleast_2d({x})")},
    shape=lambda site: _stacked_shape(site, 0, ((1, 1), (1, None))),
    proof="numpy",
    samples={
        "shapes": [
            (((3,), (3,)),),
            (((3,), (2, 3), (3,)),),
            (((), (2, 1), ()),),
            (((2, 3), (1, 3)),),
            (((2, 1, 2), (3, 1, 2)),),
            (((2, 3),),),
        ]
    },
)

dstack = gate(
    "np.dstack(xs)",
    backward={"xs": lambda site, k: _stacked_piece(site, k, 2, LAYERS, "np.atleast_3d({x})")},
    shape=lambda site: _stacked_shape(site, 2, ((1, 1, 1), (1, None, 1), (None, None, 1))),
    proof="numpy",
    samples={
        "shapes": [
            (((), ()),),
            (((3,), (3,), (1, 3)),),
            (((2, 3), (2, 3, 2), (2, 3)),),
            (((2, 1, 2), (2, 1, 3)),),
            (((2, 1, 2),),),
        ]
    },
)

column_stack = gate(
    "np.column_stack(xs)",
    backward={"xs": lambda site, k: _stacked_piece(site, k, 1, COLUMNS, "np.column_stack([{x}])")},
    shape=lambda site: _stacked_shape(site, 1, ((1, 1), (None, 1))),
    proof="numpy",
    samples={
        "shapes": [
            (((3,), (3,)),),
            (((3,), (3, 2), (3,)),),
            (((), ()),),
            (((2, 3), (2, 1)),),
            (((2, 1, 2), (2, 3, 2)),),
        ]
    },
)


# np.c_ and np.r_ are indexed with what they join. One operand's rank tells what the others are joined as.


def _known_rank(site: Site, joiner: str) -> int:
    ranks = [rank for rank in map(site.rank, _names(site)) if rank is not None]
    if not ranks:
        raise site.refuse(
            f"how many dimensions the operands of {joiner} have is not known", "say it of one of them: `x: 'N D'`"
        )
    return max(ranks)


def _columns(site: Site) -> None:
    if _known_rank(site, "np.c_") > 2:
        raise site.refuse("np.c_ is understood of vectors and matrices", "use np.concatenate with an axis")


def _columns_shape(site: Site) -> Shape:
    ranks = [site.rank(name) for name in _names(site)]
    if None not in ranks:
        return _stacked_shape(site, 1, ((1, 1), (None, 1)))
    for name, rank in zip(_names(site), ranks, strict=True):
        if rank in (1, 2):
            return Shape((site.shape(name).front[0], site.fresh_dim()))
    return site.unknown()


def _columns_piece(site: Site, k: int) -> str:
    _columns(site)
    return _stacked_piece(site, k, 1, COLUMNS, "np.column_stack([{x}])")


c_ = gate(
    "np.c_[tuple(xs)]",
    backward={"xs": _columns_piece},
    shape=_columns_shape,
    proof="numpy",
    samples={
        "shapes": [
            (((3,), (3,)),),
            (((3,), (3, 2), (3,)),),
            (((), ()),),
            (((2, 3), (2, 1)),),
            (((2,),),),
        ]
    },
)


def _rows_shape(site: Site) -> Shape:
    ranks = [rank for rank in map(site.rank, _names(site)) if rank is not None]
    if not ranks:
        return site.unknown()
    if max(ranks) < 2:
        sizes = [site.shape(n).size() for n in _names(site)]
        known = [one for one in sizes if one is not None]
        return Shape((sum(known, Dim.of(0)) if len(known) == len(sizes) else site.fresh_dim(),))
    return _along(site, _same_rank(site, _names(site)), 0)


def _rows_piece(site: Site, k: int) -> str:
    names = _names(site)
    if _known_rank(site, "np.r_") > 1:
        return _cut(0, _between([length(site, n, 0) for n in names], k))
    return _in_a_row(site, names, k)


r_ = gate(
    "np.r_[tuple(xs)]",
    backward={"xs": _rows_piece},
    shape=_rows_shape,
    proof="numpy",
    samples={
        "shapes": [
            *_ROWS,
            (((2, 3), (4, 3), (1, 3)),),
            (((2, 1, 2), (3, 1, 2)),),
            (((2,),),),
        ]
    },
)
