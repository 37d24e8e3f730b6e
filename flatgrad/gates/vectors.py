"""Products of every element with every other, and of vectors: vdot, outer, kron, cross."""

from __future__ import annotations

from flatgrad.gates.axes import refuse_out, unknown_ranks
from flatgrad.gates.entry import Site, gate
from flatgrad.ir.core import Attribute
from flatgrad.ir.dims import SCALAR, Dim, Shape

# Flat products


def _vdot_backward(site: Site, wrt: str, other: str) -> str:
    if site.shape("x") == site.shape("y"):
        return f"dz * {other}"
    return f"dz * np.reshape({other}, np.shape({wrt}))"


gate(
    "np.vdot(x, y)",
    backward={"x": lambda site: _vdot_backward(site, "x", "y"), "y": lambda site: _vdot_backward(site, "y", "x")},
    shape=lambda site: SCALAR,
    proof="numpy",
    samples={"shapes": [((), ()), ((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (6,)), ((2, 3), (3, 2))]},
)


def _outer_shape(site: Site) -> Shape:
    refuse_out(site)
    return Shape(tuple(site.shape(name).size() or site.fresh_dim() for name in ("x", "y")))


def _flat(site: Site, name: str) -> str:
    return name if site.rank(name) == 1 else f"np.ravel({name})"


def _outer_backward_x(site: Site) -> str:
    gradient = f"dz @ {_flat(site, 'y')}"
    return gradient if site.rank("x") == 1 else f"np.reshape({gradient}, np.shape(x))"


def _outer_backward_y(site: Site) -> str:
    gradient = f"{_flat(site, 'x')} @ dz"
    return gradient if site.rank("y") == 1 else f"np.reshape({gradient}, np.shape(y))"


gate(
    "np.outer(x, y, out=None)",
    backward={"x": _outer_backward_x, "y": _outer_backward_y},
    shape=_outer_shape,
    proof="numpy",
    samples={"shapes": [((3,), (2,)), ((), (3,)), ((2, 2), (3,)), ((3,), (2, 2)), ((2, 2), (2, 1))]},
)


# Kronecker and cross products


def _kron_shape(site: Site) -> Shape:
    x, y = site.shape("x").dims, site.shape("y").dims
    if x is None or y is None:
        return site.unknown()
    rank = max(len(x), len(y))
    one = Dim.of(1)
    padded_x = (*[one] * (rank - len(x)), *x)
    padded_y = (*[one] * (rank - len(y)), *y)
    return Shape(tuple(first * second for first, second in zip(padded_x, padded_y, strict=True)))


def _kron_backward(site: Site, wrt: str) -> str:
    a, b = site.rank("x"), site.rank("y")
    if a is None or b is None:
        raise unknown_ranks(site)
    # Each axis of the result is one of x and one of y, that of y running faster: aAbB for ab and AB.
    x_labels, y_labels = "abcdefghijklm"[:a], "ABCDEFGHIJKLM"[:b]
    labels, lengths = _interleaved(x_labels, y_labels)
    split = f"np.reshape(dz, ({', '.join(lengths)}{',' if len(lengths) == 1 else ''}))"
    other, seen, wanted = ("y", y_labels, x_labels) if wrt == "x" else ("x", x_labels, y_labels)
    return f'np.einsum("{labels},{seen}->{wanted}", {split}, {other})'


def _interleaved(x_labels: str, y_labels: str) -> tuple[str, list[str]]:
    """The labels of the result split into the axes of both, last axes matched, and their lengths."""
    labels, lengths = "", []
    rank = max(len(x_labels), len(y_labels))
    for axis in range(rank):
        for name, own in (("x", x_labels), ("y", y_labels)):
            place = axis - (rank - len(own))
            if place >= 0:
                labels += own[place]
                lengths.append(f"np.shape({name})[{place}]")
    return labels, lengths


gate(
    "np.kron(x, y)",
    backward={"x": lambda site: _kron_backward(site, "x"), "y": lambda site: _kron_backward(site, "y")},
    shape=_kron_shape,
    proof="numpy",
    samples={
        "shapes": [
            ((), ()),
            ((), (2, 3)),
            ((2,), (3,)),
            ((2, 3), (2, 2)),
            ((2,), (3, 2)),
            ((2, 1, 2), (3,)),
            ((2, 2, 1), (1, 2, 2)),
        ]
    },
)


def _cross_axis(site: Site) -> Attribute:
    if any(site.attrs[name] != -1 for name in ("axisa", "axisb", "axisc")):
        raise site.refuse("axisa=, axisb= and axisc= are not understood", "use axis=, or np.moveaxis beforehand")
    return site.attrs["axis"]


def _cross_shape(site: Site) -> Shape | str:
    axis = _cross_axis(site)
    if axis is None:
        axis = -1
    if not isinstance(axis, int):
        raise site.refuse("the axis of np.cross must be a constant")
    # NumPy takes vectors of 2 elements too, and gives another shape then: only a proven 3 excludes them.
    lengths = [site.shape(name).dim(axis) for name in ("x", "y")]
    if any(dim is None or dim.constant != 3 for dim in lengths):
        raise site.refuse("np.cross needs vectors that are known to have 3 elements", 'say so, as in `x: "N 3"`')
    if axis == -1:
        return "(n),(n)->(n)"
    if site.shape("x") != site.shape("y") or site.rank("x") is None:
        raise site.refuse("np.cross along this axis needs operands of one shape", "use np.moveaxis beforehand")
    return site.shape("x")


def _cross_backward(site: Site, first: str, second: str) -> str:
    axis = "" if site.attrs["axis"] in (None, -1) else ", axis=axis"
    return f"np.cross({first}, {second}{axis})"


gate(
    "np.cross(x, y, axisa=-1, axisb=-1, axisc=-1, axis=None)",
    backward={"x": lambda site: _cross_backward(site, "y", "dz"), "y": lambda site: _cross_backward(site, "dz", "x")},
    shape=_cross_shape,
    convention="of vectors of 3 elements",
    proof="numpy",
    samples={
        "cases": [
            (((3,), (3,)), {}),
            (((2, 3), (2, 3)), {}),
            (((2, 1, 3), (2, 3)), {}),
            (((3,), (2, 3)), {"axis": -1}),
            (((3, 2), (3, 2)), {"axis": 0}),
            (((2, 3, 2), (2, 3, 2)), {"axis": 1}),
        ]
    },
)
