"""Gates of diagonals and triangles: diag in both directions, diagonal, tril, triu."""

from __future__ import annotations

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import POSITIONS, axis_in, constant
from flatgrad.ir.dims import Dim, Shape

MATRICES: list[tuple[tuple[int, ...], ...]] = [((3, 3),), ((2, 4),), ((4, 2),)]


def _diagonal_dim(site: Site, rows: Dim, columns: Dim, offset: int | None) -> Dim:
    if offset == 0 and rows == columns:
        return rows
    if offset is None or rows.constant is None or columns.constant is None:
        return site.fresh_dim()
    return Dim.of(max(0, min(rows.constant + min(offset, 0), columns.constant - max(offset, 0))))


def _diag(site: Site) -> Shape:
    dims, offset = site.shape("x").dims, constant(site, site.attrs["k"])
    if dims is None or len(dims) not in (1, 2):
        return site.unknown()
    if len(dims) == 2:
        return Shape((_diagonal_dim(site, dims[0], dims[1], offset),))
    side = site.fresh_dim() if offset is None else dims[0] + abs(offset)
    return Shape((side, side))


def _diag_back(site: Site) -> str:
    if site.rank("x") == 1:
        return "np.diag(dz, k=k)"
    if site.rank("x") == 2:
        return _onto_diagonal(site, "k")
    # Place 0 takes what np.diag puts beside the diagonal of a vector.
    places = "np.reshape(np.arange(1, np.size(x) + 1), np.shape(x))"
    return f"np.reshape(scatter_add((np.size(x) + 1,), np.diag({places}, k=k), dz)[1:], np.shape(x))"


def _onto_diagonal(site: Site, offset: str) -> str:
    """dz on a diagonal of a matrix of the shape of x."""
    rows, columns = (site.shape("x").dim(axis) for axis in (0, 1))
    k = constant(site, site.attrs[offset])
    # An offset beyond the matrix gives an empty diagonal, which says nothing of the size.
    side = rows.constant if rows is not None and rows == columns else None
    if (k == 0 and rows == columns) or (k is not None and side is not None and abs(k) <= side):
        return f"np.diag(dz, k={offset})"
    if k is None:
        places = f"np.diagonal({POSITIONS}, offset={offset})"
        return f"np.reshape(scatter_add((np.size(x),), {places}, dz), np.shape(x))"
    along = "np.arange(np.size(dz))"
    place = f"{along} + {-k}, {along}" if k < 0 else f"{along}, {along} + {k}" if k else f"{along}, {along}"
    return f"scatter_add(np.shape(x), ({place}), dz)"


diag = gate(
    "np.diag(x, k=0)",
    backward={"x": _diag_back},
    shape=_diag,
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [((3,),), *MATRICES], "attrs": [{}, {"k": 1}, {"k": -1}, {"k": -2}, {"k": 3}, {"k": 5}]},
)


def _plain_matrix(site: Site) -> bool:
    axes = (constant(site, site.attrs["axis1"]), constant(site, site.attrs["axis2"]))
    return site.rank("x") == 2 and axes == (0, 1)


def _diagonal(site: Site) -> Shape:
    dims = site.shape("x").dims
    axes = [constant(site, site.attrs[name]) for name in ("axis1", "axis2")]
    known = [axis for axis in axes if axis is not None]
    if dims is None:
        return site.unknown()
    if len(known) < 2:
        return Shape(tuple(site.fresh_dim() for _ in dims[1:]))
    first, second = (axis_in(site, axis, len(dims)) for axis in known)
    rest = tuple(dim for axis, dim in enumerate(dims) if axis not in (first, second))
    return Shape((*rest, _diagonal_dim(site, dims[first], dims[second], constant(site, site.attrs["offset"]))))


def _diagonal_back(site: Site) -> str:
    if _plain_matrix(site):
        return _onto_diagonal(site, "offset")
    places = f"np.diagonal({POSITIONS}, offset, axis1, axis2)"
    return f"np.reshape(scatter_add((np.size(x),), {places}, dz), np.shape(x))"


diagonal = gate(
    "np.diagonal(x, offset=0, axis1=0, axis2=1)",
    also=("x.diagonal(offset=0, axis1=0, axis2=1)",),
    backward={"x": _diagonal_back},
    shape=_diagonal,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [*MATRICES, ((2, 3, 3),)],
        "attrs": [
            *({"offset": offset} for offset in (0, 1, -1, 4)),
            *({"axis1": a, "axis2": b} for a, b in ((1, 0), (1, 2))),
            {"axis1": -1, "axis2": -2, "offset": 1},
        ],
    },
)


# tril and triu make a matrix of a vector: each row of it is the vector, cut.


def _triangle(site: Site) -> Shape:
    shape = site.shape("x")
    if shape.dims is None:
        return shape if shape.least_rank >= 2 else site.unknown()
    return Shape((*shape.dims, *shape.dims)) if len(shape.dims) == 1 else shape


def _triangle_back(site: Site, name: str) -> str:
    if site.shape("x").least_rank >= 2:
        return f"np.{name}(dz, k=k)"
    if site.rank("x") == 1:
        return f"np.sum(np.{name}(dz, k=k), axis=0)"
    return f"unbroadcast(np.{name}(dz, k=k), x)"


tril = gate(
    "np.tril(x, k=0)",
    backward={"x": lambda site: _triangle_back(site, "tril")},
    shape=_triangle,
    dtype="same",
    proof="numpy",
    samples={"shapes": [((3,),), *MATRICES, ((2, 3, 3),)], "attrs": [{}, {"k": 1}, {"k": -1}]},
)

triu = gate(
    "np.triu(x, k=0)",
    backward={"x": lambda site: _triangle_back(site, "triu")},
    shape=_triangle,
    dtype="same",
    proof="numpy",
    samples={"shapes": [((3,),), *MATRICES, ((2, 3, 3),)], "attrs": [{}, {"k": 1}, {"k": -1}]},
)
