"""Products that sum over axes: matmul, dot, inner, tensordot."""

from __future__ import annotations

from flatgrad.gates.axes import transposed, unknown_ranks
from flatgrad.gates.entry import Site, gate
from flatgrad.ir.core import Attribute, Kind
from flatgrad.ir.dims import Dim, Shape

# Matrix products


def _least_rank(site: Site, name: str) -> int:
    return max(site.shape(name).least_rank, 1 if site.type(name).kind is Kind.ARRAY else 0)


def _shows_matrices(shape: Shape) -> bool:
    """The last two dims are visible."""
    return shape.dim(-1) is not None and shape.dim(-2) is not None


def _is_stacked(site: Site) -> bool:
    """Both are stacks of matrices, as far as can be seen, so that the stacks broadcast."""
    a, b = site.rank("x"), site.rank("y")
    visible = _shows_matrices(site.shape("x")) and _shows_matrices(site.shape("y"))
    return visible and (a is None or b is None or min(a, b) > 2)


def _same(site: Site, first: Dim | None, second: Dim | None) -> None:
    if first is not None and second is not None:
        site.same_dim(first, second)


def _without_last(shape: Shape, *dims: Dim) -> Shape:
    """The shape with its last dim replaced; that dim must be visible."""
    if shape.middle is None:
        return Shape((*shape.front[:-1], *dims))
    return Shape(shape.front, shape.middle, (*shape.back[:-1], *dims))


def _matmul_shape(site: Site) -> Shape | str:
    if 0 in (site.rank("x"), site.rank("y")):
        raise site.refuse("a matrix product takes no scalars", "write x * y")
    site.grow_back("x", 1)
    site.grow_back("y", 1)
    return _matrix_product_shape(site)


def _matrix_product_shape(site: Site) -> Shape | str:
    """Both operands have one dim or more."""
    a, b = site.rank("x"), site.rank("y")
    x, y = site.shape("x"), site.shape("y")
    if b == 1 or b == 2:
        _same(site, x.dim(-1), y.front[0])
        x = site.shape("x")
        return site.unknown() if x.dim(-1) is None else _without_last(x, *site.shape("y").front[1:])
    if _is_stacked(site):
        return "(n,k),(k,m)->(n,m)"
    if b is None or a is None:
        if b is not None:
            _same(site, x.dim(-1), y.dim(-2))
        return site.unknown()
    _same(site, x.dim(-1), y.dim(-2))
    x, y = site.shape("x"), site.shape("y")
    return Shape((*y.front[:-2], *x.front[:-1], y.front[-1]))


def _matmul_backward_x(site: Site) -> str:
    a, b = site.rank("x"), site.rank("y")
    match a, b:
        case 1, 1:
            return "dz * y"
        case 2, 1:
            return "np.outer(dz, y)"
        case None, 1:
            return "np.expand_dims(dz, -1) * y"
        case _, 1:
            return "dz[..., None] * y"
        case _, 2:
            return f"dz @ {transposed(site, 'y')}"
        case ((1 | 2), int()):
            return contraction_backward("x", (a, b), (a - 1,), (b - 2,), batched=b - 2)
    if _is_stacked(site):
        return "dz @ np.swapaxes(y, -1, -2)"
    raise unknown_ranks(site)


def _matmul_backward_y(site: Site) -> str:
    a, b = site.rank("x"), site.rank("y")
    match a, b:
        case 1, 1:
            return "dz * x"
        case 1, 2:
            return "np.outer(x, dz)"
        case 1, int():
            return "np.expand_dims(x, -1) * dz[..., None, :]"
        case 2, int():
            return f"{transposed(site, 'x')} @ dz"
        case None, 1:
            return "np.ravel(dz) @ np.reshape(x, (-1, np.size(y)))"
        case None, 2:
            rows = "np.reshape(x, (-1, np.shape(y)[0]))"
            return f"{rows}.T @ np.reshape(dz, (-1, np.shape(y)[1]))"
        case int(), 1:
            return f"np.tensordot(dz, x, axes={a - 1})"
        case int(), 2:
            loops = list(range(a - 1))
            return f"np.tensordot(x, dz, axes=({loops}, {loops}))"
    if _is_stacked(site):
        return "np.swapaxes(x, -1, -2) @ dz"
    raise unknown_ranks(site)


gate(
    "x @ y",
    name="matmul",
    also=("np.matmul(x, y)",),
    backward={"x": _matmul_backward_x, "y": _matmul_backward_y},
    shape=_matmul_shape,
    proof="numpy",
    samples={
        "shapes": [
            ((3,), (3,)),
            ((3,), (3, 2)),
            ((2, 3), (3,)),
            ((2, 3), (3, 2)),
            ((3,), (2, 3, 2)),
            ((2, 3), (2, 3, 2)),
            ((2, 2, 3), (3,)),
            ((2, 2, 3), (3, 2)),
            ((2, 2, 3), (2, 3, 2)),
            ((1, 2, 3), (2, 3, 1)),
            ((2, 1, 2, 2), (2, 2, 1)),
            ((2,), (2, 1, 2, 2)),
            ((2, 2), (2, 1, 2, 2)),
            ((2, 1, 2, 2), (2,)),
            ((2, 1, 2, 2), (2, 1)),
        ]
    },
)


# Contractions


def contraction_backward(
    wrt: str, ranks: tuple[int, int], x_axes: tuple[int, ...], y_axes: tuple[int, ...], batched: int = 0
) -> str:
    """The gradient of a tensordot of x and y over pairs of axes, for one of the two.

    The result has the free axes of x, then those of y. `batched` of the free axes of y stand before those of x instead.
    """
    x_free = [axis for axis in range(ranks[0]) if axis not in x_axes]
    y_free = [axis for axis in range(ranks[1]) if axis not in y_axes]
    x_places = [batched + k for k in range(len(x_free))]
    y_places = [*range(batched), *range(batched + len(x_free), len(x_free) + len(y_free))]
    if wrt == "x":
        other, other_free, gone = "y", y_free, y_places
        free, axes, other_axes = x_free, x_axes, y_axes
    else:
        other, other_free, gone = "x", x_free, x_places
        free, axes, other_axes = y_free, y_axes, x_axes
    paired = [axes[other_axes.index(axis)] for axis in sorted(other_axes)]
    if [*paired, *free] == sorted([*paired, *free]) and [*free, *paired] != sorted([*free, *paired]):
        return f"np.tensordot({other}, dz, axes={_pairs(other_free, gone)})"
    spelling = f"np.tensordot(dz, {other}, axes={_pairs(gone, other_free)})"
    order = [*free, *paired]
    if order == sorted(order):
        return spelling
    back = tuple(order.index(axis) for axis in range(len(order)))
    return f"{spelling}.T" if back == (1, 0) else f"np.transpose({spelling}, {back})"


def _pairs(first: list[int], second: list[int]) -> str:
    if not first:
        return "0"
    return f"({first[0]}, {second[0]})" if len(first) == 1 else f"({first}, {second})"


def _contraction_shape(site: Site, x_axes: tuple[int, ...], y_axes: tuple[int, ...]) -> Shape:
    """Ranks are known."""
    for one, two in zip(x_axes, y_axes, strict=True):
        site.same_dim(site.shape("x").front[one], site.shape("y").front[two])
    x, y = site.shape("x").front, site.shape("y").front
    return Shape(
        tuple(dim for axis, dim in enumerate(x) if axis not in x_axes)
        + tuple(dim for axis, dim in enumerate(y) if axis not in y_axes)
    )


def _dot_shape(site: Site) -> Shape | str:
    a, b = site.rank("x"), site.rank("y")
    if a == 0 or b == 0:
        return "(),()->()"
    if b in (1, 2) and _least_rank(site, "x"):
        site.grow_back("x", 1)
        return _matrix_product_shape(site)
    if a is None or b is None:
        return site.unknown()
    return _contraction_shape(site, (a - 1,), (b - 2,))


def _dot_backward_x(site: Site) -> str:
    a, b = site.rank("x"), site.rank("y")
    if a == 0 or b == 0:
        return "dz * y"
    if b in (1, 2) and _least_rank(site, "x"):
        return _matmul_backward_x(site)
    if a is None or b is None:
        raise unknown_ranks(site)
    return contraction_backward("x", (a, b), (a - 1,), (b - 2,))


def _dot_backward_y(site: Site) -> str:
    a, b = site.rank("x"), site.rank("y")
    if a == 0 or b == 0:
        return "dz * x"
    if b in (1, 2) and _least_rank(site, "x"):
        return _matmul_backward_y(site)
    if a is None or b is None:
        raise unknown_ranks(site)
    return contraction_backward("y", (a, b), (a - 1,), (b - 2,))


_DOT_SHAPES = [
    ((), ()),
    ((), (2, 3)),
    ((3,), ()),
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((2, 3), (3, 2)),
]

gate(
    "np.dot(x, y)",
    also=("x.dot(y)",),
    backward={"x": _dot_backward_x, "y": _dot_backward_y},
    shape=_dot_shape,
    proof="numpy",
    samples={
        "lists": False,
        "shapes": [
            *_DOT_SHAPES,
            ((3,), (2, 3, 2)),
            ((2, 3), (2, 3, 2)),
            ((2, 2, 3), (3,)),
            ((2, 2, 3), (3, 2)),
            ((2, 1, 2), (2, 2, 3)),
            ((1, 2, 1, 2), (2, 1)),
        ],
    },
)


def _inner_shape(site: Site) -> Shape | str:
    a, b = site.rank("x"), site.rank("y")
    if a == 0 or b == 0:
        return "(),()->()"
    if a is None or b is None:
        return site.unknown()
    return _contraction_shape(site, (a - 1,), (b - 1,))


def _inner_backward_x(site: Site) -> str:
    match site.rank("x"), site.rank("y"):
        case (0, _) | (_, 0) | (1, 1):
            return "dz * y"
        case 2, 1:
            return "np.outer(dz, y)"
        case int(), 2:
            return "dz @ y"
        case int(a), int(b):
            return contraction_backward("x", (a, b), (a - 1,), (b - 1,))
    raise unknown_ranks(site)


def _inner_backward_y(site: Site) -> str:
    match site.rank("x"), site.rank("y"):
        case (0, _) | (_, 0) | (1, 1):
            return "dz * x"
        case 1, 2:
            return "np.outer(dz, x)"
        case 2, 1:
            return "dz @ x"
        case 2, 2:
            return "dz.T @ x"
        case int(a), int(b):
            return contraction_backward("y", (a, b), (a - 1,), (b - 1,))
    raise unknown_ranks(site)


gate(
    "np.inner(x, y)",
    backward={"x": _inner_backward_x, "y": _inner_backward_y},
    shape=_inner_shape,
    proof="numpy",
    samples={
        "lists": False,
        "shapes": [
            ((), ()),
            ((), (2, 3)),
            ((3,), ()),
            ((3,), (3,)),
            ((3,), (2, 3)),
            ((2, 3), (3,)),
            ((2, 3), (4, 3)),
            ((2, 1, 3), (2, 3)),
            ((2, 3), (2, 1, 3)),
            ((3,), (2, 1, 3)),
        ],
    },
)


def _tensordot_axes(site: Site) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The axes of x and of y that are summed over in pairs, counted from the front; None where a rank is open."""
    a, b = site.rank("x"), site.rank("y")
    axes = site.attrs["axes"]
    if a is None or b is None:
        return None
    if isinstance(axes, int) and not isinstance(axes, bool):
        if not 0 <= axes <= min(a, b):
            raise site.refuse(f"axes={axes} is out of bounds")
        return tuple(range(a - axes, a)), tuple(range(axes))
    if not isinstance(axes, tuple) or len(axes) != 2:
        raise site.refuse("the axes of np.tensordot must be constants")
    x_axes, y_axes = _axis_list(site, axes[0], a), _axis_list(site, axes[1], b)
    if len(x_axes) != len(y_axes):
        raise site.refuse("np.tensordot needs as many axes of the one as of the other")
    return x_axes, y_axes


def _axis_list(site: Site, axes: Attribute, rank: int) -> tuple[int, ...]:
    listed = []
    for axis in axes if isinstance(axes, tuple) else (axes,):
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise site.refuse("the axes of np.tensordot must be constants, and within bounds")
        listed.append(axis % rank)
    return tuple(listed)


def _tensordot_shape(site: Site) -> Shape:
    axes = _tensordot_axes(site)
    return site.unknown() if axes is None else _contraction_shape(site, *axes)


def _tensordot_backward(site: Site, wrt: str) -> str:
    a, b, axes = site.rank("x"), site.rank("y"), _tensordot_axes(site)
    if a is None or b is None or axes is None:
        raise unknown_ranks(site)
    if (a, b, axes) == (2, 2, ((1,), (0,))):
        return f"dz @ {transposed(site, 'y')}" if wrt == "x" else f"{transposed(site, 'x')} @ dz"
    return contraction_backward(wrt, (a, b), *axes)


gate(
    "np.tensordot(x, y, axes=2)",
    backward={"x": lambda site: _tensordot_backward(site, "x"), "y": lambda site: _tensordot_backward(site, "y")},
    shape=_tensordot_shape,
    proof="numpy",
    samples={
        "cases": [
            (((2, 3), (2, 3)), {}),
            (((2, 3), (3, 2)), {"axes": 1}),
            (((2, 3), (3, 2, 2)), {"axes": 1}),
            (((2,), (3,)), {"axes": 0}),
            (((), (3, 2)), {"axes": 0}),
            (((2, 3), (3, 2)), {"axes": ((0, 1), (1, 0))}),
            (((2, 3), (4, 3)), {"axes": (1, 1)}),
            (((2, 3), (2, 4)), {"axes": ((0,), (0,))}),
            (((2, 3, 2), (2, 3, 2)), {"axes": ((1, 2), (1, 2))}),
            (((2, 3, 2), (2, 3, 2)), {"axes": ((2, 1), (0, -2))}),
            (((2, 3, 1), (3, 2, 2)), {"axes": ((1, 0), (0, 2))}),
            (((2, 3, 1), (3, 2, 2)), {"axes": (-2, 0)}),
        ]
    },
)
